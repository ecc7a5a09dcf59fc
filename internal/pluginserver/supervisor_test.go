package pluginserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// dial connects as Kong does.
func (p *plugged) dial() *peer {
	p.t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.socket, Net: "unix"})
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = c.Close() })
	return &peer{p.t, c}
}

// said runs one access event and returns what the plugin put into its header.
func said(t *testing.T, c *peer, id int32) string {
	t.Helper()
	calls, err := c.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Len(t, calls, 1)
	return string(calls[0].args)
}

// again runs one access event as Kong does: when the connection ends cleanly before the event, it repeats it on another.
func (p *plugged) again(c *peer, id int32) string {
	p.t.Helper()
	calls, err := c.run(id, "access", noAnswer)
	if errors.Is(err, io.EOF) {
		_ = c.conn.Close()
		return said(p.t, p.dial(), id)
	}
	require.NoError(p.t, err)
	require.Len(p.t, calls, 1)
	return string(calls[0].args)
}

func TestPluginServesUntilItIsTerminated(t *testing.T) {
	dir := prefixFolder(t)
	drained := filepath.Join(dir, "drained")
	p := plug(t, dir, testExecutable(t), "-drain-file", drained)
	worker := p.workerPID(1)
	assert.NotEqual(t, p.cmd.Process.Pid, worker)
	st, err := os.Stat(p.socket)
	require.NoError(t, err)
	assert.Zero(t, st.Mode().Perm()&^socketMode, "mode %v", st.Mode())

	c := p.dial()
	id := c.start(map[string]any{"say": "hello"})
	assert.Contains(t, said(t, c, id), "hello 1.0.0")
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", worker))
	require.NoError(t, err)
	assert.Equal(t, "demo\n", string(comm), "the worker is found by name")
	group, err := syscall.Getpgid(worker)
	require.NoError(t, err)
	assert.Equal(t, worker, group, "a signal to Kong's group does not reach the worker")

	// Kong's successor has the socket: the worker need not wait for it. Not before the end is known: until then, a path that
	// names nothing is a socket to make again.
	p.signal(syscall.SIGTERM)
	p.logged("reason=terminated", 1)
	require.NoError(t, os.Rename(p.socket, p.socket+".gone"))
	_, err = c.tryRead()
	require.ErrorIs(t, err, io.EOF, "the idle connection is half-closed, not reset")
	_ = c.conn.Close()
	assert.Zero(t, p.exit())
	assert.FileExists(t, drained)
	assert.False(t, alive(worker))
	assert.FileExists(t, p.socket+".gone", "nobody unlinks the socket")
}

// What the plugin logs itself has the form that the flags say.
func TestPluginsOwnLines(t *testing.T) {
	t.Parallel()
	p := plug(t, prefixFolder(t), testExecutable(t), "-log-format", "json")
	p.logged(`"msg":"worker ready"`, 1)
	p.signal(syscall.SIGTERM)
	p.logged(`"reason":"terminated"`, 1)
	require.NoError(t, os.Remove(p.socket)) // nothing to wait for
	p.logged(`"level":"INFO","msg":"demo drains"}`, 1)
}

func TestTerminatedWorkerAcceptsUntilTheSocketIsReplaced(t *testing.T) {
	dir := prefixFolder(t)
	p := plug(t, dir, testExecutable(t))
	p.workerPID(1)
	c := p.dial()
	id := c.start(map[string]any{"say": "still here"})
	p.signal(syscall.SIGTERM)
	p.logged("reason=terminated", 1)
	fresh := p.dial()
	assert.Contains(t, said(t, fresh, id), "still here")
	_ = fresh.conn.Close()

	// Kong's reload: the next supervisor takes the path, nobody is refused, the one before ends.
	next := plug(t, dir, testExecutable(t))
	next.workerPID(1)
	_ = c.conn.Close()
	assert.Zero(t, p.exit())
	c = next.dial()
	assert.Contains(t, said(t, c, c.start(map[string]any{"say": "next"})), "next")
}

