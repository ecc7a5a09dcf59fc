package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/replay"
)

const replayUsage = `kongdev replay starts a plugin server and plays the gateway's side of recordings to it:
the configurations, the events, and the answers to the plugin's calls. It reports what
the plugin does otherwise: calls that are new, missing, or have other arguments.

usage: kongdev replay -plugin PLUGIN [flags] FILE ...
       kongdev replay -socket PATH [flags] FILE ...

A FILE is a recording of kongdev -record; several are played one after another. A PLUGIN
is a binary, or a start command in quotes; -kong-prefix and a folder are added to it.
Arguments with secrets and bodies are compared and not shown. An id that is new at every
run (a UUID, 32 hexadecimal digits) equals any other (but -exact), and what the
plugin logs is not compared (but -logs): it may tell of the surroundings.

The exit status is 0 when there is no difference, 1 otherwise, 2 for a wrong command line.
`

// replayCommand is kongdev replay.
func replayCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("kongdev replay", flag.ContinueOnError)
	plugin := f.String("plugin", "", "the `PLUGIN` to start")
	socket := f.String("socket", "", "`PATH` of the socket of a plugin server that runs already")
	exact := f.Bool("exact", false, "ids that are new at every run must be equal too")
	logs := f.Bool("logs", false, "what the plugin logs must be equal too")
	timeout := f.Duration("timeout", 10*time.Second, "how long the plugin may take for each call (Kong: 60s)")
	level := f.String("log-level", "warn", "`LEVEL` of the log on stderr; info shows what the plugin prints")
	if code, done := parseOwn(f, replayUsage, args, stderr); done {
		return code
	}
	usage := ""
	switch {
	case f.NArg() == 0:
		usage = "no recording: name one or more files"
	case (*plugin == "") == (*socket == ""):
		usage = "no plugin server: name one with -plugin or -socket, not both"
	case *timeout <= 0:
		usage = "-timeout must be more than 0"
	}
	if usage != "" {
		fmt.Fprintf(stderr, "kongdev: replay: %s; kongdev replay -help tells more\n", usage)
		return exitUsage
	}
	code, err := replayFiles(ctx, replaySettings{*plugin, *socket, *level, *timeout, *exact, *logs, f.Args()}, newScreen(stdout), stderr)
	if err != nil {
		report(stderr, fmt.Errorf("replay: %w", err))
		return exitError
	}
	return code
}

type replaySettings struct {
	plugin, socket, level string
	timeout               time.Duration
	exact, logs           bool
	files                 []string
}

// played is where the frames of a file begin in the whole.
type played struct {
	file  string
	first int
}

func replayFiles(ctx context.Context, s replaySettings, out *screen, stderr io.Writer) (int, error) {
	var all []frames.Frame
	var parts []played
	for _, name := range s.files {
		recording, err := readRecording(name)
		if err != nil {
			return 0, err
		}
		parts = append(parts, played{name, len(all)})
		all = append(all, recording...)
	}
	if err := replay.Check(all); err != nil { // before anything is started
		return 0, place(parts, err)
	}
	stop, err := s.startServer(ctx, stderr)
	if err != nil {
		return 0, err
	}
	defer stop()
	folder, err := os.MkdirTemp("", "kongdev")
	if err != nil {
		return 0, fmt.Errorf("folder for bodies: %w", err)
	}
	defer os.RemoveAll(folder)
	p := &replay.Player{Folder: folder, Timeout: s.timeout, Exact: s.exact, Logs: s.logs, Dial: func() (net.Conn, error) { return net.Dial("unix", s.socket) }}
	result, err := p.Play(ctx, all)
	if errors.Is(err, context.Canceled) {
		return 0, errors.New("interrupted")
	} else if err != nil {
		return 0, err
	}
	for _, d := range result.Differences {
		file, frame := locate(parts, d.Frame)
		out.line(fmt.Sprintf("%s %s: frame %d: %s", out.in(red, "✗"), file, frame, clean(d.Text)))
		if d.Recorded != "" {
			out.line("    recorded  " + clean(d.Recorded))
		}
		if d.Now != "" {
			out.line("    now       " + clean(d.Now))
		}
	}
	mark := out.in(green, "✓")
	if len(result.Differences) > 0 {
		mark = out.in(red, "✗")
	}
	out.line(fmt.Sprintf("%s %s played: %s, %s, %s, %s", mark, count(len(s.files), "recording"), count(result.Instances, "instance"),
		count(result.Events, "event"), count(result.Calls, "call"), count(len(result.Differences), "difference")))
	if len(result.Differences) > 0 {
		return exitError, nil
	}
	return exitOK, nil
}

// readRecording reads a file.
func readRecording(name string) ([]frames.Frame, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("recording: %w; name a file that kongdev -record has written", err)
	}
	defer file.Close()
	recording, err := frames.Read(file)
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w", name, err)
	}
	if len(recording) == 0 {
		return nil, fmt.Errorf("recording %s: it is empty; was a request sent while it was recorded?", name)
	}
	return recording, nil
}

// locate is the file and the frame in it of a frame of the whole, both from 1.
func locate(parts []played, frame int) (string, int) {
	at := parts[0]
	for _, p := range parts {
		if p.first < frame {
			at = p
		}
	}
	return at.file, frame - at.first
}

// place gives an error of several recordings the name of the only one.
func place(parts []played, err error) error {
	if len(parts) == 1 {
		return fmt.Errorf("recording %s: %w", parts[0].file, err)
	}
	return fmt.Errorf("recordings: %w (counted through all files)", err)
}

// startServer starts the plugin server, if that is asked for, and waits until it listens.
func (s *replaySettings) startServer(ctx context.Context, stderr io.Writer) (stop func(), err error) {
	stop = func() {}
	if s.plugin != "" {
		server, err := queryOf(s.plugin)
		if err != nil {
			return nil, err
		}
		prefix, err := os.MkdirTemp("", "kongdev")
		if err != nil {
			return nil, fmt.Errorf("prefix: %w", err)
		}
		s.socket = filepath.Join(prefix, server.Name+".socket")
		server.StartCmd = s.plugin + " -kong-prefix " + quoteWord(prefix)
		if path, err := filepath.Abs(s.plugin); err == nil {
			if _, err := os.Stat(path); err == nil {
				server.StartCmd = quoteWord(path) + " -kong-prefix " + quoteWord(prefix)
			}
		}
		end, err := external.Run(server, stderr, s.level)
		if err != nil {
			_ = os.RemoveAll(prefix)
			return nil, err
		}
		stop = func() {
			end()
			_ = os.RemoveAll(prefix)
		}
	}
	bounded, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		conn, err := net.Dial("unix", s.socket)
		if err == nil {
			_ = conn.Close()
			kongdev.AwaitWorker(bounded, s.socket, "")
			return stop, nil
		}
		select {
		case <-bounded.Done():
			stop()
			return nil, fmt.Errorf("nobody listens on %s: %w; -log-level info shows what the plugin prints", s.socket, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
