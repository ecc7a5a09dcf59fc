package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kong-go-plugins/datakit"
	"kong-go-plugins/schema"
)

var validateCommand = command{
	name:  "validate",
	usage: "validate [flags] FILE...",
	about: "Checks every configuration of datakit in a kong.yml, a KongPlugin manifest, Terraform's JSON or a file with just the\n" +
		"configuration. It prints all mistakes at once, and warns of what is odd though right. Exit status: 0, 1 for mistakes,\n" +
		"2 for a wrong command line or a file that cannot be read.",
	run: validate,
}

// A finding is a mistake or a warning in a file.
type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Severity string `json:"severity"` // error or warning
	Path     string `json:"path,omitempty"`
	Node     string `json:"node,omitempty"`
	Text     string `json:"text"`

	message string // as people read it
}

const (
	isError   = "error"
	isWarning = "warning"
)

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Severity, cmp.Or(f.message, f.Text))
}

func validate(o *out, f *flag.FlagSet, args []string) (int, error) {
	format := f.String("o", "text", "`format` of the output: text or json")
	strict := f.Bool("strict", false, "warnings are mistakes, too")
	plugin := f.String("plugin", "datakit", "the `name` that Kong has for the plugin")
	files, err := parse(f, args)
	switch {
	case err != nil:
		return exitUsage, err
	case len(files) == 0:
		return wrongUsage("expected a file")
	case *format != "text" && *format != "json":
		return wrongUsage("-o %q: expected text or json", *format)
	}
	all := []finding{}
	status := exitGood
	for _, file := range files {
		found, workflows, err := check(file, *plugin)
		if err != nil {
			fmt.Fprintf(o.stderr, "datakit validate: %v\n", err)
			status = exitUsage
			continue
		}
		all = append(all, found...)
		errs := countOf(found, isError)
		if status == exitGood && (errs > 0 || *strict && len(found) > 0) {
			status = exitBad
		}
		if *format == "text" {
			for _, one := range found {
				o.printf("%s\n", one)
			}
			o.printf("%s: %s\n", file, summary(workflows, errs, len(found)-errs))
		}
	}
	if *format == "json" {
		e := json.NewEncoder(o.stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return status, e.Encode(all)
	}
	return status, nil
}

func byLine(a, b finding) int { return cmp.Compare(a.Line, b.Line) }

func countOf(found []finding, severity string) (n int) {
	for _, f := range found {
		if f.Severity == severity {
			n++
		}
	}
	return n
}

func summary(workflows, errs, warnings int) string {
	text := counted(workflows, "workflow") + ", "
	if errs == 0 && warnings == 0 {
		return text + "nothing to complain of"
	}
	return text + counted(errs, "error") + ", " + counted(warnings, "warning")
}

// check returns all that is to be said of a file, by line.
func check(file, plugin string) (found []finding, workflows int, err error) {
	text, err := readFile(file)
	if err != nil {
		return nil, 0, err
	}
	sources, err := readSources(file, plugin, text)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range sources {
		found = append(found, s.check()...)
	}
	found = append(found, around(file, plugin, text, sources)...)
	slices.SortStableFunc(found, byLine)
	return slices.Compact(found), len(sources), nil // what an anchor repeats is wrong once
}

// around is what is wrong with the file outside of the configurations: entities, manifests.
func around(file, plugin string, text []byte, sources []*source) (found []finding) {
	if sources[0].where == "" || strings.Contains(sources[0].where, ".config") && sources[0].kong == nil {
		return nil // bare, or Terraform's
	}
	for _, p := range datakit.Schema().ValidateFile(plugin, file, text, nil) {
		if p.Field != "config" && !strings.HasPrefix(p.Field, "config.") && !strings.HasPrefix(p.Field, "config[") {
			found = append(found, ofSchema(p))
		}
	}
	return found
}

func ofSchema(p schema.Problem) finding {
	f := finding{File: p.File, Line: p.Line, Severity: isError, Path: p.Field, Text: p.Text}
	if p.Field != "" {
		f.message = p.Field + ": " + p.Text
	}
	return f
}

// programLine is the line of a program in what its compiler says.
var programLine = regexp.MustCompile(`^does not compile: line (\d+),`) // read-only

// check compiles a configuration and says all that is wrong with it, or else what is odd, by line.
func (s *source) check() (found []finding) {
	defer func() { slices.SortStableFunc(found, byLine) }()
	engine := datakit.NewOfflineEngine(func(string, string) {}, datakit.Replacements{})
	defer func() { _ = engine.Close(context.Background()) }()
	for _, p := range datakit.Schema().ValidateFile("datakit", s.file, s.json(), nil) {
		if p.Field != "nodes" && !strings.HasPrefix(p.Field, "nodes[") && !strings.HasPrefix(p.Field, "nodes.") {
			found = append(found, s.finding(isError, p.Field, p.Text))
		}
	}
	plan, err := engine.Compile(s.known().json())
	if err != nil {
		for _, p := range datakit.Problems(err) {
			if p.Path != "" && p.Path != "nodes" && !strings.HasPrefix(p.Path, "nodes[") {
				continue // the schema has said so
			}
			f := s.finding(isError, p.Path, p.Text)
			f.message = p.Error()
			if m := programLine.FindStringSubmatch(p.Text); m != nil && s.blocks[p.Path] {
				n, _ := strconv.Atoi(m[1])
				f.Line += n
			}
			found = append(found, f)
		}
		return found
	}
	for _, text := range plan.Warnings() {
		path, _, _ := strings.Cut(text, " ")
		f := s.finding(isWarning, strings.TrimSuffix(path, ":"), text)
		f.message = text
		found = append(found, f)
	}
	for _, w := range lint(plan, s) {
		f := s.finding(isWarning, w.path, w.text)
		f.Line += w.line
		found = append(found, f)
	}
	return found
}

func (s *source) finding(severity, path, text string) finding {
	f := finding{File: s.file, Line: s.at(path), Severity: severity, Path: path, Node: s.nodeName(path), Text: text}
	switch {
	case f.Node != "":
		f.message = fmt.Sprintf("%s (%s): %s", path, f.Node, text)
	case path != "":
		f.message = path + ": " + text
	}
	return f
}

// exists reports whether there is a file, for files that may be left out.
func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