func TestOverlappingSupervisorsAreNeverRefused(t *testing.T) {
	dir := prefixFolder(t)
	first := plug(t, dir, testExecutable(t))
	first.workerPID(1)
	stop, done := make(chan struct{}), make(chan error, 1)
	var made atomic.Int64
	more := func() { // whatever has happened, connections are made after it
		t.Helper()
		before := made.Load()
		eventually(t, "connections are made", func() bool { return made.Load() >= before+10 || len(done) > 0 })
	}
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			c, err := net.Dial("unix", first.socket)
			if err != nil {
				done <- err
				return
			}
			made.Add(1)
			_ = c.Close()
			time.Sleep(5 * time.Millisecond) // a server that is held up for long has room for what waits
		}
	}()
	second := plug(t, dir, testExecutable(t))
	more()
	second.workerPID(1)
	more()
	first.signal(syscall.SIGTERM)
	assert.Zero(t, first.exit())
	more()
	close(stop)
	assert.NoError(t, <-done)
	left, err := filepath.Glob(filepath.Join(dir, ".demo*"))
	require.NoError(t, err)
	assert.Empty(t, left, "temporary names")
}

func TestIdleConnectionsAndInstancesSurviveTheWorker(t *testing.T) {
	dir := prefixFolder(t)
	p := plug(t, dir, testExecutable(t), "-metrics", "unix:"+filepath.Join(dir, "m"))
	p.workerPID(1)
	idle, busy := p.dial(), p.dial()
	id := idle.start(map[string]any{"say": "keep me"})
	slow := idle.start(map[string]any{"say": "slow", "sleep_ms": 20000})
	assert.Contains(t, said(t, busy, id), "keep me")
	p.remembers(2)
	survived := 0
	for i := range 5 {
		worker := p.workerPID(i + 1)
		before := p.events()
		busy.event(slow, "access")
		eventually(t, "the event has begun", func() bool { return p.events() > before })
		require.NoError(t, syscall.Kill(worker, syscall.SIGKILL))
		calls, err := idle.run(id, "access", noAnswer)
		if errors.Is(err, io.EOF) { // the worker died between its answer and the flag that says so, as it can on a busy machine
			_ = idle.conn.Close()
			idle = p.dial()
			assert.Contains(t, said(t, idle, id), "keep me 1.0.0", "the instance survives")
		} else {
			require.NoError(t, err)
			require.Len(t, calls, 1)
			assert.Contains(t, string(calls[0].args), "keep me 1.0.0", "the connection and the instance survive")
			survived++
		}
		_, err = busy.tryRead()
		require.ErrorIs(t, err, io.EOF, "a clean end, that Kong repeats the event after")
		_ = busy.conn.Close()
		busy = p.dial()
		assert.Contains(t, said(t, busy, id), "keep me")
	}
	assert.Positive(t, survived, "connections that survived their worker")
	eventually(t, "the held copies are dropped", func() bool { return openSockets(t, p.cmd.Process.Pid) < 12 })
}

func TestSocketThatIsRemovedIsMadeAgain(t *testing.T) {
	dir := prefixFolder(t)
	p := plug(t, dir, testExecutable(t), "-metrics", "unix:"+filepath.Join(dir, "m"))
	p.workerPID(1)
	before, err := os.Lstat(p.socket)
	require.NoError(t, err)
	idle := p.dial()
	id := idle.start(map[string]any{"say": "hello"})
	p.remembers(1)
	for i := range 2 {
		require.NoError(t, os.Remove(p.socket))
		p.logged("the socket was removed, listening on a new one", i+1)
		p.logged("handed over", i+1)
		assert.Contains(t, said(t, p.dial(), id), "hello", "a new connection, a known instance")
		assert.Contains(t, said(t, idle, id), "hello", "the connection that Kong has goes on")
	}
	after, err := os.Lstat(p.socket)
	require.NoError(t, err)
	require.Equal(t, before.Mode(), after.Mode())

	// The whole folder goes, and comes back: by another name in the meantime, so that nothing else is lost.
	require.NoError(t, os.Remove(p.socket))
	require.NoError(t, os.Rename(dir, dir+"x"))
	p.logged("cannot be made again.*does not exist; create it", 1)
	require.NoError(t, os.Rename(dir+"x", dir))
	p.logged("handed over", 3)
	assert.Contains(t, said(t, p.dial(), id), "hello")
}

