package frames

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"sync"
	"time"
)

// A Writer records frames, one JSON line each. It is safe for concurrent use. A recording holds everything that went
// over the connections, secrets too.
type Writer struct {
	mu    sync.Mutex
	w     io.Writer
	begun time.Time
	order map[int]int // frames so far, by connection
	err   error
}

// NewWriter returns a Writer whose times count from begun.
func NewWriter(w io.Writer, begun time.Time) *Writer {
	return &Writer{w: w, begun: begun, order: map[int]int{}}
}

// Write adds a frame that was seen at the time at. Of f the connection, the kind, the method, the note and the
// body file are used, its direction follows from the kind; payload is the frame without its length. The first error stays: nothing is written
// behind it.
func (w *Writer) Write(f Frame, at time.Time, payload []byte) error {
	l := line{Conn: f.Conn, Kind: f.Kind, Method: f.Method, Note: f.Note, Dir: ToKong, BodyFile: f.BodyFile}
	switch f.Kind {
	case Connect, Close:
		l.Dir = Neither
	case Call, Reply:
		l.Dir = ToPlugin
	}
	if t := typeOf(f.Kind, f.Method); t != nil {
		l.Type = string(t.Descriptor().FullName())
		l.Decoded = decode(t, payload)
	}
	if l.Dir != Neither {
		wire := AppendWire(nil, payload)
		l.Len, l.Hex = len(wire), hex.EncodeToString(wire)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.order[f.Conn]++
	l.N = w.order[f.Conn]
	l.TMS = math.Round(float64(at.Sub(w.begun).Microseconds())) / 1000
	text, err := json.Marshal(l)
	if err == nil {
		_, err = w.w.Write(append(text, '\n'))
	}
	w.err = err
	return err
}

// Err is the first error of writing, nil for none.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
