package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

// Endpoints of a dry run: events are written as they would be sent, one per line, and nothing leaves the machine.
const (
	StdoutEndpoint = "stdout:"
	filePrefix     = "file://"
)

// newSender returns what takes the events of these settings away.
func newSender(s Settings, env Env) sender {
	switch path, isFile := SinkFile(s.Endpoint); {
	case s.Endpoint == StdoutEndpoint:
		return &lines{open: func() (io.Writer, error) { return os.Stdout, nil }}
	case isFile:
		f := &file{path: path}
		return &lines{open: f.open, shut: f.shut}
	}
	return newUploader(s, env)
}

// SinkFile returns the path of a file:// endpoint.
func SinkFile(endpoint string) (path string, ok bool) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	return u.Path, true
}

// CheckSink returns the endpoint of a dry run in its one form, or says what is wrong with it. ok reports whether it is one.
func CheckSink(endpoint string) (clean string, ok bool, err error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", false, nil
	case u.Scheme == "stdout":
		if u.Opaque+u.Host+u.Path+u.RawQuery+u.Fragment != "" {
			return "", true, errors.New("stdout: takes nothing behind it")
		}
		return StdoutEndpoint, true, nil
	case u.Scheme != "file":
		return "", false, nil
	case u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", true, errors.New("not the name of a file; write file:// and an absolute path, for instance file:///tmp/events.ndjson")
	case u.Path[len(u.Path)-1] == '/':
		return "", true, errors.New("names a folder; add the name of a file, for instance events.ndjson")
	}
	return (&url.URL{Scheme: "file", Path: filepath.Clean(u.Path)}).String(), true, nil
}

var errUnwritable = errors.New("cannot be written")

// lines writes events to where open says, one per line.
type lines struct {
	open func() (io.Writer, error)
	shut func()

	mu   sync.Mutex
	torn bool // the last write ended within a line
}

func (l *lines) upload(_ context.Context, events [][]byte) outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, err := l.open()
	if err == nil {
		err = l.write(w, events)
	}
	if err != nil {
		return outcome{class: retry, err: fmt.Errorf("%w: %w", errUnwritable, err)}
	}
	return outcome{class: sent}
}

func (l *lines) write(w io.Writer, events [][]byte) error {
	size := 1
	for _, e := range events {
		size += len(e) + 1
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	if l.torn {
		b.WriteByte('\n')
	}
	for _, e := range events {
		b.Write(e)
		b.WriteByte('\n')
	}
	n, err := w.Write(b.Bytes())
	if n > 0 {
		l.torn = b.Bytes()[n-1] != '\n'
	}
	return err
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut != nil {
		l.shut()
	}
}

// A file is appended to, and opened anew when another one, or none, has its name: somebody has moved it away.
type file struct {
	path string
	f    *os.File
}

func (f *file) open() (io.Writer, error) {
	if f.f != nil {
		ours, err := f.f.Stat()
		named, nameErr := os.Stat(f.path)
		if err == nil && nameErr == nil && os.SameFile(ours, named) {
			return f.f, nil
		}
		f.shut()
	}
	opened, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	f.f = opened
	return opened, nil
}

func (f *file) shut() {
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
}
