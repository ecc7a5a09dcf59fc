// Command kongdev runs Kong external plugins without Kong: a gateway for
// development that speaks Kong's plugin protocol. It is not for production.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/echo"
)

func main() {
	// A reader that goes away (kongdev | head) must not kill us: plugin servers
	// would be left behind. The failed write ends the command in order. Notify
	// and not Ignore, which the plugin servers would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // something is wrong and the text says what
	exitUsage = 2 // the flags are wrong
)

// settings are the flags.
type settings struct {
	file, listen, admin, plugins, prefix, logLevel string
	record, console                                string
	pluginFlags                                    map[string]string // by plugin
	collectorConfig, collectorRules                string
	command                                        []string // behind --
	workers                                        int
	ready                                          time.Duration // for the plugins to listen
	patience                                       time.Duration // for the demo's requests and then their events
	verbose, demo, once, version                   bool
}

const usage = `kongdev runs Kong external plugins without Kong: it reads a kong.yml, starts the
plugins' servers as Kong does and proxies requests through them.
It is a tool for development and tests, not for production.

usage: kongdev -f kong.yml [flags]                  serve until Ctrl-C
       kongdev -f kong.yml [flags] -- COMMAND ...   serve while the command runs, end with its exit status;
                                                    it finds the proxy's address in $KONGDEV_URL
       kongdev check PLUGIN ...                     say what Kong would refuse about plugin binaries
       kongdev replay -plugin PLUGIN FILE ...       play the gateway's side of recordings to a plugin binary

`

const moreUsage = `
kongdev check -help and kongdev replay -help tell more about these.

In the configuration, http://echo.kongdev is a built-in upstream and
http://collector.kongdev a built-in Moesif collector. The upstream serves:

`

func parseFlags(args []string, stderr io.Writer) (settings, error) {
	s := settings{ready: readyTimeout, patience: demoTimeout}
	f := flag.NewFlagSet("kongdev", flag.ContinueOnError)
	f.StringVar(&s.file, "f", "", "configuration `FILE` in Kong's declarative format")
	f.StringVar(&s.listen, "listen", "127.0.0.1:8000", "`ADDR` of the proxy, or several as in Kong's proxy_listen: \"127.0.0.1:8000, 127.0.0.1:8443 ssl\"; port 0 takes a free one (-demo: 127.0.0.1:0)")
	f.StringVar(&s.admin, "admin", "127.0.0.1:8001", "`ADDR` of the read-only Admin API; off for none (-demo: 127.0.0.1:0)")
	f.StringVar(&s.console, "console", "off", "`ADDR` of the console, a page for the browser of this machine, like 127.0.0.1:8002; off for none (-demo: 127.0.0.1:0)")
	f.StringVar(&s.plugins, "plugins", "", "`DIR` with the plugin binaries (default: built from source inside the repository)")
	f.Func("plugin-flags", "flags for one plugin, as `NAME=FLAGS` and for several plugins several times: -plugin-flags moesif=\"-phases access,log\"", s.addPluginFlags)
	f.StringVar(&s.collectorConfig, "collector-config", "", "JSON `FILE` that the built-in collector answers to GET /v1/config; read again when it changes")
	f.StringVar(&s.collectorRules, "collector-rules", "", "JSON `FILE` that it answers to GET /v1/rules, in the same way")
	f.StringVar(&s.prefix, "prefix", "", "`DIR` for sockets and temporary files, Kong's prefix (default: a temporary one)")
	f.IntVar(&s.workers, "workers", 2, "`NUMBER` of gateway workers, 1 to 64; each has its own plugin instances, as in Kong")
	f.StringVar(&s.logLevel, "log-level", "info", "`LEVEL` of Kong's error log on stderr: debug, info, notice, warn, error, crit or alert (-demo and with a command: warn)")
	f.BoolVar(&s.verbose, "v", false, "print each request as a tree: phases, PDK calls, arguments, results, times, flights (secrets and bodies are left out)")
	f.StringVar(&s.record, "record", "", "write every frame between gateway and plugins to `FILE`, for kongdev replay; it holds secrets and bodies")
	f.BoolVar(&s.demo, "demo", false, "send some requests, print what the collector received, then serve")
	f.BoolVar(&s.once, "once", false, "with -demo: end after the printout, with 0 only if every event arrived in full")
	f.BoolVar(&s.version, "version", false, "print the version and end")
	fail := func(format string, args ...any) (settings, error) {
		err := fmt.Errorf(format, args...)
		fmt.Fprintf(stderr, "kongdev: %v; -help lists the flags\n", err)
		return s, err
	}
	if err := parseQuietly(f, args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stderr, usage)
		f.SetOutput(stderr)
		f.PrintDefaults()
		fmt.Fprint(stderr, moreUsage, "  ", strings.ReplaceAll(echo.Help, "\n", "\n  "), "\n")
		return s, err
	} else if err != nil {
		return fail("%w", err)
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if s.demo {
		for name, target := range map[string]*string{"listen": &s.listen, "admin": &s.admin, "console": &s.console} {
			if !given[name] && (name != "console" || !s.once) { // nobody could look at it
				*target = "127.0.0.1:0"
			}
		}
	}
	if n := f.NArg(); n > 0 && n < len(args) && args[len(args)-n-1] == "--" {
		s.command = f.Args()
	}
	if (s.demo || s.command != nil) && !given["log-level"] {
		s.logLevel = "warn"
	}
	switch {
	case s.version:
	case f.NArg() > 0 && s.command == nil:
		return fail("unexpected argument %q", f.Arg(0))
	case s.file == "":
		return fail("no configuration: name one with -f kong.yml")
	case s.workers < 1 || s.workers > 64:
		return fail("-workers %d: 1 to 64 are possible", s.workers)
	case s.once && !s.demo:
		return fail("-once goes with -demo")
	case s.demo && s.command != nil:
		return fail("-demo goes without a command")
	}
	return s, nil
}

