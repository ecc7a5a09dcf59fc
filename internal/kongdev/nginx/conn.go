package nginx

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"kong-go-plugins/internal/kongdev/uri"
)

// A Conn is a client's connection with HTTP/1 on it. It reads the heads of
// requests as nginx does, before Go's server sees them, and gives that a head of
// its own in their place: so no request is refused in Go's way, or read in
// another way than nginx reads it. The gateway asks for the real head.
//
// The next head is not looked at before the request is over: whether it is one
// depends on the answer, and Go's server may be told to give the connection away.
type Conn struct {
	net.Conn
	TLS   *tls.ConnectionState // nil without TLS
	plain bool                 // spoken to without TLS where TLS is expected

	in     []byte // read and not given on; the reader's alone, as what follows
	out    []byte // to be given before all else
	parser headParser
	state  connState
	left   int64 // of a body
	chunks chunkScanner

	mu     sync.Mutex
	change sync.Cond
	head   *Head // of the request that is being answered
	over   bool  // that one has been answered
	tunnel bool  // no HTTP any more
	closed bool
	asked  time.Time // the read deadline that Go's server wants
	headBy time.Time // the one for a head that has begun

	phrase atomic.Pointer[statusLine] // of the next answer; nil leaves Go's
}

// A statusLine is the one that nginx sends in the place of Go's, which begin
// the same.
type statusLine struct{ begin, whole string }

type connState int

const (
	readHead  connState = iota
	readBody            // of a known length, or in chunks
	readNext            // nothing until the request is over
	readRaw             // everything passes
	readWaste           // nothing passes any more
)

func newConn(c net.Conn) *Conn {
	h := &Conn{Conn: c}
	h.change.L = &h.mu
	return h
}

const preface = "PRI * HTTP/2.0\r\n"

// Read implements net.Conn for Go's server.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if len(c.out) > 0 {
			n := copy(p, c.out)
			c.out = c.out[n:]
			return n, nil
		}
		c.mu.Lock()
		if c.tunnel {
			c.state = readRaw
		} else if c.state == readNext && c.over {
			c.state, c.parser = readHead, headParser{}
		}
		c.mu.Unlock()
		switch c.state {
		case readRaw:
			if len(c.in) == 0 {
				return c.Conn.Read(p)
			}
			n := copy(p, c.in)
			c.in = c.in[n:]
			return n, nil
		case readBody:
			return c.body(p)
		case readNext:
			if err := c.waitNext(); err != nil {
				return 0, err
			}
		case readWaste:
			if n, err := c.Conn.Read(p); err != nil {
				return 0, err
			} else if clear(p[:n]); n == 0 {
				return 0, io.ErrNoProgress
			}
		default:
			if err := c.nextHead(); err != nil {
				return 0, err
			}
		}
	}
}

// nextHead reads until there is a head, and puts its stand-in out.
func (c *Conn) nextHead() error {
	if bytes.HasPrefix(c.in, []byte(preface)) {
		c.state = readRaw
		return nil
	}
	if len(c.in) > 0 && !bytes.HasPrefix([]byte(preface), c.in) {
		if h, n := c.parser.parse(c.in); h != nil {
			c.take(h, n)
			return nil
		}
	}
	if len(bytes.TrimLeft(c.in, "\r\n")) > 0 {
		c.headBegun()
	} else if len(c.in) > 0 {
		c.in, c.parser = c.in[:0], headParser{}
	}
	err := c.fill()
	if err == nil || len(c.in) == 0 {
		return err
	}
	h := &Head{Status: 400, Silent: true}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.mu.Lock()
		abandoned := time.Since(c.asked) > 24*time.Hour && !c.asked.IsZero() // how Go's server ends a read of its own
		c.mu.Unlock()
		if abandoned {
			return err
		}
		h.Status = 408
	}
	if p := c.parser.head; p != nil {
		p.Status, p.Silent = h.Status, true
		h = p
	}
	c.take(h, len(c.in))
	return nil
}

// take goes on with a head of n bytes.
func (c *Conn) take(h *Head, n int) {
	c.in = c.in[n:]
	if c.plain && h.Status == 0 {
		h.Status = StatusToHTTPS
	}
	c.out = h.standIn()
	c.mu.Lock()
	c.head, c.over, c.headBy = h, false, time.Time{}
	c.mu.Unlock()
	switch {
	case h.Status != 0:
		c.state, c.in = readWaste, nil
	case h.chunked:
		c.state, c.left, c.chunks = readBody, -1, chunkScanner{}
	case h.bodyLength > 0:
		c.state, c.left = readBody, h.bodyLength
	default:
		c.state = readNext
	}
}

