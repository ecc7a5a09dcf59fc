package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/external"
)

const checkUsage = `kongdev check runs the query command of plugin binaries and says everything that Kong
Gateway ` + kongdev.Version + ` would refuse about their descriptions, in Kong's words and with a remedy.

usage: kongdev check PLUGIN ...

A PLUGIN is a binary, whose query command is PLUGIN -dump and whose plugin server is
called like the file; or a query command of several words, whose first one names it.

  refused  Kong does not start
  fails    Kong starts, and requests to the plugin fail
  remark   Kong takes it, and it may be a mistake

The exit status is 0 when there is nothing but remarks, 1 otherwise, 2 for a wrong
command line.
`

// parseOwn parses a subcommand's flags. done is set when the exit code is known already.
func parseOwn(f *flag.FlagSet, usage string, args []string, stderr io.Writer) (code int, done bool) {
	switch err := parseQuietly(f, args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		flags := false
		f.VisitAll(func(*flag.Flag) { flags = true })
		if flags {
			fmt.Fprintln(stderr)
			f.SetOutput(stderr)
			f.PrintDefaults()
		}
		return exitOK, true
	case err != nil:
		_, name, _ := strings.Cut(f.Name(), " ")
		fmt.Fprintf(stderr, "kongdev: %s: %v; %s -help tells more\n", name, err, f.Name())
		return exitUsage, true
	}
	return 0, false
}

// checkCommand is kongdev check.
func checkCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("kongdev check", flag.ContinueOnError)
	if code, done := parseOwn(f, checkUsage, args, stderr); done {
		return code
	}
	if f.NArg() == 0 {
		fmt.Fprintln(stderr, "kongdev: check: no plugin: name one or more binaries; kongdev check -help tells more")
		return exitUsage
	}
	code := exitOK
	out := newScreen(stdout)
	for _, arg := range f.Args() {
		server, err := queryOf(arg)
		if err != nil {
			fmt.Fprintf(stderr, "kongdev: check: %v\n", err)
			code = exitError
			continue
		}
		info, problems := external.Check(ctx, server)
		if ctx.Err() != nil {
			return exitError
		}
		bad := 0
		for _, p := range problems {
			if p.Verdict > external.Remark {
				bad++
			}
		}
		mark, verdict := out.in(green, "✓"), "Kong takes it"
		if bad > 0 {
			mark, verdict, code = out.in(red, "✗"), count(bad, "problem"), exitError
		}
		head := fmt.Sprintf("%s %s: %s", mark, clean(arg), verdict)
		if bad == 0 {
			head += fmt.Sprintf(": %s %s, priority %d, phases %s", clean(info.Name), info.Version, info.Priority, strings.Join(info.Phases, " "))
		}
		out.line(head)
		for _, p := range problems {
			out.line(fmt.Sprintf("  %-8s %s", p.Verdict, clean(strings.ReplaceAll(p.Text, ";\n", "; "))))
			out.line("           " + out.in(dim, "remedy: "+clean(p.Remedy)))
		}
	}
	return code
}

// queryOf is how to ask what an argument names: a binary, or a whole query command.
func queryOf(arg string) (external.Server, error) {
	info, err := os.Stat(arg)
	words := strings.Fields(arg)
	switch {
	case err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 == 0:
		return external.Server{}, fmt.Errorf("%s is no executable file; make it one with chmod +x", arg)
	case err == nil && info.Mode().IsRegular():
		path, err := filepath.Abs(arg)
		if err != nil {
			return external.Server{}, err
		}
		return external.Server{Name: filepath.Base(path), QueryCmd: quoteWord(path) + " -dump"}, nil
	case err == nil:
		return external.Server{}, fmt.Errorf("%s is no file; name the binary in it", arg)
	case len(words) < 2:
		return external.Server{}, fmt.Errorf("%w; name a binary, or a query command in quotes", err)
	}
	return external.Server{Name: filepath.Base(words[0]), QueryCmd: arg}, nil
}

// quoteWord makes s one word for the shell.
func quoteWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
