package external

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// A Process runs one plugin server as Kong does: without environment, umask 0,
// standard input a pipe, output merged and logged line by line at info,
// started again when it ends.
type Process struct {
	server   Server
	log      *errorlog.Log
	onSpawn  func(again bool)
	pid      atomic.Int64
	stopping chan struct{}
	done     chan struct{}

	mu  sync.Mutex
	cmd *exec.Cmd // the running one, nil between two
}

// respawnWait is the time from one start to the next of a process that ends at once.
const respawnWait = time.Second

// Start runs a server until Stop. onSpawn is told before each start whether it is
// one more. It returns at once.
func Start(s Server, log *errorlog.Log, onSpawn func(again bool)) *Process {
	p := &Process{server: s, log: log, onSpawn: onSpawn, stopping: make(chan struct{}), done: make(chan struct{})}
	go p.run()
	return p
}

// PID is the running process's id, 0 between two.
func (p *Process) PID() int { return int(p.pid.Load()) }

func (p *Process) run() {
	defer close(p.done)
	var next time.Time
	for again := false; ; again = true {
		if wait := time.Until(next); wait > 0 {
			select {
			case <-time.After(wait):
			case <-p.stopping:
			}
		}
		select {
		case <-p.stopping:
			return
		default:
		}
		p.log.Printf(errorlog.Notice, "[pluginserver] starting pluginserver process for %s", p.server.Name)
		next = time.Now().Add(respawnWait)
		p.onSpawn(again)
		p.once()
	}
}

// once runs the process from its start to its end.
func (p *Process) once() {
	cmd := exec.Command("sh", "-c", "umask 0; exec "+p.server.StartCmd)
	dir, _ := os.Getwd()
	cmd.Env = []string{"PWD=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's ^C is for kongdev alone
	stdin, err := cmd.StdinPipe()
	if err != nil {
		p.log.Printf(errorlog.Err, "[pluginserver] starting %s: %v", p.server.Name, err)
		return
	}
	out, in, err := os.Pipe()
	if err != nil {
		p.log.Printf(errorlog.Err, "[pluginserver] starting %s: %v", p.server.Name, err)
		return
	}
	cmd.Stdout, cmd.Stderr = in, in
	p.mu.Lock()
	err = cmd.Start()
	if err == nil {
		p.cmd = cmd
		p.pid.Store(int64(cmd.Process.Pid))
	}
	p.mu.Unlock()
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		p.log.Printf(errorlog.Err, "[pluginserver] starting %s: %v", p.server.Name, err)
		return
	}
	p.log.Printf(errorlog.Notice, "[pluginserver] started, pid %d", cmd.Process.Pid)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		p.copyLines(&lastWords{File: out}, cmd.Process.Pid)
	}()
	err = cmd.Wait() // the process itself; children may hold its output open
	p.mu.Lock()
	p.cmd = nil
	p.pid.Store(0)
	p.mu.Unlock()
	_ = stdin.Close()
	_ = out.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	<-logged
	_ = out.Close()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 127 {
		p.log.Printf(errorlog.Err, "[pluginserver] external pluginserver %q start command %q exited with \"command not found\"", p.server.Name, p.server.StartCmd)
		return
	}
	state := "exit status 0"
	if err != nil {
		state = err.Error()
	}
	p.log.Printf(errorlog.Notice, "external pluginserver '%s' terminated: %s", p.server.Name, state)
}

// lastWords reads a process's output, and after the deadline what is there already: what the process wrote before it
// ended is, however late it is read. Its children may go on writing: no more is read than the pipe holds.
type lastWords struct {
	*os.File
	late int // bytes read after the deadline
}

const pipeSize = 64 << 10 // Linux's

func (r *lastWords) Read(p []byte) (int, error) {
	n, err := r.File.Read(p)
	if !errors.Is(err, os.ErrDeadlineExceeded) || r.late >= pipeSize {
		return n, err
	}
	raw, rawErr := r.SyscallConn()
	if rawErr != nil {
		return 0, rawErr
	}
	there := 0
	_ = raw.Control(func(fd uintptr) { there, _ = syscall.Read(int(fd), p) }) // does not wait
	if there > 0 {
		r.late += there
		return there, nil
	}
	return 0, err
}

// maxOutputLine is where a line of a plugin's output is cut in two.
const maxOutputLine = 64 << 10

func (p *Process) copyLines(r io.Reader, pid int) {
	lines := bufio.NewReaderSize(r, maxOutputLine)
	for {
		line, err := lines.ReadSlice('\n')
		if text := strings.TrimRight(string(line), "\r\n"); text != "" {
			p.log.Printf(errorlog.Info, "[%s:%d] %s", p.server.Name, pid, text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// Signal sends a signal to the running process; there may be none.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return errors.New("plugin server " + p.server.Name + " is not running")
	}
	return p.cmd.Process.Signal(sig)
}

// Stop ends the process as Kong does, SIGTERM and 45 to 90 ms later SIGKILL,
// and waits for it.
func (p *Process) Stop() {
	p.mu.Lock()
	select {
	case <-p.stopping:
	default:
		close(p.stopping)
	}
	p.mu.Unlock()
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return
	case <-time.After(45*time.Millisecond + rand.N(45*time.Millisecond)):
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// Run runs a plugin server without a gateway, as Kong does: an almost empty environment, umask 0, its output
// logged, started again when it ends. stop ends it as kong stop does.
func Run(s Server, log io.Writer, level string) (stop func(), err error) {
	l, err := errorlog.New(log, level)
	if err != nil {
		return nil, err
	}
	return Start(s, l, func(bool) {}).Stop, nil
}
