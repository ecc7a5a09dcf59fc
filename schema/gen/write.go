package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"kong-go-plugins/schema"
)

// A tree is the repository that is written to, or only compared.
type tree struct {
	root  string
	check bool
	out   io.Writer // what changed
}

// writePlugin writes every generated form of one plugin and returns all that went wrong.
func writePlugin(t tree, p schema.Plugin) error {
	lua, err := p.Lua(p.Name)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	dir := filepath.Join("schema", p.Name)
	page := filepath.Join("docs", p.Name+".md")
	table := []byte(p.Markdown())
	return errors.Join(
		t.write(filepath.Join(dir, "schema.lua"), lua),
		t.write(filepath.Join(dir, "schema.json"), p.JSONSchema(p.Name)),
		t.section(page, p.Name, table, true),
		t.section(filepath.Join("docs", "hub", p.Name+".md"), p.Name, table, true),
		t.section("README.md", p.Name, table, false),
	)
}

// write writes a file unless it is as wanted.
func (t tree) write(name string, want []byte) error {
	path := filepath.Join(t.root, name)
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && bytes.Equal(have, want) {
		return nil
	}
	if t.check {
		return fmt.Errorf("%s is not up to date: run make generate", name)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		return err
	}
	fmt.Fprintln(t.out, "wrote", name)
	return nil
}

// section writes a table between the marker lines of a page, if there is such a page. One that does not need the table
// may lack the lines.
func (t tree) section(name, plugin string, table []byte, needed bool) error {
	page, err := os.ReadFile(filepath.Join(t.root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	begin, end := markers(plugin)
	new, found, err := replaceSection(page, begin, end, table)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !found {
		if needed {
			return fmt.Errorf("%s: the table has no place: write the lines %s and %s", name, begin, end)
		}
		return nil
	}
	return t.write(name, new)
}

// markers are the lines around the table of a plugin.
func markers(plugin string) (begin, end string) {
	return "<!-- generated: " + plugin + " parameters -->", "<!-- end generated: " + plugin + " parameters -->"
}

// replaceSection puts table between the lines begin and end, with an empty line on either side, and leaves the rest of
// the page alone.
func replaceSection(page []byte, begin, end string, table []byte) (out []byte, found bool, err error) {
	lines := bytes.SplitAfter(page, []byte("\n"))
	first, last := -1, -1
	for i, line := range lines {
		switch string(bytes.TrimSpace(line)) {
		case begin:
			if first >= 0 {
				return nil, false, fmt.Errorf("%s stands there twice", begin)
			}
			first = i
		case end:
			if first < 0 || last >= 0 {
				return nil, false, fmt.Errorf("%s stands there without %s before it", end, begin)
			}
			last = i
		}
	}
	if first < 0 {
		return page, false, nil
	}
	if last < 0 {
		return nil, false, fmt.Errorf("%s has no %s after it", begin, end)
	}
	var b bytes.Buffer
	for _, line := range lines[:first] {
		b.Write(line)
	}
	fmt.Fprintf(&b, "%s\n\n%s\n", begin, table)
	for _, line := range lines[last:] {
		b.Write(line)
	}
	return b.Bytes(), true, nil
}
