package external

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/errorlog"
)

func runProcess(t *testing.T, command string) (*Process, *output, *atomic.Int64) {
	t.Helper()
	text, spawns := &output{}, &atomic.Int64{}
	log, err := errorlog.New(text, "info")
	require.NoError(t, err)
	p := Start(Server{Name: "p", StartCmd: command}, log, func(bool) { spawns.Add(1) })
	t.Cleanup(p.Stop)
	return p, text, spawns
}

func eventually(t *testing.T, text *output, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(text.String(), want) }, time.Minute, 2*time.Millisecond, want)
}

func TestProcessSurroundings(t *testing.T) {
	// The shell itself adds variables of its own, so env is what is run.
	mark := filepath.Join(t.TempDir(), "mark")
	p, text, _ := runProcess(t, `/usr/bin/env sh -c '/usr/bin/env; umask; echo to-stderr >&2; printf unfinished; : >`+mark+`; exec sleep 600'`)
	eventually(t, text, "to-stderr")
	require.Eventually(t, func() bool { _, err := os.Stat(mark); return err == nil }, time.Minute, time.Millisecond, "all is written")
	assert.NotZero(t, p.PID())
	p.Stop()
	out := text.String()
	assert.Contains(t, out, "] unfinished\n", "a last line without an end is logged when the process ends")
	assert.Contains(t, out, "[info] [p:")
	assert.Contains(t, out, "PWD=")
	assert.NotContains(t, out, "PATH=")
	assert.NotContains(t, out, "HOME=")
	assert.Contains(t, out, "] 0000\n")
}

// However late somebody comes to read, what an ended process has written is there.
func TestProcessLastWords(t *testing.T) {
	out, in, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _, _ = out.Close(), in.Close() }()
	_, err = in.WriteString("last words")
	require.NoError(t, err)
	require.NoError(t, out.SetReadDeadline(time.Now().Add(-time.Second)))
	text, err := io.ReadAll(&lastWords{File: out})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "somebody else still holds it open")
	assert.Equal(t, "last words", string(text))
}

// Output without a line's end does not fill the memory.
func TestProcessLongLines(t *testing.T) {
	p, text, _ := runProcess(t, `sh -c 'head -c 200000 /dev/zero | tr "\\0" x; echo; echo after; exec sleep 600'`)
	eventually(t, text, "] after\n")
	p.Stop()
	out := text.String()
	all := 0
	for line := range strings.Lines(out) {
		assert.Less(t, len(line), maxOutputLine+100)
		if strings.Contains(line, "xxx") {
			all += strings.Count(line, "x")
		}
	}
	assert.Equal(t, 200000, all)
}

func TestProcessRestart(t *testing.T) {
	t.Run("killed", func(t *testing.T) {
		p, text, spawns := runProcess(t, "sleep 600")
		require.Eventually(t, func() bool { return p.PID() != 0 }, time.Minute, time.Millisecond)
		first := p.PID()
		require.NoError(t, p.Signal(syscall.SIGKILL))
		require.Eventually(t, func() bool { return p.PID() != 0 && p.PID() != first }, time.Minute, time.Millisecond)
		assert.EqualValues(t, 2, spawns.Load())
		assert.Contains(t, text.String(), "terminated: signal: killed")
	})
	t.Run("a process that ends at once is started once a second", func(t *testing.T) {
		start := time.Now()
		_, _, spawns := runProcess(t, "true")
		require.Eventually(t, func() bool { return spawns.Load() >= 2 }, time.Minute, time.Millisecond)
		assert.GreaterOrEqual(t, time.Since(start), respawnWait)
	})
	t.Run("not found", func(t *testing.T) {
		_, text, _ := runProcess(t, "/nowhere/plugin")
		eventually(t, text, `external pluginserver "p" start command "/nowhere/plugin" exited with "command not found"`)
	})
}

func TestProcessStop(t *testing.T) {
	t.Run("SIGTERM is enough", func(t *testing.T) {
		p, _, _ := runProcess(t, "sleep 600")
		require.Eventually(t, func() bool { return p.PID() != 0 }, time.Minute, time.Millisecond)
		p.Stop()
		assert.Zero(t, p.PID())
	})
	t.Run("SIGKILL for the deaf, not before 45 ms", func(t *testing.T) {
		p, text, _ := runProcess(t, `sh -c 'trap "" TERM; echo deaf; while :; do sleep 1; done'`)
		eventually(t, text, "deaf")
		start := time.Now()
		p.Stop()
		assert.GreaterOrEqual(t, time.Since(start), 45*time.Millisecond)
		assert.Zero(t, p.PID())
	})
	t.Run("standard input is a pipe that ends with the gateway", func(t *testing.T) {
		mark := filepath.Join(t.TempDir(), "mark")
		p, text, _ := runProcess(t, `sh -c 'echo up; cat >/dev/null; echo over >`+mark+`'`)
		eventually(t, text, "up")
		assert.NoFileExists(t, mark)
		p.Stop()
	})
}

// output is a log that a test can read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *output) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *output) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
