package moesif

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"kong-go-plugins/moesif/send"
	"kong-go-plugins/moesif/spool"
)

const replayUsage = `moesif replay sends what a spool folder holds: after a machine died, or when nothing configures the application any more.

usage: moesif replay [flags] SPOOL_FOLDER

SPOOL_FOLDER is spool_dir, or the folder of one application in it. The application id is read from -application-id-file
or standard input, never from the command line, which every user of the machine can see. Run it as Kong's user.
Exit status: 0 when nothing is left, 1 when something is, 2 for a wrong command line.

`

// A replayCommand is the command line of moesif replay.
type replayCommand struct {
	folder    string
	endpoint  string
	idFile    string
	dryRun    bool
	patience  time.Duration
	collector collectorFlags
}

func parseReplay(args []string, stderr io.Writer) (c replayCommand, err error) {
	f := flag.NewFlagSet("moesif replay", flag.ContinueOnError)
	var help bytes.Buffer
	f.SetOutput(&help)
	f.StringVar(&c.endpoint, "endpoint", "https://api.moesif.net", "api_endpoint, a `URL`")
	f.StringVar(&c.idFile, "application-id-file", "", "`file` that holds the application id; standard input when there is none")
	f.BoolVar(&c.dryRun, "dry-run", false, "print the events instead of sending them, one per line, and leave them there")
	f.DurationVar(&c.patience, "patience", time.Minute, "give up when the collector has taken nothing for this `time`")
	c.collector.register(f)
	f.Usage = func() {}
	if err := f.Parse(args); err != nil {
		help.Reset()
		f.PrintDefaults()
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stderr, replayUsage, help.String())
		}
		return c, err
	}
	switch f.NArg() {
	case 0:
		return c, errors.New("SPOOL_FOLDER is missing; moesif replay -help says more")
	case 1:
		c.folder = f.Arg(0)
		return c, nil
	}
	return c, fmt.Errorf("argument %q: not expected; flags stand before SPOOL_FOLDER", f.Arg(1))
}

// Replay is the command moesif replay; it returns the exit status.
func Replay(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c, err := parseReplay(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "moesif replay: %v\n", err)
		return 2
	}
	if c.dryRun {
		err = c.print(stdout, stderr)
	} else {
		err = c.send(stdin, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "moesif replay: %v\n", err)
		return 1
	}
	return 0
}

// print writes the events, one per line.
func (c replayCommand) print(stdout, stderr io.Writer) error {
	n := 0
	lost, err := spool.Each(c.folder, func(event []byte, _ time.Time) error {
		n++
		_, err := fmt.Fprintf(stdout, "%s\n", event)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%d events, none sent", n)
	if lost > 0 {
		fmt.Fprintf(stderr, "; %d are damaged", lost)
	}
	fmt.Fprintln(stderr)
	return nil
}

func (c replayCommand) send(stdin io.Reader, stdout, stderr io.Writer) error {
	endpoint, err := checkEndpoint(c.endpoint)
	if err != nil {
		return fmt.Errorf("-endpoint: %w", err)
	}
	web, err := c.collector.options()
	if err != nil {
		return err
	}
	if _, err := os.ReadDir(c.folder); err != nil { // before anybody types an id
		return err
	}
	id := ""
	if strings.HasPrefix(endpoint, "http") {
		if f, ok := stdin.(*os.File); ok && c.idFile == "" && term.IsTerminal(int(f.Fd())) {
			fmt.Fprint(stderr, "application id, then Ctrl-D: ")
		}
		if id, err = c.applicationID(stdin); err != nil {
			return err
		}
	}
	folder, err := applicationFolder(c.folder, endpoint, id)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(slog.New(slog.NewTextHandler(stderr, nil)))
	log.SetOutput(io.Discard) // net/http quotes there what a collector says out of turn, which may be a part of an event
	env := send.Env{Metrics: send.NewMetrics(), UserAgent: userAgent, HTTP: web,
		Notice: func(_, text string) { fmt.Fprintln(stderr, text) }}
	r, err := send.Replay(ctx, send.Settings{
		Endpoint: endpoint, ApplicationID: id, SpoolFolder: folder, SpoolMaxBytes: math.MaxInt64 / 2,
		MaxEvents: 10000, MaxBytes: 64 << 20, BatchEvents: 50, FlushAfter: 10 * time.Millisecond,
		ConnectTimeout: 5 * time.Second, SendTimeout: 30 * time.Second, Keepalive: 10 * time.Second, Compress: true,
	}, env, c.patience)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d events found, %d sent, %d refused, %d left\n", r.Found, r.Sent, r.Dropped, r.Left)
	if r.Left > 0 {
		return fmt.Errorf("%d events are left: the collector did not take them, or a process that runs sends them itself", r.Left)
	}
	return nil
}

// applicationID reads the id from the file or standard input.
func (c replayCommand) applicationID(stdin io.Reader) (string, error) {
	const most = 64 << 10
	from := "standard input"
	if c.idFile != "" {
		f, err := os.Open(c.idFile)
		if err != nil {
			return "", fmt.Errorf("-application-id-file: %w", err)
		}
		defer f.Close()
		stdin, from = f, "-application-id-file"
	}
	data, err := io.ReadAll(io.LimitReader(stdin, most))
	if err != nil {
		return "", fmt.Errorf("%s: %w", from, err)
	}
	id := strings.TrimSpace(string(data))
	if err := checkApplicationID(id); err != nil {
		return "", fmt.Errorf("%s: the application id: %w", from, err)
	}
	return id, nil
}

var applicationFolderName = regexp.MustCompile(`^[0-9a-f]{32}$`)

// applicationFolder finds the folder whose events are meant: the application's in spool_dir, or the one that was named.
func applicationFolder(named, endpoint, id string) (string, error) {
	own := spool.Folder(named, endpoint, id)
	if _, err := os.Stat(own); err == nil {
		return own, nil
	}
	entries, err := os.ReadDir(named)
	if err != nil {
		return "", err
	}
	var others []string
	for _, e := range entries {
		if e.IsDir() && applicationFolderName.MatchString(e.Name()) {
			others = append(others, filepath.Join(named, e.Name()))
		}
	}
	if len(others) > 0 {
		return "", fmt.Errorf("%s holds nothing of this application id and endpoint; to send what another one has left, name its folder:\n  %s",
			named, strings.Join(others, "\n  "))
	}
	return named, nil
}
