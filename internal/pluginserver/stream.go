package pluginserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"kong-go-plugins/internal/direct"
)

// errInterrupted ends the wait of an idle connection that is to be handed over. Nothing has been read.
var errInterrupted = errors.New("interrupted while idle")

// A stream is one connection of Kong: buffered reads, collected writes, and the replies that are still to come.
// It is used by one goroutine at a time.
type stream struct {
	conn net.Conn
	to   *direct.Conn    // conn, for writes
	raw  syscall.RawConn // nil when conn has no descriptor
	busy *atomic.Uint32  // shared with the supervisor, see busyFlags

	buf  []byte // buf[r:w] was read and not used
	r, w int

	out     []byte     // frames that have not left
	awaited []*awaited // replies to come, in order
	free    []*awaited

	told        bool // that the replies to come never will
	between     bool // no event is running: waiting for the next call
	interrupted bool // an interrupt came while the stream was not clean; it is passed on when it is

	dst     []byte // of the read under way
	n       int
	err     error
	readyFn func(fd uintptr) bool
}

// An awaited is a reply that Kong still owes.
type awaited struct {
	method *method
	args   []byte // of a prefetched question
	keep   bool   // store the reply in the event's memo
}

func newStream(conn net.Conn, busy *atomic.Uint32) *stream {
	s := &stream{conn: conn, to: direct.New(conn), busy: busy, buf: make([]byte, readBuffer), between: true}
	if s.busy == nil {
		s.busy = new(atomic.Uint32)
	}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			s.raw = raw
			s.readyFn = s.ready
		}
	}
	return s
}

// clean reports whether nothing of Kong's has been read and not answered.
func (s *stream) clean() bool { return s.between && s.r == s.w && len(s.awaited) == 0 }

// rest lowers the busy flag if no event is running and nothing was read in part.
func (s *stream) rest() {
	switch n := len(s.awaited); {
	case !s.between || s.r != s.w:
	case n == 0:
		s.busy.Store(isIdle)
	default:
		s.busy.Store(isBusy + uint32(n))
	}
}

// ready reads once. The busy flag is up before the first byte can leave the socket, and down only when there was none:
// whoever finds it down after this process died may serve the connection as if nothing had been.
func (s *stream) ready(fd uintptr) bool {
	s.busy.Store(isBusy)
	for {
		s.n, s.err = direct.Receive(fd, s.dst)
		if s.err != syscall.EINTR {
			break
		}
	}
	if s.err == syscall.EAGAIN {
		s.rest()
		return false
	}
	return true
}

