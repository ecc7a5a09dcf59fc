package benchmark

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A process is a plugin as Kong runs it: a supervisor and its worker.
type process struct {
	name   string // of the plugin
	socket string
	cmd    *exec.Cmd
}

// startBuilt builds a command of this project and starts it.
func startBuilt(b *testing.B, name string) *process {
	b.Helper()
	executable := filepath.Join(tempDir(b), name)
	build := exec.Command("go", "build", "-trimpath", "-o", executable, "kong-go-plugins/cmd/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(b, err, "%s", out)
	return start(b, name, executable)
}

// startSelf starts this test binary as one of the plugins of TestMain.
func startSelf(b *testing.B, name string) *process {
	b.Helper()
	self, err := os.Executable()
	require.NoError(b, err)
	executable := filepath.Join(tempDir(b), name)
	text, err := os.ReadFile(self)
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(executable, text, 0o700))
	return start(b, name, executable)
}

// tempDir is short: the path of a socket has 107 bytes at most.
func tempDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "b")
	require.NoError(b, err)
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(b *testing.B, name, executable string) *process {
	b.Helper()
	prefix := tempDir(b)
	p := &process{name: name, socket: filepath.Join(prefix, name+".socket"), cmd: exec.Command(executable, "-kong-prefix", prefix, "-log-level", "error")}
	p.cmd.Env = []string{}
	p.cmd.Stderr = os.Stderr
	require.NoError(b, p.cmd.Start())
	b.Cleanup(func() {
		for _, pid := range p.pids() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = p.cmd.Wait()
	})
	require.Eventually(b, func() bool {
		conn, err := net.Dial("unix", p.socket)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 20*time.Second, 5*time.Millisecond, "%s does not listen", name)
	return p
}

func (p *process) pids() []int {
	pids := []int{p.cmd.Process.Pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[0]))
	for _, t := range tasks {
		text, _ := os.ReadFile(t)
		for _, f := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// cpu is the processor time that supervisor and worker have used.
func (p *process) cpu(b *testing.B) (total time.Duration) {
	b.Helper()
	for _, pid := range p.pids() {
		var ts unix.Timespec
		const processClock = 2 // CPUCLOCK_SCHED of a process: linux/posix-timers.h
		require.NoError(b, unix.ClockGettime(int32(^pid<<3|processClock), &ts))
		total += time.Duration(ts.Nano())
	}
	return total
}

// resident is the most memory that supervisor and worker have held at a time, in bytes.
func (p *process) resident(b *testing.B) (total int) {
	b.Helper()
	for _, pid := range p.pids() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		require.NoError(b, err)
		_, after, found := strings.Cut(string(text), "VmHWM:")
		require.True(b, found)
		kilobytes, err := strconv.Atoi(strings.Fields(after)[0])
		require.NoError(b, err)
		total += kilobytes << 10
	}
	return total
}