func TestSocketOfAnotherIsNotTaken(t *testing.T) {
	path := filepath.Join(prefixFolder(t), "demo.socket")
	ours, id, err := listenSocket(path, socketMode)
	require.NoError(t, err)
	defer ours.Close()
	other, taken, err := listenSocket(path, socketMode)
	require.NoError(t, err)
	defer other.Close()
	s := supervisor{listener: ours, setup: workerSetup{Socket: path, ID: id}, serving: &workerProcess{socket: id}}
	s.keepSocket()
	require.Nil(t, s.change)
	now, err := fileIDOf(path)
	require.NoError(t, err)
	require.Equal(t, taken, now)
}

// openSockets counts a process's sockets.
func openSockets(t *testing.T, pid int) (n int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, fd := range fds {
		if target, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && strings.HasPrefix(target, "socket:") {
			n++
		}
	}
	return n
}

// However many connections Kong opens, the supervisor can start a worker.
func TestSupervisorKeepsDescriptorsForTheNextWorker(t *testing.T) {
	dir := prefixFolder(t)
	p := plug(t, dir, testExecutable(t), "-metrics", "unix:"+filepath.Join(dir, "m"))
	worker := p.workerPID(1)
	limit := unix.Rlimit{Cur: 120, Max: 120}
	require.NoError(t, unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, &limit, nil))
	var id int32
	for range 200 {
		id = p.dial().start(map[string]any{"say": "x", "__seq__": 9})
	}
	p.remembers(1)
	require.NoError(t, syscall.Kill(worker, syscall.SIGKILL))
	p.workerPID(2)
	assert.Contains(t, said(t, p.dial(), id), "x")
}

func TestWorkerWithoutDescriptorsSaysSo(t *testing.T) {
	p := plug(t, prefixFolder(t), testExecutable(t))
	limit := unix.Rlimit{Cur: 40, Max: 40}
	require.NoError(t, unix.Prlimit(p.workerPID(1), unix.RLIMIT_NOFILE, &limit, nil))
	for range 60 {
		p.dial()
	}
	p.logged("cannot accept connections: .*; raise the limit of open files", 1)
}

func TestWorkerThatHangsIsKilled(t *testing.T) {
	t.Parallel() // it takes ten seconds
	dir := prefixFolder(t)
	p := plug(t, dir, install(t, filepath.Join(dir, "demo.bin"), "4.0.0"))
	p.logged("worker not ready in time, killing it", 1)
}

func TestSupervisorHoldsNoClosedConnection(t *testing.T) {
	p := plug(t, prefixFolder(t), testExecutable(t))
	p.workerPID(1)
	before := openSockets(t, p.cmd.Process.Pid)
	var conns []*peer
	for range 50 {
		c := p.dial()
		c.start(map[string]any{})
		conns = append(conns, c)
	}
	eventually(t, "all are held", func() bool { return openSockets(t, p.cmd.Process.Pid) >= before+50 })
	for _, c := range conns {
		_ = c.conn.Close()
	}
	eventually(t, "none is held", func() bool { return openSockets(t, p.cmd.Process.Pid) <= before })
}

func TestSupervisorsDeathLetsTheWorkerFinish(t *testing.T) {
	dir := prefixFolder(t)
	drained := filepath.Join(dir, "drained")
	p := plug(t, dir, testExecutable(t), "-drain-file", drained)
	worker := p.workerPID(1)
	c := p.dial()
	id := c.start(map[string]any{"say": "orphan"})
	p.signal(syscall.SIGKILL)
	assert.Equal(t, -1, p.exit())
	assert.Contains(t, said(t, c, id), "orphan", "it still serves")
	fresh := p.dial()
	assert.Contains(t, said(t, fresh, id), "orphan", "it still accepts")
	_ = fresh.conn.Close()

	next := plug(t, dir, testExecutable(t))
	next.workerPID(1)
	_, err := c.tryRead()
	require.ErrorIs(t, err, io.EOF)
	_ = c.conn.Close()
	eventually(t, "the worker ends", func() bool { return !alive(worker) })
	assert.FileExists(t, drained)
}