// parseQuietly parses flags and leaves it to the caller to say what is wrong with them: package flag prints the whole help
// behind a mistake, which is then out of sight.
func parseQuietly(f *flag.FlagSet, args []string) error {
	f.SetOutput(io.Discard)
	return f.Parse(args)
}

// addPluginFlags takes one -plugin-flags.
func (s *settings) addPluginFlags(text string) error {
	name, flags, ok := strings.Cut(text, "=")
	switch {
	case !ok || name == "" || strings.ContainsAny(name, " \t") || strings.TrimSpace(flags) == "":
		return errors.New("give it as NAME=FLAGS, like moesif=\"-phases access,log\"")
	case s.pluginFlags[name] != "":
		return fmt.Errorf("plugin %s has flags already; give all of them at once", name)
	case s.pluginFlags == nil:
		s.pluginFlags = map[string]string{}
	}
	s.pluginFlags[name] = flags
	return nil
}

// A subcommand has flags of its own.
type subcommand func(ctx context.Context, args []string, stdout, stderr io.Writer) int

var subcommands = map[string]subcommand{"check": checkCommand, "replay": replayCommand} // read-only

// run is the whole command; it returns when ctx ends or nobody reads stdout
// any more.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && subcommands[args[0]] != nil {
		return subcommands[args[0]](ctx, args[1:], stdout, stderr)
	}
	s, err := parseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case s.version:
		fmt.Fprintf(stdout, "kongdev, a development gateway that imitates Kong Gateway %s\n", kongdev.Version)
		return exitOK
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := newScreen(stdout)
	out.gone = cancel
	st, err := start(ctx, s, stderr)
	if err != nil {
		if ctx.Err() != nil {
			return exitOK // told to stop while starting
		}
		report(stderr, err)
		return exitError
	}
	code := exitOK
	switch {
	case s.command != nil:
		code = runBehind(ctx, st, s.command, stdout, stderr)
	case s.demo:
		code = demo(ctx, st, s.once, out)
	default:
		serve(ctx, st, out)
	}
	if err := st.close(); err != nil && code == exitOK {
		report(stderr, fmt.Errorf("while stopping: %w", err))
		if errors.Is(err, errIncomplete) {
			code = exitError
		}
	}
	return code
}

// report prints an error: the mistakes of a file one a line as they are, for
// editors that jump to them, all else with the command's name.
func report(stderr io.Writer, err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			report(stderr, err)
		}
		return
	}
	var problems declarative.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(stderr, problems)
		things := "mistakes"
		if len(problems) == 1 {
			things = "mistake"
		}
		fmt.Fprintf(stderr, "kongdev: not started: %d %s in the configuration\n", len(problems), things)
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(stderr, "kongdev: %s\n", line)
	}
}
