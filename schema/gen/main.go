// Command gen writes the generated forms of plugins' declarations into the repository:
//
//	schema/<plugin>/schema.lua    for control planes
//	schema/<plugin>/schema.json   for editors
//	docs/<plugin>.md,
//	docs/hub/<plugin>.md,
//	README.md                     the parameter table, between two marker lines
//	docs/datakit-nodes.md         the reference of datakit's nodes
//
// It is run by `go generate` (a plugin's package holds `//go:generate go run kong-go-plugins/schema/gen NAME`), and with
// -check it changes nothing and fails when a file differs from what it would write.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"kong-go-plugins/datakit"
	"kong-go-plugins/keyauth"
	"kong-go-plugins/moesif"
	"kong-go-plugins/schema"
)

// plugins returns all declarations of the project.
func plugins() []schema.Plugin {
	return []schema.Plugin{
		datakit.Schema(),
		keyauth.Schema(),
		moesif.Schema(),
	}
}

// pages are further pages of the documentation, by plugin and file; read-only.
var pages = map[string]map[string]func() string{
	"datakit": {"datakit-nodes.md": datakit.NodeReference},
}

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("gen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "change nothing; exit 1 when a generated file is not up to date")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: gen [-check] [PLUGIN...]\nWrites the generated files of the plugins, by default of all.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := generate(flags.Args(), *check, stderr); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func generate(names []string, check bool, out io.Writer) error {
	all := plugins()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p schema.Plugin) bool { return p.Name == name }) {
			return fmt.Errorf("no plugin %s: it must be in the list of schema/gen/main.go", name)
		}
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range all {
		if len(names) > 0 && !slices.Contains(names, p.Name) {
			continue
		}
		t := tree{root, check, out}
		errs = append(errs, writePlugin(t, p))
		for name, page := range pages[p.Name] {
			errs = append(errs, t.write(filepath.Join("docs", name), []byte(page())))
		}
	}
	return errors.Join(errs...)
}

// moduleRoot returns the folder of go.mod above the working folder.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			err = errors.New("no go.mod above the working folder: run it inside the repository")
		}
		dir = up
	}
	return "", err
}
