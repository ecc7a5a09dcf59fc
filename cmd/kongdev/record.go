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
	info, err := os.Stat(name)
	switch {
	case err == nil && info.Mode().IsRegular():
		if err := isRecording(name); err != nil {
			return nil, err
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("record: %w; name another file with -record", err)
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record: %w; name a file that can be written with -record", err)
	}
	return &recorder{file: file, to: frames.NewWriter(file, time.Now())}, nil
}

// isRecording is an error unless the file is a recording, or empty.
func isRecording(name string) error {
	old, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("record: %w; name another file with -record", err)
	}
	defer old.Close()
	head := make([]byte, len(recordingBegins))
	n, err := io.ReadFull(old, head)
	switch {
	case n > 0 && !bytes.Equal(head[:n], []byte(recordingBegins)):
		return fmt.Errorf("record: %s is there and is no recording; remove it or name another file with -record", name)
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("record: %w; name another file with -record", err)
	}
	return nil
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

// errIncomplete is a recording that lacks frames.
var errIncomplete = errors.New("the recording is not complete") // read-only

// close says whether everything was recorded.
func (r *recorder) close() error {
	if err := errors.Join(r.to.Err(), r.file.Close()); err != nil {
		return fmt.Errorf("record %s: %w: %w", r.file.Name(), errIncomplete, err)
	}
	return nil
}
