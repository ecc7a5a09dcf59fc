// Package cli is the command `keyauth keys`: it makes, shows, ends, imports and exports the keys of a keys file, which the
// plugin of the same node follows.
//
// A key in clear is read from files and standard input only, and written once, to standard output, when it is made: a
// command line is visible to every user of the machine.
package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kong-go-plugins/keyauth/store"
)

const about = `keyauth keys makes, shows and ends API keys in the node's keys file; the plugin sees a change within seconds.
Run it as Kong's user, or as root. Only digests of keys are stored.

usage: keyauth keys COMMAND [flags] [ID...]

A key is never given on the command line, where every user of the machine can see it: -key-stdin reads it from standard
input. Exit status: 0, 1 when something is wrong or was left out, 2 for a wrong command line.
`

// A command is one word after `keyauth keys`.
type command struct {
	name, args, about string
	// define declares the flags and returns what the command does.
	define func(f *flag.FlagSet) func(*session) error
}

func commands() []command {
	return []command{
		{"create", "", "makes a key and prints it, this once, on standard output", defineCreate},
		{"list", "", "lists keys by consumer", defineList},
		{"show", "ID", "shows all that is known of a key", defineShow},
		{"revoke", "ID...", "removes keys: they are refused from then on", defineRevoke},
		{"disable", "ID...", "refuses keys until they are enabled", defineDisable},
		{"enable", "ID...", "takes that back", defineEnable},
		{"rotate", "ID", "makes a key for the same consumer and purposes and prints it; the old one ends after -grace", defineRotate},
		{"import", "", "takes keys over from a file or a Kong; the keys themselves stay good", defineImport},
		{"mirror", "", "makes a Redis have the keys of the keys file, no more and no fewer, for the store redis of many nodes", defineMirror},
		{"export", "", "prints keys as digests, for other nodes", defineExport},
	}
}

// streams are what a command talks to. Tests replace them.
type streams struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	warnings func(path string) []string // of where a keys file is: store.Warnings
}

// Run does what args, the words after `keyauth keys`, ask for. It returns the exit status.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return run(args, streams{stdin, stdout, stderr, time.Now, store.Warnings})
}

func run(args []string, std streams) int {
	if len(args) == 0 {
		fmt.Fprint(std.err, usage())
		return 2
	}
	if isHelp(args[0]) {
		fmt.Fprint(std.out, usage())
		return 0
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(args[1:], std)
		}
	}
	if strings.HasPrefix(args[0], "-") {
		fmt.Fprintf(std.err, "keyauth keys: the command comes first, flags behind it; want %s\n", names())
		return 2
	}
	fmt.Fprintf(std.err, "keyauth keys: there is no such command; want %s; keyauth keys -help says more\n", names())
	return 2
}

func isHelp(arg string) bool {
	return arg == "-help" || arg == "--help" || arg == "-h" || arg == "help"
}

func names() string {
	var all []string
	for _, c := range commands() {
		all = append(all, c.name)
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// usage is the help of all commands.
func usage() string {
	var b strings.Builder
	b.WriteString(about)
	for _, c := range commands() {
		f, _, _ := c.flags()
		fmt.Fprintf(&b, "\n%s\n", c.head())
		printFlags(&b, f, func(f *flag.Flag) bool { return !isCommon(f.Name) })
	}
	b.WriteString("\nof every command\n")
	f, _, _ := commands()[0].flags()
	printFlags(&b, f, func(f *flag.Flag) bool { return isCommon(f.Name) })
	return b.String()
}

func (c command) head() string {
	return strings.TrimRight("keyauth keys "+c.name+" [flags] "+c.args, " ") + ": " + c.about
}

func printFlags(b *strings.Builder, f *flag.FlagSet, want func(*flag.Flag) bool) {
	some := flag.NewFlagSet("", flag.ContinueOnError)
	f.VisitAll(func(f *flag.Flag) {
		if want(f) {
			some.Var(f.Value, f.Name, f.Usage)
		}
	})
	some.SetOutput(b)
	some.PrintDefaults()
}

// flags returns the command's flags, those of every command included.
func (c command) flags() (*flag.FlagSet, *common, func(*session) error) {
	f := flag.NewFlagSet("keyauth keys "+c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	common := defineCommon(f)
	return f, common, c.define(f)
}

func (c command) run(args []string, std streams) int {
	f, common, do := c.flags()
	fail := func(status int, err error) int {
		text := strings.ReplaceAll(strings.TrimRight(err.Error(), "\n"), "\n", "\n  ")
		fmt.Fprintf(std.err, "keyauth keys %s: %s\n", c.name, text)
		return status
	}
	rest, err := parse(f, args)
	if errors.Is(err, flag.ErrHelp) {
		var b strings.Builder
		b.WriteString(c.head() + "\n")
		printFlags(&b, f, func(*flag.Flag) bool { return true })
		fmt.Fprint(std.out, b.String())
		return 0
	}
	if err == nil {
		err = common.check()
	}
	if err == nil && len(rest) > 0 && c.args == "" {
		err = fmt.Errorf("there is a word that is no flag; keyauth keys %s -help says what it takes", c.name)
	}
	if err != nil {
		return fail(2, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &session{streams: std, common: common, ids: rest, ctx: ctx}
	err = do(s)
	if s.audited != nil {
		err = errors.Join(err, s.audited.err)
	}
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		return fail(2, err)
	case errors.Is(err, fs.ErrPermission):
		return fail(1, fmt.Errorf("%w; run it as Kong's user, or as root", err))
	}
	return fail(1, err)
}

// parse reads flags wherever they stand and returns the other words.
func parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if args = f.Args(); len(args) == 0 {
			return rest, nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// A usageError is a wrong command line.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// readSecret reads a key from standard input: one line, without its end.
func (s *session) readSecret() (string, error) {
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(s.in, most+int64(len("\r\n"))+1))
	if err != nil {
		return "", fmt.Errorf("-key-stdin: %w", err)
	}
	text = bytes.TrimRight(text, "\r\n")
	switch {
	case len(text) == 0:
		return "", errors.New("-key-stdin: standard input is empty; write the key to it")
	case len(text) > most:
		return "", fmt.Errorf("-key-stdin: the key has more than %d bytes, which no client can send", most)
	case bytes.ContainsAny(text, "\r\n"):
		return "", errors.New("-key-stdin: standard input has several lines; give one key")
	}
	return string(text), nil
}
