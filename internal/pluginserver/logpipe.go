package pluginserver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// maxQueuedLog is how many bytes of log wait for a slow reader; what comes on top is dropped and counted.
const maxQueuedLog = 1 << 20

// maxLogLine is where a line of a worker is cut into two. Kong itself cuts lines at 4 KiB.
const maxLogLine = 16 << 10

// A logSink is a writer that never blocks: Kong may read a plugin's output late or, once it is gone, never. One goroutine
// writes; a Write while the queue is full is dropped and counted. It is safe for concurrent use.
type logSink struct {
	out     io.Writer
	note    func(dropped uint64) []byte
	dropped atomic.Uint64 // lines, since the start

	mu      sync.Mutex
	queue   [][]byte
	queued  int
	noted   uint64 // dropped lines that a note has told of
	closing bool

	wake chan struct{}
	done chan struct{}
}

// newLogSink starts the writer to out. When there is room again after lines were dropped, it writes note's text.
func newLogSink(out io.Writer, note func(dropped uint64) []byte) *logSink {
	l := &logSink{out: out, note: note, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l
}

// Write queues p, which holds whole lines. It always reports success.
func (l *logSink) Write(p []byte) (int, error) {
	l.mu.Lock()
	if l.closing || l.queued+len(p) > maxQueuedLog {
		l.mu.Unlock()
		l.dropped.Add(uint64(max(1, bytes.Count(p, []byte{'\n'}))))
		return len(p), nil
	}
	l.queue = append(l.queue, bytes.Clone(p))
	l.queued += len(p)
	l.mu.Unlock()
	l.signal()
	return len(p), nil
}

func (l *logSink) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *logSink) run() {
	defer close(l.done)
	for {
		l.mu.Lock()
		lines, closing := l.queue, l.closing
		l.queue = nil
		l.mu.Unlock()
		for _, line := range lines {
			_, _ = l.out.Write(line) // nobody is left to be told
			l.mu.Lock()
			l.queued -= len(line)
			l.mu.Unlock()
		}
		if dropped := l.dropped.Load(); dropped > l.noted && !closing {
			_, _ = l.out.Write(l.note(dropped - l.noted))
			l.noted = dropped
		}
		switch {
		case len(lines) > 0:
		case closing:
			return
		default:
			<-l.wake
		}
	}
}

// close writes what is queued and stops, but waits no longer than patience: a reader that is stuck keeps the goroutine.
func (l *logSink) close(patience time.Duration) error {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.signal()
	select {
	case <-l.done:
		return nil
	case <-time.After(patience):
		return errors.New("log: the reader of the output does not read")
	}
}

// copyLines copies r to w until r ends, one Write per line. A line longer than maxLogLine becomes several, and a last
// line without its end gets one.
func copyLines(w io.Writer, r io.Reader) error {
	br := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := br.ReadSlice('\n')
		if len(line) > 0 {
			if line[len(line)-1] != '\n' {
				line = append(bytes.Clone(line), '\n')
			}
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		switch {
		case err == nil || errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// logOptions are what -log-level and -log-format say.
type logOptions struct {
	level  slog.Level
	asJSON bool
}

func (o logOptions) logger(w io.Writer) *slog.Logger {
	h := &slog.HandlerOptions{Level: o.level}
	if o.asJSON {
		return slog.New(slog.NewJSONHandler(w, h))
	}
	return slog.New(slog.NewTextHandler(w, h))
}

// open starts the log of this process: a sink on w that never blocks, and the logger that writes into it.
func (o logOptions) open(w io.Writer) (*logSink, *slog.Logger) {
	sink := newLogSink(w, func(dropped uint64) []byte {
		var b bytes.Buffer
		o.logger(&b).Warn("log lines dropped, the reader of the output was too slow", "lines", dropped)
		return b.Bytes()
	})
	return sink, o.logger(sink)
}

// parse reads the two flags; the error names the choices.
func parseLogOptions(level, format string) (o logOptions, err error) {
	switch level {
	case "debug":
		o.level = slog.LevelDebug
	case "info":
		o.level = slog.LevelInfo
	case "warn":
		o.level = slog.LevelWarn
	case "error":
		o.level = slog.LevelError
	default:
		err = errors.Join(err, fmt.Errorf("-log-level %q: expected debug, info, warn or error", level))
	}
	switch format {
	case "text":
	case "json":
		o.asJSON = true
	default:
		err = errors.Join(err, fmt.Errorf("-log-format %q: expected text or json", format))
	}
	return o, err
}