// body passes on what belongs to the request.
func (c *Conn) body(p []byte) (int, error) {
	if c.left > 0 && int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := 0, error(nil)
	buffered := len(c.in) > 0
	if buffered {
		n = copy(p, c.in)
		c.in = c.in[n:]
	} else if n, err = c.Conn.Read(p); n == 0 {
		return 0, err
	}
	if c.left > 0 {
		if c.left -= int64(n); c.left == 0 {
			c.state = readNext
		}
		return n, nil
	}
	used, state := c.chunks.scan(p[:n])
	switch state {
	case chunksWrong: // Go's server will say so
		c.state = readRaw
	case chunksEnded:
		c.state = readNext
		c.in = append(bytes.Clone(p[used:n]), c.in...)
		n = used
	}
	return n, nil
}

// waitNext waits for the end of the request, and sees meanwhile whether the client goes away.
func (c *Conn) waitNext() error {
	if len(c.in) == 0 {
		return c.fill()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.over && !c.tunnel {
		switch {
		case c.closed:
			return net.ErrClosed
		case !c.asked.IsZero() && !time.Now().Before(c.asked):
			return os.ErrDeadlineExceeded
		}
		c.change.Wait()
	}
	return nil
}

// fill reads more.
func (c *Conn) fill() error {
	const piece = 4 << 10
	if cap(c.in)-len(c.in) < piece/2 {
		c.in = append(make([]byte, 0, max(piece, 2*len(c.in)+piece)), c.in...)
	}
	n, err := c.Conn.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	if n > 0 {
		return nil
	}
	return err
}

// SayStatus makes the reason phrase of the answer that now begins another than Go's.
func (c *Conn) SayStatus(status int, text string) {
	if text == "" || text != http.StatusText(status) {
		begin := "HTTP/1.1 " + strconv.Itoa(status) + " "
		c.phrase.Store(&statusLine{begin, begin + text})
	}
}

// Write implements net.Conn. An answer's head begins with a write of its own.
func (c *Conn) Write(p []byte) (int, error) {
	line := c.phrase.Load()
	if line == nil || !bytes.HasPrefix(p, []byte(line.begin)) {
		return c.Conn.Write(p)
	}
	c.phrase.Store(nil)
	end := max(0, bytes.Index(p, []byte("\r\n")))
	n, err := c.Conn.Write(append([]byte(line.whole), p[end:]...))
	return max(0, min(n-len(line.whole)+end, len(p))), err
}

// Current is the head of the request that Go's server now hands over.
func (c *Conn) Current() *Head {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.head
}

// Done says that the request has been answered.
func (c *Conn) Done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.change.Broadcast()
}

// Raw ends HTTP on the connection.
func (c *Conn) Raw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tunnel = true
	c.change.Broadcast()
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.change.Broadcast()
	c.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite is what Go's server looks for to end a connection without losing the answer.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked, c.headBy = t, time.Time{}
	c.change.Broadcast()
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// headBegun gives the rest of a head its time, which counts from the first byte
// on. While a request is answered there is no limit, and nobody is in a hurry.
func (c *Conn) headBegun() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.headBy.IsZero() || c.asked.IsZero() {
		return
	}
	c.headBy = time.Now().Add(ClientTimeout)
	if c.headBy.Before(c.asked) {
		_ = c.Conn.SetReadDeadline(c.headBy)
	}
}

// A chunkScanner finds the end of a body in chunks, trailers included.
type chunkScanner struct {
	state byte  // what is next; see scan
	size  int64 // of the chunk, or what is left of it
	digit bool  // there was one in the size
}

type chunksState int

const (
	chunksGoOn chunksState = iota
	chunksEnded
	chunksWrong
)

// scan looks at the next bytes: how many belong to the body, and whether that has ended.
func (s *chunkScanner) scan(b []byte) (used int, _ chunksState) {
	const (
		size = iota
		extension
		data
		dataEnd
		trailer     // at the beginning of a line
		trailerLine // in it
	)
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch s.state {
		case size:
			d := uri.Unhex(c)
			switch {
			case d >= 0 && s.size < 1<<58:
				s.size, s.digit = s.size<<4|int64(d), true
			case d >= 0 || !s.digit:
				return i, chunksWrong
			case c == '\n':
				s.sized(data, trailer)
			default:
				s.state = extension
			}
		case extension:
			if c == '\n' {
				s.sized(data, trailer)
			}
		case data:
			n := min(s.size, int64(len(b)-i))
			s.size -= n
			i += int(n) - 1
			if s.size == 0 {
				s.state = dataEnd
			}
		case dataEnd:
			switch c {
			case '\r':
			case '\n':
				s.state, s.digit = size, false
			default:
				return i, chunksWrong
			}
		case trailer:
			switch c {
			case '\r':
			case '\n':
				return i + 1, chunksEnded
			default:
				s.state = trailerLine
			}
		case trailerLine:
			if c == '\n' {
				s.state = trailer
			}
		}
	}
	return len(b), chunksGoOn
}

func (s *chunkScanner) sized(data, trailer byte) {
	if s.state = data; s.size == 0 {
		s.state = trailer
	}
}
