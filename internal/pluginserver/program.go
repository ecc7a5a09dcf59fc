package pluginserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dumpTime = 10 * time.Second // for the -dump of another executable
	maxDump  = 16 << 20         // bytes
	firstFD  = 64               // out of the way of the descriptors that a child is given
)

// A program is an executable file, held open: a worker that dies is started again from the file that it ran, whatever
// has meanwhile been put at its path. Only a hand-over moves on to another file.
type program struct {
	path string
	fd   int
}

// ownProgram is the file that this process runs.
func ownProgram(path string) (*program, error) {
	p, err := openProgram("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	p.path = path
	return p, nil
}

func openProgram(path string) (*program, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstFD)
	closeFD(fd)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &program{path: path, fd: high}, nil
}

// executable is the path to start the held file by.
func (p *program) executable() string { return fmt.Sprintf("/proc/self/fd/%d", p.fd) }

func (p *program) close() { closeFD(p.fd) }

// programPath is where the executable of this process was found, as far as possible before links: replacing the link
// is a way to install a new version.
func programPath(arg0 string) (string, error) {
	path := arg0
	if !strings.Contains(path, "/") {
		path, _ = exec.LookPath(path)
	}
	if path != "" {
		abs, err := filepath.Abs(path)
		if err == nil && isOwnExecutable(abs) {
			return abs, nil
		}
	}
	return os.Executable()
}

func isOwnExecutable(path string) bool {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	st, err := os.Stat(path)
	return err == nil && os.SameFile(own, st)
}

// dump runs the program's query command with the flags that this process was started with.
func (p *program) dump(ctx context.Context, limit time.Duration, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.executable())
	cmd.Args = append([]string{args[0], "-dump"}, args[1:]...)
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	var out, errOut limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if text := strings.TrimSpace(errOut.String()); text != "" {
			first, _, _ := strings.Cut(text, "\n")
			return nil, fmt.Errorf("%s -dump: %w: %s", p.path, err, first)
		}
		return nil, fmt.Errorf("%s -dump: %w", p.path, err)
	}
	return out.Bytes(), nil
}

// A limitedBuffer keeps the first maxDump bytes.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxDump {
		return 0, errors.New("the output is too long")
	}
	return b.Buffer.Write(p)
}

// A pluginDump is what a successor is judged by.
type pluginDump struct {
	Name     string
	Phases   []string
	Version  string
	Priority int
	Schema   any
}

func parseDump(data []byte) (pluginDump, error) {
	var d struct{ Plugins []pluginDump }
	if err := json.Unmarshal(data, &d); err != nil {
		return pluginDump{}, fmt.Errorf("the dump is no description of a plugin: %w", err)
	}
	if len(d.Plugins) != 1 {
		return pluginDump{}, fmt.Errorf("the dump describes %d plugins, expected 1", len(d.Plugins))
	}
	return d.Plugins[0], nil
}

// mayFollow says whether a process with the dump next can serve a Kong that was started with the dump p: Kong reads
// the description only when it starts.
func (p pluginDump) mayFollow(next pluginDump) error {
	const remedy = "Kong must read it: use kong reload or restart instead of a hand-over"
	switch {
	case p.Name != next.Name:
		return fmt.Errorf("it is the plugin %q, not %q", next.Name, p.Name)
	case !reflect.DeepEqual(p.Phases, next.Phases):
		return fmt.Errorf("its phases are %s, not %s; %s", strings.Join(next.Phases, ","), strings.Join(p.Phases, ","), remedy)
	case p.Priority != next.Priority:
		return fmt.Errorf("its priority is %d, not %d; %s", next.Priority, p.Priority, remedy)
	case !reflect.DeepEqual(p.Schema, next.Schema):
		return fmt.Errorf("its schema differs; %s", remedy)
	}
	return nil
}
