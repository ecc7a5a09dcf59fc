package pluginserver

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// defaultPrefix is where Kong's images keep their working files.
const defaultPrefix = "/usr/local/kong"

// An action is what a process was asked to do instead of serving.
type action string

const (
	serveAction    action = ""
	dumpAction     action = "-dump"
	versionAction  action = "-version"
	helpAction     action = "-help"
	checkAction    action = "-check"
	validateAction action = "-validate"
	schemaAction   action = "-schema"
)

// options are the command line. Everything is there, because Kong gives plugin processes an empty environment.
type options struct {
	action       action
	name         string // the plugin's name, and its socket's
	socket       string // absolute path
	phases       []string
	metrics      string // address, or unix:PATH; "" = none
	log          logOptions
	refuseByExit bool
	validate     string // file
	schema       string // lua, json, md
	usage        string
}

// parseOptions reads a command line (args[0] is the executable). The error is for the user; options.usage is there in
// any case.
func parseOptions(p Plugin, args []string) (options, error) {
	o := options{name: defaultName(p, args)}
	f := flag.NewFlagSet(o.name, flag.ContinueOnError)
	var prefix, phaseList, level, format, refuse string
	var dump, version, help, check bool
	f.StringVar(&prefix, "kong-prefix", defaultPrefix, "Kong's prefix: the `folder` of the socket")
	f.StringVar(&o.name, "name", o.name, "the plugin's `name` for Kong, and the socket's: <prefix>/<name>.socket")
	f.StringVar(&phaseList, "phases", "", "announce only these of the plugin's phases, a comma `list`")
	f.StringVar(&o.metrics, "metrics", "", "serve Prometheus metrics on this `address` (127.0.0.1:9542, unix:/run/moesif.metrics)")
	f.StringVar(&level, "log-level", "info", "least `level` that is logged: debug, info, warn, error")
	f.StringVar(&format, "log-format", "text", "`format` of log lines: text, json")
	f.StringVar(&refuse, "refuse", "delayed", "how requests are refused, `way`: delayed (as bundled plugins do) or exit")
	f.BoolVar(&dump, "dump", false, "print the plugin's description for Kong (its query command) and exit")
	f.BoolVar(&version, "version", false, "print the version and exit")
	f.BoolVar(&help, "help", false, "print this text and exit")
	f.BoolVar(&check, "check", false, "ask the running plugin server at the socket for a sign of life; exit status 0 or 1")
	f.StringVar(&o.validate, "validate", "", "check the plugin's configuration in a `file` (- is standard input): kong.yml, KongPlugin manifest or the bare config; exit status 0 or 1")
	f.StringVar(&o.schema, "schema", "", "print the configuration's schema in a `form`: lua (Konnect), json (JSON Schema), md (table)")
	if p.Flags != nil {
		p.Flags(f)
	}
	o.usage = usageText(p, f)
	var discard bytes.Buffer
	f.SetOutput(&discard) // it would print the usage by itself
	if err := f.Parse(args[min(1, len(args)):]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			o.action = helpAction
			return o, nil
		}
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("argument %q: not expected; every setting is a flag", f.Arg(0))
	}

	var asked []action
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for a, on := range map[action]bool{dumpAction: dump, versionAction: version, helpAction: help, checkAction: check,
		validateAction: given["validate"], schemaAction: given["schema"]} {
		if on {
			asked = append(asked, a)
		}
	}
	slices.Sort(asked)
	if len(asked) > 1 {
		return o, fmt.Errorf("%s and %s: one at a time", asked[0], asked[1])
	}
	if len(asked) == 1 {
		o.action = asked[0]
	}

	var errs []error
	var err error
	if o.log, err = parseLogOptions(level, format); err != nil {
		errs = append(errs, err)
	}
	if o.phases, err = parsePhases(p, phaseList, given["phases"]); err != nil {
		errs = append(errs, err)
	}
	if !isPluginName(o.name) {
		errs = append(errs, fmt.Errorf("-name %q: expected 1 to 128 letters, digits, - or _", o.name))
	}
	switch refuse {
	case "delayed":
	case "exit":
		o.refuseByExit = true
	default:
		errs = append(errs, fmt.Errorf("-refuse %q: expected delayed or exit", refuse))
	}
	if given["schema"] && !slices.Contains([]string{"lua", "json", "md"}, o.schema) {
		errs = append(errs, fmt.Errorf("-schema %q: expected lua, json or md", o.schema))
	}
	if given["validate"] && o.validate == "" {
		errs = append(errs, errors.New("-validate: a file name is missing"))
	}
	if o.metrics != "" {
		if _, _, err := metricsAddress(o.metrics); err != nil {
			errs = append(errs, err)
		}
	}
	if o.action == serveAction && p.CheckFlags != nil {
		errs = append(errs, p.CheckFlags())
	}
	if prefix, err = filepath.Abs(prefix); err != nil {
		errs = append(errs, fmt.Errorf("-kong-prefix %q: %w", prefix, err))
	}
	o.socket = filepath.Join(prefix, o.name+".socket")
	return o, errors.Join(errs...)
}

// defaultName is the executable's base name if that can be a plugin's name, as for go-pdk's server, else the plugin's own.
func defaultName(p Plugin, args []string) string {
	if len(args) > 0 {
		if base := filepath.Base(args[0]); isPluginName(base) {
			return base
		}
	}
	return p.Name
}

func isPluginName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return name != "" && len(name) <= 128
}

// parsePhases returns the phases to announce, in Kong's order: those of the list, all when no list was given.
func parsePhases(p Plugin, list string, given bool) ([]string, error) {
	have := phasesOf(p)
	if !given {
		return have, nil
	}
	asked := map[string]bool{}
	var errs []error
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(have, name) && !asked[name] {
			errs = append(errs, fmt.Errorf("-phases %q: the plugin has %s", name, strings.Join(have, ", ")))
		}
		asked[name] = true
	}
	return slices.DeleteFunc(slices.Clone(have), func(name string) bool { return !asked[name] }), errors.Join(errs...)
}

func usageText(p Plugin, f *flag.FlagSet) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s is a plugin server for Kong Gateway. Kong starts it and talks to it over a socket.\n\nusage: %s [flags]\n", f.Name(), p.Version, f.Name())
	for _, command := range p.Commands {
		fmt.Fprintf(&b, "       %s %s\n", f.Name(), command)
	}
	b.WriteString("\n")
	f.SetOutput(&b)
	f.PrintDefaults()
	fmt.Fprintf(&b, `
signals to the running process: HUP hands over to the executable that is now at its path, without a failed request;
TERM ends it after what it holds is sent.
`)
	return b.String()
}