// recv reads at least one byte into p. An interrupt is passed on only while the connection is idle and clean, and
// waits until it is.
func (s *stream) recv(p []byte) (int, error) {
	for {
		if s.interrupted && s.clean() {
			s.interrupted = false
			return 0, errInterrupted
		}
		n, err := s.recvOnce(p)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		s.interrupted = true
		if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
}

func (s *stream) recvOnce(p []byte) (int, error) {
	if s.raw == nil {
		s.busy.Store(isBusy)
		return s.conn.Read(p)
	}
	s.dst = p
	err := s.raw.Read(s.readyFn)
	s.dst = nil
	switch {
	case err != nil:
		return 0, err
	case s.err != nil:
		return 0, os.NewSyscallError("read", s.err)
	case s.n <= 0:
		return 0, io.EOF
	}
	return s.n, nil
}

// fill makes at least n bytes (n <= len(buf)) available in buf[r:w].
func (s *stream) fill(n int) error {
	if s.r == s.w {
		s.r, s.w = 0, 0
	}
	if len(s.buf)-s.r < n {
		copy(s.buf, s.buf[s.r:s.w])
		s.r, s.w = 0, s.w-s.r
	}
	for s.w-s.r < n {
		m, err := s.recv(s.buf[s.w:])
		if err != nil {
			if err == io.EOF && s.w > s.r {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		s.w += m
	}
	return nil
}

// readHeader reads the length of the next frame.
func (s *stream) readHeader(limit int) (int, error) {
	if err := s.fill(frameHeader); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint32(s.buf[s.r:])
	if uint64(n) > uint64(limit) {
		return 0, fmt.Errorf("frame of %d bytes is over the limit of %d: not Kong's protocol", n, limit)
	}
	s.r += frameHeader
	return int(n), nil
}

// readPayload returns the n bytes of a frame. The slice is the stream's own and holds until the next read, unless it
// was too large for the buffer: then it is the caller's. A large length is believed as far as its bytes arrive.
func (s *stream) readPayload(n int) ([]byte, error) {
	if n <= len(s.buf) {
		if err := s.fill(n); err != nil {
			return nil, unexpected(err)
		}
		p := s.buf[s.r : s.r+n : s.r+n]
		s.r += n
		return p, nil
	}
	const trusted = 16 << 20
	p := make([]byte, 0, min(n, trusted))
	for len(p) < n {
		if len(p) == cap(p) {
			p = append(p, 0)[:len(p)]
		}
		next := p[len(p):min(cap(p), n)]
		if err := s.readFull(next); err != nil {
			return nil, unexpected(err)
		}
		p = p[:len(p)+len(next)]
	}
	return p, nil
}

// readFull fills p, past the buffer where it is large.
func (s *stream) readFull(p []byte) error {
	n := copy(p, s.buf[s.r:s.w])
	s.r += n
	for n < len(p) {
		if len(p)-n < len(s.buf) {
			if err := s.fill(len(p) - n); err != nil {
				return err
			}
			m := copy(p[n:], s.buf[s.r:s.w])
			s.r += m
			n += m
			continue
		}
		m, err := s.recv(p[n:])
		if err != nil {
			return err
		}
		n += m
	}
	return nil
}

// skip reads n bytes and forgets them.
func (s *stream) skip(n int) error {
	for n > 0 {
		if s.r == s.w {
			if err := s.fill(1); err != nil {
				return unexpected(err)
			}
		}
		m := min(n, s.w-s.r)
		s.r += m
		n -= m
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// flush sends what was collected, in one write.
func (s *stream) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.to.Write(s.out)
	if cap(s.out) > keepBuffer {
		s.out = nil
	}
	s.out = s.out[:0]
	return err
}

// await notes a reply to come.
func (s *stream) await(m *method, args []byte, keep bool) {
	var a *awaited
	if n := len(s.free); n > 0 {
		a, s.free = s.free[n-1], s.free[:n-1]
	} else {
		a = new(awaited)
	}
	a.method, a.keep = m, keep
	a.args = append(a.args[:0], args...)
	s.awaited = append(s.awaited, a)
}

// settle reads the oldest awaited reply. Kept replies go to memo, others are forgotten.
func (s *stream) settle(memo func(m *method, args, reply []byte)) error {
	a := s.awaited[0]
	n, err := s.readHeader(maxReply)
	if err != nil {
		return unexpected(err)
	}
	between := s.between
	s.between = false // not while a reply is read in part
	defer func() { s.between = between }()
	if a.keep && memo != nil {
		var p []byte
		if p, err = s.readPayload(n); err == nil {
			memo(a.method, a.args, p)
		}
	} else {
		err = s.skip(n)
	}
	if err != nil {
		return err
	}
	copy(s.awaited, s.awaited[1:])
	s.awaited = s.awaited[:len(s.awaited)-1]
	s.free = append(s.free, a)
	return nil
}

// unanswered names the calls whose replies never came, for the log.
func (s *stream) unanswered() []string {
	var names []string
	for _, a := range s.awaited {
		names = append(names, a.method.name)
	}
	return names
}

// replies counts down the replies in a stream of bytes that nobody wants.
type replies struct {
	left    int
	head    [frameHeader]byte
	have    int // bytes of head
	payload int // bytes of the reply that are still to come
}

func (r *replies) skip(p []byte) {
	for len(p) > 0 && r.left > 0 {
		if r.have < frameHeader {
			n := copy(r.head[r.have:], p)
			r.have, p = r.have+n, p[n:]
			if r.have < frameHeader {
				return
			}
			r.payload = int(binary.LittleEndian.Uint32(r.head[:]))
		}
		n := min(r.payload, len(p))
		r.payload, p = r.payload-n, p[n:]
		if r.payload == 0 {
			r.left, r.have = r.left-1, 0
		}
	}
}
