package pluginserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// workerMarker in the environment makes a process a worker. Its value is the supervisor's controlVersion.
const workerMarker = "KONG_PLUGIN_WORKER"

// Descriptors that a worker is started with, next to standard input, output and error.
const (
	workerListenerFD = 3
	workerControlFD  = 4
	workerBusyFD     = 5
)

const (
	exitTime   = 3 * time.Second // for a worker to exit once it has closed its control channel
	outputTime = 5 * time.Second // for its last lines to be read, where a grandchild keeps its output open
)

// A workerSetup is what a worker is told first.
type workerSetup struct {
	Socket string `json:"socket"` // path
	ID     fileID `json:"id"`     // of the listening socket, as long as nobody has replaced it
}

type workerState uint8

const (
	workerStarting workerState = iota
	workerServing
	workerLeaving // it was told to end
)

// A workerProcess is a worker as its supervisor sees it. All fields belong to the supervisor's loop, except that the
// watching goroutine reads control and cmd.
type workerProcess struct {
	cmd     *exec.Cmd
	control *controlChannel
	busy    *busyFlags
	output  *os.File // its log

	program *program
	socket  fileID // that it accepts from
	state   workerState
	held    heldSet
	started time.Time
	ready   time.Time // zero while it is not
	limit   *time.Timer
}

func (w *workerProcess) pid() int { return w.cmd.Process.Pid }

// accepted is how long the worker has accepted.
func (w *workerProcess) accepted() time.Duration {
	if w.ready.IsZero() {
		return 0
	}
	return time.Since(w.ready)
}

// startWorker starts p as a worker on the listener. It does not wait until the worker is ready.
func startWorker(p *program, args []string, l *net.UnixListener) (*workerProcess, error) {
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	listener, err := listenerFile(l)
	if err != nil {
		return nil, err
	}
	files = append(files, listener)
	control, theirs, err := controlPair()
	if err != nil {
		return nil, err
	}
	files = append(files, theirs)
	busy, memory, err := newBusyFlags()
	if err != nil {
		control.close(0)
		return nil, err
	}
	files = append(files, memory)
	output, theirOutput, err := os.Pipe()
	if err != nil {
		control.close(0)
		_ = busy.close()
		return nil, fmt.Errorf("log pipe: %w", err)
	}
	files = append(files, theirOutput)

	cmd := exec.Command(p.executable())
	cmd.Args = args
	cmd.Env = append(os.Environ(), workerMarker+"="+controlVersion)
	cmd.Stdout, cmd.Stderr = theirOutput, theirOutput
	cmd.ExtraFiles = []*os.File{listener, theirs, memory} // workerListenerFD and on
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		control.close(0)
		_ = busy.close()
		_ = output.Close()
		return nil, fmt.Errorf("worker %s: %w", p.path, err)
	}
	return &workerProcess{cmd: cmd, control: control, busy: busy, output: output, program: p, started: time.Now()}, nil
}

// listenerFile is a copy of the listening socket for a child. It stays in non-blocking mode, which all copies share.
func listenerFile(l *net.UnixListener) (*os.File, error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("listening socket: %w", err)
	}
	fd := -1
	if controlErr := raw.Control(func(have uintptr) { fd, err = copyFD(int(have)) }); controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return nil, fmt.Errorf("listening socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "listener"), nil
}

// listenerCopy is another listener on the same socket, which can be closed on its own.
func listenerCopy(l *net.UnixListener) (*net.UnixListener, error) {
	f, err := listenerFile(l)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return listenerOf(f)
}

// listenerOf makes a listener of a copy of f. Closing it leaves the socket's path alone.
func listenerOf(f *os.File) (*net.UnixListener, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listening socket: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		_ = l.Close()
		return nil, fmt.Errorf("listening socket: %s is no unix socket", l.Addr())
	}
	u.SetUnlinkOnClose(false)
	return u, nil
}

// begin sends what a worker needs before it may accept.
func (w *workerProcess) begin(setup workerSetup, table *instanceTable) bool {
	text, err := json.Marshal(setup)
	if err != nil {
		return false
	}
	ok := w.control.send(controlMessage{kind: msgSetup, fd: -1, payload: text})
	for id, config := range table.configs {
		ok = ok && w.control.send(controlMessage{kind: msgRestore, id: uint32(id), fd: -1, payload: config})
	}
	return ok && w.control.tell(msgServe, 0)
}

// A workerEvent is what watch reports: a message, or the end of the process.
type workerEvent struct {
	worker  *workerProcess
	message controlMessage
	ended   bool
	err     error // of the end: how the process exited
}

// watch reports the worker's messages and then its end. It returns when the process and its output have ended.
func (w *workerProcess) watch(report func(workerEvent), log *logSink) {
	var copying sync.WaitGroup
	copying.Go(func() { _ = copyLines(log, w.output) })
	var err error
	for {
		var m controlMessage
		if m, err = w.control.receive(); err != nil {
			break
		}
		report(workerEvent{worker: w, message: m})
	}
	// The end of the channel is the end of the process, but for its last lines of log; a broken channel has to be.
	mercy := exitTime
	if !errors.Is(err, io.EOF) {
		mercy = 0
	}
	killer := time.AfterFunc(mercy, w.kill)
	err = w.cmd.Wait()
	killer.Stop()
	w.control.close(0)
	w.control.discard()
	report(workerEvent{worker: w, ended: true, err: err})
	_ = w.output.SetReadDeadline(time.Now().Add(outputTime)) // a grandchild may have inherited it
	copying.Wait()
	_ = w.output.Close()
}

func (w *workerProcess) kill() { _ = w.cmd.Process.Kill() }