func TestEndOfStandardInputIsTheEndOfKong(t *testing.T) {
	p := plug(t, prefixFolder(t), testExecutable(t))
	worker := p.workerPID(1)
	_ = p.stdin.Close()
	p.logged("parent process is gone", 1)
	require.NoError(t, os.Remove(p.socket))
	assert.Zero(t, p.exit())
	assert.False(t, alive(worker))
}

func TestInterruptDoesNotWait(t *testing.T) {
	p := plug(t, prefixFolder(t), testExecutable(t))
	p.workerPID(1)
	begin := time.Now()
	p.signal(syscall.SIGINT)
	assert.Zero(t, p.exit())
	assert.Less(t, time.Since(begin), acceptGrace+demoPlugin("").slack)
}

func TestHandOver(t *testing.T) {
	dir := prefixFolder(t)
	executable := install(t, filepath.Join(dir, "demo.bin"), "1.0.0")
	drained := filepath.Join(dir, "drained")
	p := plug(t, dir, executable, "-drain-file", drained, "-metrics", "unix:"+filepath.Join(dir, "m"))
	old := p.workerPID(1)
	idle, busy := p.dial(), p.dial()
	id := idle.start(map[string]any{"say": "same"})
	slow := idle.start(map[string]any{"say": "slow", "sleep_ms": 300})
	busy.event(slow, "access")
	eventually(t, "the event has begun", func() bool { return p.events() > 0 }) // what has not is the successor's

	install(t, executable, "2.0.0")
	p.signal(syscall.SIGHUP)
	p.workerPID(2)
	eventually(t, "the new version answers on the old connection", func() bool { return strings.Contains(said(t, idle, id), "same 2.0.0") })
	for frame := range 3 { // the event that was under way ends where it began
		payload := busy.read()
		if frame == 1 {
			assert.Contains(t, string(payload), "slow 1.0.0")
			busy.send(nil)
		}
	}
	assert.NotEmpty(t, busy.read(), "the return of the event")
	eventually(t, "its connection moves too", func() bool { return strings.Contains(said(t, busy, id), "same 2.0.0") })
	assert.Contains(t, said(t, p.dial(), id), "same 2.0.0")
	eventually(t, "the old worker ends", func() bool { return !alive(old) })
	text, err := os.ReadFile(drained)
	require.NoError(t, err)
	assert.Equal(t, "1.0.0", string(text))

	// A worker that dies now is started again from the new executable, even if that is gone.
	require.NoError(t, os.Remove(executable))
	require.NoError(t, syscall.Kill(p.workerPID(2), syscall.SIGKILL))
	p.workerPID(3)
	assert.Contains(t, p.again(idle, id), "same 2.0.0")
}

func TestHandOverRefused(t *testing.T) {
	dir := prefixFolder(t)
	executable := install(t, filepath.Join(dir, "demo.bin"), "1.0.0")
	p := plug(t, dir, executable)
	worker := p.workerPID(1)
	c := p.dial()
	id := c.start(map[string]any{"say": "stay"})
	refusals := 0
	for _, tc := range []struct{ name, cause string }{
		{"missing", "no such file"},
		{"garbage", "exec format error"},
		{"2.1.0", "its schema differs"},
		{"3.0.0", "it ended before it was ready: exit status 4"},
	} {
		switch tc.name {
		case "missing":
			require.NoError(t, os.Remove(executable))
		case "garbage":
			require.NoError(t, os.WriteFile(executable, []byte("no program"), 0o755)) //nolint:gosec // it shall be started
		default:
			install(t, executable, tc.name)
		}
		p.signal(syscall.SIGHUP)
		refusals++
		p.logged("hand-over refused", refusals)
		assert.Contains(t, p.log.String(), tc.cause, tc.name)
		assert.Contains(t, said(t, c, id), "stay 1.0.0", tc.name)
		assert.True(t, alive(worker), tc.name)
	}
}

