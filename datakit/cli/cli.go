// Package cli lets one see, check and try workflows of the plugin datakit before traffic meets them: without Kong, without
// the services that they call, and without a network.
//
// source.go finds the configurations in a file. Each command is a file; what run and test have in common is rehearsal.go,
// with host.go in the gateway's place and stub.go in that of the services.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Exit statuses of all commands.
const (
	exitGood  = 0
	exitBad   = 1 // the workflow or a case is not as it should be
	exitUsage = 2 // the command line is wrong, or a file cannot be read
)

// A command is a part of the binary datakit.
type command struct {
	name, usage, about string
	run                func(o *out, f *flag.FlagSet, args []string) (int, error)
}

// out is where a command writes.
type out struct{ stdout, stderr io.Writer }

func (o *out) printf(format string, args ...any) { fmt.Fprintf(o.stdout, format, args...) }

func commands() []command {
	return []command{validateCommand, graphCommand, runCommand, testCommand, convertCommand}
}

// Usages are how the commands are called, behind the name of the executable.
func Usages() (list []string) {
	for _, c := range commands() {
		list = append(list, c.usage)
	}
	return list
}

// Run does what args ask for, the first of which is a command's name, and returns the exit status.
func Run(args []string, stdout, stderr io.Writer) int {
	i := slices.IndexFunc(commands(), func(c command) bool { return len(args) > 0 && c.name == args[0] })
	if i < 0 {
		given := ""
		if len(args) > 0 {
			given = fmt.Sprintf("%q is no command; ", args[0])
		}
		fmt.Fprintf(stderr, "datakit: %sexpected validate, graph, run, test or convert; datakit -help tells more\n", given)
		return exitUsage
	}
	c := commands()[i]
	f := flag.NewFlagSet("datakit "+c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	status, err := c.run(&out{stdout, stderr}, f, args[1:])
	var usage *usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, c.help(f))
		return exitGood
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "datakit %s: %v\nusage: datakit %s; datakit %s -help lists the flags\n", c.name, err, c.usage, c.name)
		return exitUsage
	case err != nil:
		fmt.Fprintf(stderr, "datakit %s: %v\n", c.name, err)
	}
	return status
}

func (c command) help(f *flag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: datakit %s\n\n%s\n\n", c.usage, c.about)
	f.SetOutput(&b)
	f.PrintDefaults()
	return b.String()
}

// A usageError is a mistake on the command line.
type usageError struct{ error }

func wrongUsage(format string, args ...any) (int, error) {
	return exitUsage, &usageError{fmt.Errorf(format, args...)}
}

// parse reads flags, which may stand between and behind the other arguments. Those are returned.
func parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, &usageError{err}
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
}

// oneFile reads flags and the one file that they are about.
func oneFile(f *flag.FlagSet, args []string) (string, error) {
	rest, err := parse(f, args)
	if err == nil && len(rest) != 1 {
		err = &usageError{fmt.Errorf("expected one file, got %d", len(rest))}
	}
	if err != nil {
		return "", err
	}
	return rest[0], nil
}

// counted is a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
