package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/kongdev"
)

// A recorder writes every frame between gateway and plugins to a file.
type recorder struct {
	file *os.File
	to   *frames.Writer
}

// newRecorder makes the file, for its owner alone: a recording holds configurations and bodies, with their secrets. A
// file that is there is replaced only when it is a recording.
func newRecorder(name string) (*recorder, error) {
	old, err := os.Open(name)
	switch {
	case err == nil:
		head := make([]byte, len(recordingBegins))
		n, readErr := io.ReadFull(old, head)
		_ = old.Close()
		if n > 0 && !bytes.Equal(head[:n], []byte(recordingBegins)) {
			return nil, fmt.Errorf("record: %s is there and is no recording; remove it or name another file with -record", name)
		}
		if readErr != nil && !errors.Is(readErr, io.EOF) && !errors.Is(readErr, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("record: %w; name another file with -record", readErr)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("record: %w; name another file with -record", err)
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record: %w; name a file that can be written with -record", err)
	}
	return &recorder{file: file, to: frames.NewWriter(file, time.Now())}, nil
}

// recordingBegins is how the first line of a recording begins.
const recordingBegins = `{"t_ms":`

// frame is called by many goroutines at once. An error is kept until close.
func (r *recorder) frame(f kongdev.Frame) {
	line := frames.Frame{Conn: int(f.Conn), Kind: f.Kind, Method: f.Method}
	if f.Kind == frames.Reply {
		if path := frames.BodyPath(f.Method, f.Data); path != "" {
			line.BodyFile, line.Note = bodyFile(path)
		}
	}
	_ = r.to.Write(line, f.Time, f.Data)
}

// maxBodyFile is the largest body in a file that is recorded.
const maxBodyFile = 64 << 20

// bodyFile is the content of a body's file, which will be gone when the recording is played; else a note that says why not.
func bodyFile(path string) (content []byte, note string) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxBodyFile {
		return nil, fmt.Sprintf("body file of %d bytes is left out", info.Size())
	}
	if err == nil {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, "body file: " + err.Error()
	}
	return content, ""
}

// close says whether everything was recorded.
func (r *recorder) close() error {
	if err := errors.Join(r.to.Err(), r.file.Close()); err != nil {
		return fmt.Errorf("record: the recording %s is not complete: %w", r.file.Name(), err)
	}
	return nil
}