func TestWorkerThatIsTerminatedIsReplaced(t *testing.T) {
	p := plug(t, prefixFolder(t), testExecutable(t))
	worker := p.workerPID(1)
	c := p.dial()
	id := c.start(map[string]any{"say": "moved"})
	require.NoError(t, syscall.Kill(worker, syscall.SIGTERM))
	p.workerPID(2)
	eventually(t, "the worker ends", func() bool { return !alive(worker) })
	assert.Contains(t, said(t, c, id), "moved")
}

func TestPolicyAnswersWhileNoWorkerIsReady(t *testing.T) {
	dir := prefixFolder(t)
	failing := filepath.Join(dir, "fail")
	p := plug(t, dir, testExecutable(t), "-fail-file", failing, "-metrics", "unix:"+filepath.Join(dir, "m"))
	worker := p.workerPID(1)
	times := 1 // that the policy answers; a busy machine may have taken long to start the first worker, too
	const begins, ends = "no worker is ready, events are answered with status 500; the last worker: ", "no event is answered by policy any more"
	if strings.Contains(p.log.String(), begins) {
		p.logged(ends, 1)
		times = 2
	}
	c := p.dial()
	id := c.start(map[string]any{"say": "back"})
	assert.Contains(t, said(t, c, id), "back")
	p.remembers(1)
	require.NoError(t, os.WriteFile(failing, nil, 0o600))
	require.NoError(t, syscall.Kill(worker, syscall.SIGKILL))

	other := p.dial()
	calls, _ := other.run(id, "access", noAnswer)
	require.NotEmpty(t, calls)
	assert.Equal(t, exitMethod, calls[len(calls)-1].method, "500, for this plugin fails closed")
	p.logged(begins, times)
	p.logged("exit status 4", 1)
	err := checkWithin(waitFor, options{name: "demo", socket: p.socket}, io.Discard)
	assert.ErrorContains(t, err, "answers, but only by the plugin's policy, because no worker is ready; its log says why")

	started := p.dial().start(map[string]any{"say": "started meanwhile"})
	require.NoError(t, os.Remove(failing))
	p.workerPID(2)
	p.logged(ends, times)
	assert.Contains(t, p.again(c, id), "back")
	assert.Contains(t, said(t, p.dial(), started), "started meanwhile")
	assert.NoError(t, checkWithin(waitFor, options{name: "demo", socket: p.socket}, io.Discard))
}

func TestLargeConfigurationsSurviveTheWorker(t *testing.T) {
	dir := prefixFolder(t)
	p := plug(t, dir, testExecutable(t), "-metrics", "unix:"+filepath.Join(dir, "m"))
	p.workerPID(1)
	c := p.dial()
	id := c.start(map[string]any{"say": strings.Repeat("x", 1<<20)})
	p.remembers(1)
	require.NoError(t, syscall.Kill(p.workerPID(1), syscall.SIGKILL))
	p.workerPID(2)
	assert.Greater(t, len(p.again(c, id)), 1<<20)
}

// remembers waits until the supervisor knows that many instances: it learns of them after Kong has its answer.
func (p *plugged) remembers(instances int) {
	p.t.Helper()
	line := fmt.Sprintf("\ndemo_supervisor_instances %d\n", instances)
	eventually(p.t, "instances reach the supervisor", func() bool { return strings.Contains(p.metrics(filepath.Join(p.dir, "m")), line) })
}

// events is how many access events the worker has begun.
func (p *plugged) events() (n int) {
	p.t.Helper()
	var text string
	eventually(p.t, "the worker's metrics", func() bool {
		text = p.metrics(filepath.Join(p.dir, "m"))
		return strings.Contains(text, "\ndemo_server_connections ")
	})
	if _, rest, found := strings.Cut(text, `demo_server_events_total{phase="access"} `); found {
		_, err := fmt.Sscan(rest, &n)
		require.NoError(p.t, err)
	}
	return n
}

