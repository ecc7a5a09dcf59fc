// Package direct reads and writes sockets without waiting, and so without what Go's scheduler does around calls that may:
// keeping count of them and, when one takes longer than 20 µs, looking for another thread. It saves a plugin that answers
// one question at a time a third of its processor time.
package direct

import (
	"io"
	"net"
	"os"
	"syscall"
)

// A Conn is a socket whose reads and writes go directly to the kernel; where they must wait they wait as those of any
// net.Conn, deadlines included. One goroutine may read and one may write at a time.
type Conn struct {
	net.Conn
	raw     syscall.RawConn // nil when the connection has no descriptor
	in, out transfer
	readFn  func(fd uintptr) bool
	writeFn func(fd uintptr) bool
}

// A transfer is a read or a write under way.
type transfer struct {
	p   []byte // what is left
	n   int    // bytes so far
	err error
}

// New returns c with direct reads and writes. One without a descriptor, in memory perhaps, has its own.
func New(c net.Conn) *Conn {
	d := &Conn{Conn: c}
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			d.raw, d.readFn, d.writeFn = raw, d.receive, d.transmit
		}
	}
	return d
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	if c.raw == nil || len(p) == 0 {
		return c.Conn.Read(p)
	}
	c.in = transfer{p: p}
	err := c.raw.Read(c.readFn)
	done := c.in
	c.in = transfer{}
	switch {
	case err != nil:
		return 0, err
	case done.err != nil:
		return 0, os.NewSyscallError("read", done.err)
	case done.n == 0:
		return 0, io.EOF
	}
	return done.n, nil
}

// receive reads once. It reports whether that was more than nothing to wait for.
func (c *Conn) receive(fd uintptr) bool {
	for {
		c.in.n, c.in.err = Receive(fd, c.in.p)
		if c.in.err != syscall.EINTR {
			return c.in.err != syscall.EAGAIN
		}
	}
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (int, error) {
	if c.raw == nil || len(p) == 0 {
		return c.Conn.Write(p)
	}
	c.out = transfer{p: p}
	err := c.raw.Write(c.writeFn)
	done := c.out
	c.out = transfer{}
	if err == nil && done.err != nil {
		err = os.NewSyscallError("write", done.err)
	}
	return done.n, err
}

// transmit writes until all has left or there is no room. It reports whether there is nothing to wait for.
func (c *Conn) transmit(fd uintptr) bool {
	for len(c.out.p) > 0 {
		n, err := Transmit(fd, c.out.p)
		switch err {
		case nil:
			c.out.p, c.out.n = c.out.p[n:], c.out.n+n
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			c.out.err = err
			return true
		}
	}
	return true
}
