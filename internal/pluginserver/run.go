package pluginserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/term"

	"kong-go-plugins/schema"
)

// Run is the whole of a plugin's main: it reads the command line, does what it asks for, and returns the exit status: 0,
// 1 when something is wrong, 2 for a wrong command line. Without a flag that asks for something else it serves Kong
// until it is told to end.
//
// The process that Kong starts is a small supervisor; plugin code runs in a child of it, the same executable.
func Run(p Plugin) int {
	if version, isWorker := os.LookupEnv(workerMarker); isWorker {
		return runWorker(p, version)
	}
	return runCommand(p, os.Args, os.Stdout, os.Stderr)
}

// runCommand does what args ask for.
func runCommand(p Plugin, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(p, args)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n%s -help lists the flags\n", o.name, err, o.name)
		return 2
	}
	if o.action == helpAction {
		fmt.Fprint(stdout, o.usage)
		return 0
	}
	if len(o.phases) == 0 {
		fmt.Fprintf(stderr, "%s: the plugin has no phase: New must return a pointer to a type with a method like Access(*pdk.PDK)\n", o.name)
		return 1
	}
	if o.action == dumpAction || o.action == checkAction {
		for _, note := range nameNotes(o.name, p.Name, luaFolders) {
			fmt.Fprintf(stderr, "%s: %s\n", o.name, note) // with the dump, on the terminal or container log of who starts Kong
		}
	}
	switch o.action {
	case versionAction:
		fmt.Fprintf(stdout, "%s %s (build %s, %s, go-pdk %s, %s/%s)\n", o.name, p.Version, build, runtime.Version(), pdkVersion(), runtime.GOOS, runtime.GOARCH)
	case dumpAction:
		fmt.Fprintf(stdout, "%s\n", dumpOf(p, o))
	case schemaAction:
		err = printSchema(p, o, stdout)
	case validateAction:
		err = validateFile(p, o, stdout)
	case checkAction:
		err = check(o, stdout)
	default:
		if isTerminal(os.Stdin) && isTerminal(os.Stderr) {
			fmt.Fprint(stderr, greeting(p, o, args[0]))
		}
		err = serve(p, o)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", o.name, err)
		return 1
	}
	return 0
}

// dumpOf is the plugin's description as Kong's query command wants it. It needs no network and no file.
func dumpOf(p Plugin, o options) []byte {
	return p.Schema.Dump(schema.DumpInfo{Name: o.name, SocketPath: o.socket, Version: p.Version, Priority: p.Priority, Phases: o.phases})
}

func printSchema(p Plugin, o options, w io.Writer) error {
	var text []byte
	var err error
	switch o.schema {
	case "lua":
		text, err = p.Schema.Lua(o.name)
	case "json":
		text = p.Schema.JSONSchema(o.name)
	case "md":
		text = []byte(p.Schema.Markdown())
	}
	if err != nil {
		return fmt.Errorf("-schema %s: %w", o.schema, err)
	}
	_, err = fmt.Fprintln(w, strings.TrimRight(string(text), "\n"))
	return err
}

func validateFile(p Plugin, o options, w io.Writer) error {
	file := o.validate
	read := func() ([]byte, error) { return os.ReadFile(file) }
	if file == "-" {
		file, read = "standard input", func() ([]byte, error) { return io.ReadAll(os.Stdin) }
	}
	data, err := read()
	if err != nil {
		return fmt.Errorf("-validate: %w", err)
	}
	var warnings []string
	problems := p.Schema.ValidateFile(o.name, file, data, func(config []byte) error {
		more, err := p.checkConfig(config)
		warnings = append(warnings, more...)
		return err
	})
	mistakes := 0
	for _, problem := range problems {
		fmt.Fprintln(w, problem.String())
		if !problem.Warning {
			mistakes++
		}
	}
	for _, text := range warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", file, text)
	}
	switch mistakes {
	case 0:
		fmt.Fprintf(w, "%s: no mistake found in what it says about %s\n", file, o.name)
		return nil
	case 1:
		return errors.New("1 mistake found")
	}
	return fmt.Errorf("%d mistakes found", mistakes)
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// greeting is for someone who starts the executable by hand.
func greeting(p Plugin, o options, executable string) string {
	key := "pluginserver_" + strings.ReplaceAll(o.name, "-", "_")
	return fmt.Sprintf(`%[1]s %[2]s is a plugin server for Kong Gateway. Usually Kong starts it. It now serves on
  %[3]s
until you press Ctrl-C. To let a running Kong use it, put this into kong.conf:
  plugins = bundled,%[1]s
  pluginserver_names = %[1]s
  %[4]s_socket = %[3]s
  %[4]s_query_cmd = %[5]s -dump
and, so that Kong starts it by itself:
  %[4]s_start_cmd = %[5]s -kong-prefix <Kong's prefix>
Next: "%[1]s -check" asks it for a sign of life, "%[1]s -help" lists the flags,
"kongdev -f kong.yml" runs it without Kong.
`, o.name, p.Version, o.socket, key, executable)
}

// checkConfig is the plugin's own opinion of a configuration: what its decoding says, and its Check and Warnings where it
// has them.
func (p Plugin) checkConfig(config []byte) (warnings []string, err error) {
	c := p.New()
	if err := json.Unmarshal(config, c); err != nil {
		return nil, err
	}
	if c, ok := c.(interface{ Warnings() []string }); ok {
		warnings = c.Warnings()
	}
	if c, ok := c.(interface{ Check() error }); ok {
		return warnings, c.Check()
	}
	return warnings, nil
}
