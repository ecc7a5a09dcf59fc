package send

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// compressionLevel of uploads: BenchmarkGzipUpload has the prices.
const compressionLevel = 2

// gzips are writers to use again: each holds most of a megabyte.
var gzips = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, compressionLevel)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// An array is one event or more as a JSON array, read from the events themselves: it exists nowhere as a whole.
type array struct {
	events [][]byte
	rest   []byte  // of what is being read
	mark   [1]byte // a bracket or a comma, when that is it
	next   int     // step: a mark and an event by turns, a mark at the end
}

// size returns the length of the array in bytes.
func (a *array) size() int64 {
	n := int64(len(a.events)) + 1 // marks
	for _, e := range a.events {
		n += int64(len(e))
	}
	return n
}

// chunk returns the next piece of the array, nil at its end.
func (a *array) chunk() []byte {
	for len(a.rest) == 0 {
		switch {
		case a.next > 2*len(a.events):
			return nil
		case a.next%2 == 1:
			a.rest = a.events[a.next/2]
		case a.next == 0:
			a.rest = a.marked('[')
		case a.next == 2*len(a.events):
			a.rest = a.marked(']')
		default:
			a.rest = a.marked(',')
		}
		a.next++
	}
	return a.rest
}

func (a *array) marked(b byte) []byte {
	a.mark[0] = b
	return a.mark[:]
}

// Read implements io.Reader.
func (a *array) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := a.chunk()
		if c == nil {
			return n, io.EOF
		}
		m := copy(p[n:], c)
		a.rest = c[m:]
		n += m
	}
	return n, nil
}

// gzipChunk is how much is compressed at a time: of that and its compressed form consists the memory of an upload.
const gzipChunk = 64 << 10

// A packed is an array in gzip, compressed as it is read. The transport may close it while it reads.
type packed struct {
	mu    sync.Mutex
	array array
	gzip  *gzip.Writer // nil when it was given back
	out   bytes.Buffer
}

func newPacked(events [][]byte) *packed {
	p := &packed{array: array{events: events}, gzip: gzips.Get().(*gzip.Writer)}
	p.gzip.Reset(&p.out)
	return p
}

// Read implements io.Reader.
func (p *packed) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.out.Len() == 0 {
		if p.gzip == nil {
			return 0, io.EOF
		}
		c := p.array.chunk()
		if c == nil {
			_ = p.gzip.Close() // a buffer takes everything, so nothing here can fail
			p.giveBack()
			continue
		}
		c = c[:min(len(c), gzipChunk)]
		_, _ = p.gzip.Write(c)
		p.array.rest = p.array.rest[len(c):]
	}
	return p.out.Read(b)
}

// Close implements io.Closer.
func (p *packed) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack()
	p.out.Reset()
	return nil
}

func (p *packed) giveBack() {
	if p.gzip != nil {
		p.gzip.Reset(nil)
		gzips.Put(p.gzip)
		p.gzip = nil
	}
}

// packedSize returns how many bytes the events are as an array in gzip.
func packedSize(events [][]byte) int64 {
	p := newPacked(events)
	n, _ := io.Copy(io.Discard, p)
	return n
}