// metrics scrapes the metrics socket; "" while there is none.
func (p *plugged) metrics(path string) string {
	p.t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}}
	return scrapeText(p.t, &client, "http://plugin")
}

func scrapeText(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := client.Get(url + "/metrics")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	text, err := io.ReadAll(resp.Body)
	if err != nil { // the answer took too long
		return ""
	}
	return string(text)
}

func TestPanicOfTheWorkerReachesTheLog(t *testing.T) {
	p := plug(t, prefixFolder(t), testExecutable(t))
	require.NoError(t, syscall.Kill(p.workerPID(1), syscall.SIGQUIT)) // Go prints its stacks and exits
	p.logged("SIGQUIT: quit", 1)
	p.logged("goroutine 1 ", 1)
	p.workerPID(2)
	p.logged(`msg="worker died".*exit="exit status 2"`, 1)
}

func TestMetrics(t *testing.T) {
	// An address of this process alone: on the usual one, others could have got the port before the plugin has it.
	pid := os.Getpid()
	taken, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, pid&255))
	require.NoError(t, err)
	address := taken.Addr().String()
	p := plug(t, prefixFolder(t), testExecutable(t), "-metrics", address)
	p.logged("metrics address cannot be used, trying again", 1)
	first := p.workerPID(1)
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	p.workerPID(2)
	c := p.dial()
	said(t, c, c.start(map[string]any{}))
	require.NoError(t, taken.Close())
	p.logged("serving metrics", 1)

	for _, line := range []string{"demo_supervisor_worker_restarts_total 1", "demo_supervisor_held_connections 1",
		`demo_supervisor_handovers_total{result="done"} 0`, `demo_server_events_total{phase="access"} 1`, "go_goroutines ",
		"demo_worker_log_lines_dropped_total 0"} {
		// The supervisor hears of connections after Kong has its answer, and does without a worker that takes long.
		eventually(t, line, func() bool { return strings.Contains(scrapeText(t, http.DefaultClient, "http://"+address), "\n"+line) })
	}
	resp, err := http.Get("http://" + address + "/")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestFolderThatIsNotOurs(t *testing.T) {
	dir := prefixFolder(t)
	executable := install(t, filepath.Join(dir, "demo.bin"), "1.0.0")
	closed := filepath.Join(dir, "closed")
	require.NoError(t, os.Mkdir(closed, 0o755)) //nolint:gosec // readable, not writable
	require.NoError(t, os.Chmod(closed, 0o755)) //nolint:gosec // whatever the umask
	cmd := exec.Command(executable, "-kong-prefix", closed)
	cmd.Env = append(os.Environ(), asPlugin+"=1")
	if os.Geteuid() == 0 { // root may write anywhere
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	} else {
		require.NoError(t, os.Chmod(closed, 0o555)) //nolint:gosec // not writable
	}
	out, err := cmd.CombinedOutput()
	var status *exec.ExitError
	require.True(t, errors.As(err, &status), "%v", err)
	assert.Equal(t, 1, status.ExitCode())
	assert.Contains(t, string(out), "may not write there")
	assert.Contains(t, string(out), "-kong-prefix")
}

func TestDumpOfTheProcess(t *testing.T) {
	cmd := exec.Command(testExecutable(t), "-dump", "-kong-prefix", "/nowhere")
	cmd.Args[0] = "/opt/plugins/demo-two"
	cmd.Env = []string{asPlugin + "=1"} // Kong's environment is as good as empty
	out, err := cmd.Output()
	require.NoError(t, err)
	var d struct {
		Protocol, SocketPath string
	}
	require.NoError(t, json.Unmarshal(out, &d))
	assert.Equal(t, "ProtoBuf:1", d.Protocol)
	assert.Equal(t, "/nowhere/demo-two.socket", d.SocketPath)
	parsed, err := parseDump(out)
	require.NoError(t, err)
	assert.Equal(t, "demo-two", parsed.Name)
	assert.Equal(t, []string{"access"}, parsed.Phases)
}
