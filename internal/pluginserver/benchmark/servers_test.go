package benchmark

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	pdkserver "github.com/Kong/go-pdk/server"
	"golang.org/x/sys/unix"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/schema"
)

// roleVar tells the re-executed test binary which server to be.
const roleVar = "PLUGINSERVER_BENCHMARK_ROLE"

// Roles. "own fast" is our server with handlers that use its own readers.
const (
	echo  = "echo"
	goPDK = "go-pdk"
	own   = "own"
	fast  = "own fast"
)

func TestMain(m *testing.M) {
	// Our server starts its worker with an environment of its own, so the role travels by the executable's name too.
	role := os.Getenv(roleVar)
	if role == "" && strings.HasPrefix(filepath.Base(os.Args[0]), "own") {
		role = own
	}
	switch role {
	case "":
		code := m.Run()
		printTable(os.Stdout)
		os.Exit(code)
	case echo:
		serveEcho(os.Args[1])
	case goPDK:
		os.Args = []string{os.Args[0], "-kong-prefix", os.Args[1]}
		fmt.Fprintln(os.Stderr, pdkserver.StartServer(func() any { return &config{} }, "1.0.0", 1))
		os.Exit(1)
	default:
		os.Exit(pluginserver.Run(pluginserver.Plugin{
			Name: "own", Version: "1.0.0", Priority: 1, Schema: schema.Plugin{Name: "own"}, New: func() any { return &config{} },
		}))
	}
}

// config is the benchmark plugin's configuration: the case, and where to ask for the process's allocations.
type config struct {
	Case  int    `json:"case"`
	Fast  bool   `json:"fast"`
	Stats string `json:"stats"`

	once    sync.Once
	handler func(*pdk.PDK) error
}

func (c *config) Access(kong *pdk.PDK) { c.handle(kong) }
func (c *config) Log(kong *pdk.PDK)    { c.handle(kong) }

func (c *config) handle(kong *pdk.PDK) {
	c.once.Do(func() {
		c.handler = cases[c.Case].plain
		if c.Fast && cases[c.Case].ours != nil {
			c.handler = cases[c.Case].ours
		}
		serveStats(c.Stats)
	})
	if err := c.handler(kong); err != nil {
		fmt.Fprintln(os.Stderr, "handler:", err)
		os.Exit(3) // a benchmark of failing calls measures nothing
	}
}

// serveStats answers each connection with this process's number of allocations and allocated bytes.
func serveStats(path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "stats:", err)
		os.Exit(3)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Fprintf(c, "%d %d", m.Mallocs, m.TotalAlloc)
			_ = c.Close()
		}
	}()
}

// A step of the echo: so many bytes in, these bytes out.
type step struct {
	Read  int
	Write []byte
}

// serveEcho is the floor: a Go server that moves the same bytes in the same flights as ours, and knows nothing.
// It reads its steps from a file beside its socket.
func serveEcho(dir string) {
	data, err := os.ReadFile(filepath.Join(dir, "steps.json"))
	var steps struct {
		Steps    []step
		Trailing int // bytes that arrive before the next event: the answers to setters
	}
	if err == nil {
		err = json.Unmarshal(data, &steps)
	}
	var l net.Listener
	if err == nil {
		l, err = net.Listen("unix", filepath.Join(dir, echo+".socket"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			defer func() { _ = c.Close() }()
			buf := make([]byte, 2<<20)
			for trailing := 0; ; trailing = steps.Trailing {
				for i, s := range steps.Steps {
					n := s.Read
					if i == 0 {
						n += trailing
					}
					if _, err := io.ReadFull(c, buf[:n]); err != nil {
						return
					}
					if _, err := c.Write(s.Write); err != nil {
						return
					}
				}
			}
		}()
	}
}

// patience is for a machine that is busy.
const patience = time.Minute

// A process is a running server.
type process struct {
	cmd    *exec.Cmd
	socket string
	stats  string
}

// start runs this test binary as the given server and waits until it listens and, if it is ours, has a worker: without one
// for two seconds it answers by the plugin's policy.
func start(b *testing.B, role, dir string) *process {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	name := strings.Fields(role)[0]
	exe := filepath.Join(dir, name)
	if err := os.Link(self, exe); err != nil {
		data, err := os.ReadFile(self)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(exe, data, 0o700); err != nil {
			b.Fatal(err)
		}
	}
	args := []string{dir}
	if name == own {
		args = []string{"-kong-prefix", dir, "-log-level", "error"}
	}
	p := &process{cmd: exec.Command(exe, args...), socket: filepath.Join(dir, name+".socket"), stats: filepath.Join(dir, "stats")}
	p.cmd.Env = []string{roleVar + "=" + name}
	p.cmd.Stderr = io.Discard
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, pid := range p.pids() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = p.cmd.Wait()
	})
	deadline := time.Now().Add(patience)
	for {
		c, err := net.Dial("unix", p.socket)
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not listen: %v", role, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if name == own {
		ctx, cancel := context.WithTimeout(b.Context(), patience)
		defer cancel()
		if err := kongdevtest.WaitWorker(ctx, p.socket, own); err != nil {
			b.Fatal(err)
		}
	}
	return p
}

// pids lists the process and its children: our server's supervisor and worker.
func (p *process) pids() []int {
	pids := []int{p.cmd.Process.Pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[0]))
	for _, t := range tasks {
		data, _ := os.ReadFile(t)
		for _, f := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// cpu is the processor time that the server's processes have used.
func (p *process) cpu(b *testing.B) (total time.Duration) {
	for _, pid := range p.pids() {
		var ts unix.Timespec
		const processClock = 2 // CPUCLOCK_SCHED of a process: linux/posix-timers.h
		if err := unix.ClockGettime(int32(^pid<<3|processClock), &ts); err != nil {
			b.Fatalf("cpu time of process %d: %v", pid, err)
		}
		total += time.Duration(ts.Nano())
	}
	return total
}

// allocations asks the server's process. The echo allocates nothing.
func (p *process) allocations(b *testing.B, role string) (count, bytes float64) {
	if role == echo {
		return 0, 0
	}
	c, err := net.Dial("unix", p.stats)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	data, err := io.ReadAll(c)
	if err == nil {
		_, err = fmt.Sscan(string(data), &count, &bytes)
	}
	if err != nil {
		b.Fatal(err)
	}
	return count, bytes
}
