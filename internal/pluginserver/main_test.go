package pluginserver

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

// asPlugin in the environment makes the test binary a plugin: its Run is what the tests of processes start.
const asPlugin = "PLUGINSERVER_TEST_AS_PLUGIN"

// trailerMark stands before what a test has appended to a copy of the binary to make it another version.
const trailerMark = "\n--demo-version "

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		os.Exit(Run(demoPlugin(ownTrailer())))
	}
	os.Exit(m.Run())
}

// ownTrailer is the version that this copy of the binary was given.
func ownTrailer() string {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return ""
	}
	defer f.Close()
	tail := make([]byte, 64)
	if _, err := f.Seek(-int64(len(tail)), io.SeekEnd); err != nil {
		return ""
	}
	if _, err := io.ReadFull(f, tail); err != nil {
		return ""
	}
	_, version, _ := bytes.Cut(tail, []byte(trailerMark))
	return string(version)
}

// demoPlugin is the plugin of the process tests. Its version decides how it differs from version 1.0.0.
func demoPlugin(version string) Plugin {
	if version == "" {
		version = "1.0.0"
	}
	p := Plugin{Name: "demo", Version: version, Priority: 10, New: func() any { return &demoConfig{version: version} },
		Schema: schema.Plugin{Name: "demo", Fields: []schema.Field{{Name: "say", Type: schema.String}}}}
	var drainFile string
	p.Flags = func(f *flag.FlagSet) {
		f.StringVar(&drainFile, "drain-file", "", "written by Drain, after 300 ms")
		f.String("fail-file", "", "a worker exits at once while it exists")
	}
	p.Drain = func(ctx context.Context) error {
		slog.Info("demo drains")
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		if drainFile == "" {
			return nil
		}
		return os.WriteFile(drainFile, []byte(version), 0o600)
	}
	if version != "4.0.0" && !slices.Contains(os.Args, "-fail-file") {
		p.slack = 30 * time.Second // a busy machine may take seconds to start a worker, which no other test is about
	}
	if version == "2.1.0" {
		p.Schema.Fields = append(p.Schema.Fields, schema.Field{Name: "more", Type: schema.Boolean})
	}
	if _, isWorker := os.LookupEnv(workerMarker); isWorker {
		failing := version == "3.0.0"
		if i := slices.Index(os.Args, "-fail-file"); i >= 0 {
			_, err := os.Stat(os.Args[i+1])
			failing = failing || err == nil
		}
		if failing { // its workers never get ready
			os.Exit(4)
		}
		if version == "4.0.0" {
			select {} // nor do these
		}
	}
	return p
}

// demoConfig tells in a header what it was configured with and which version runs it.
type demoConfig struct {
	Say     string `json:"say"`
	SleepMS int    `json:"sleep_ms"`
	version string
}

func (c *demoConfig) Access(kong *pdk.PDK) {
	time.Sleep(time.Duration(c.SleepMS) * time.Millisecond)
	_ = kong.ServiceRequest.SetHeader("x-demo", c.Say+" "+c.version)
}

// A plugged is a plugin under test: a supervisor process and what it has logged.
type plugged struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	socket string
	stdin  *os.File
	log    lines
	exited chan struct{}
	err    error
}

// plug starts the test binary as a plugin, with a pipe as its standard input, as Kong does.
func plug(t *testing.T, dir string, executable string, flags ...string) *plugged {
	t.Helper()
	stdin, ours, err := os.Pipe()
	require.NoError(t, err)
	p := &plugged{t: t, dir: dir, socket: filepath.Join(dir, "demo.socket"), stdin: ours, exited: make(chan struct{})}
	p.cmd = &exec.Cmd{Path: executable, Args: append([]string{"demo", "-kong-prefix", dir}, flags...),
		Env: append(os.Environ(), asPlugin+"=1", "GORACE=atexit_sleep_ms=0"), Stdin: stdin, Stderr: &p.log, Stdout: &p.log, WaitDelay: 5 * time.Second,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if strings.HasPrefix(executable, dir) { // installed: found by its path
		p.cmd.Args[0] = executable
		p.cmd.Args = append(p.cmd.Args, "-name", "demo")
	}
	require.NoError(t, p.cmd.Start())
	_ = stdin.Close()
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = ours.Close()
		_ = os.Remove(p.socket) // so that the worker does not wait for a successor
		select {
		case <-p.exited:
		case <-time.After(time.Minute):
			_ = p.cmd.Process.Kill()
			<-p.exited
		}
		if t.Failed() {
			t.Logf("log of the plugin:\n%s", p.log.String())
		}
	})
	return p
}

// prefixFolder is a short folder that everyone may enter.
func prefixFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kd")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // other users start binaries from it
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// install puts a copy of the test binary, as that version, at path, as package managers do: by a rename.
func install(t testing.TB, path, version string) string {
	t.Helper()
	own, err := os.Executable()
	require.NoError(t, err)
	data, err := os.ReadFile(own)
	require.NoError(t, err)
	data = append(data, bytes.Repeat([]byte{0}, 64)...)
	data = append(data, trailerMark+version...)
	temp := path + ".new"
	// A process that starts in the meantime has the file open for writing until it is another program, and a file that is
	// open for writing cannot be executed.
	syscall.ForkLock.RLock()
	err = os.WriteFile(temp, data, 0o755) //nolint:gosec // an executable
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	require.NoError(t, os.Chmod(temp, 0o755)) //nolint:gosec // for other users too, whatever the umask
	require.NoError(t, os.Rename(temp, path))
	return path
}

func testExecutable(t testing.TB) string {
	t.Helper()
	own, err := os.Executable()
	require.NoError(t, err)
	return own
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(end) {
			require.FailNow(t, "never happened: "+what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// logged waits until the log has pattern n times and returns the first group of the nth.
func (p *plugged) logged(pattern string, n int) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found [][]string
	eventually(p.t, pattern+" in the log", func() bool {
		text := p.log.String()
		found = re.FindAllStringSubmatch(text[:strings.LastIndexByte(text, '\n')+1], -1) // whole lines: a number may have come in part
		return len(found) >= n
	})
	return found[n-1][len(found[n-1])-1]
}

// workerPID waits for the nth worker to be ready.
func (p *plugged) workerPID(n int) int {
	p.t.Helper()
	pid, err := strconv.Atoi(p.logged(`msg="worker ready" pid=(\d+)`, n))
	require.NoError(p.t, err)
	return pid
}

func (p *plugged) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// exit waits for the supervisor's end and returns its exit status, -1 when a signal killed it.
func (p *plugged) exit() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		require.FailNow(p.t, "the supervisor does not end")
	}
	var status *exec.ExitError
	if errors.As(p.err, &status) {
		return status.ExitCode()
	}
	return 0
}

// alive says whether there is such a process that has not ended.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
