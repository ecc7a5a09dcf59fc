package kongdev

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"kong-go-plugins/internal/kongdev/lua"
)

// A Frame is one frame between the gateway and a plugin server, or the opening
// or end of a connection. Data is valid until the hook returns.
type Frame struct {
	Time     time.Time
	Worker   int
	Conn     int64  // numbered from 1 in the order of opening
	ToPlugin bool   // sent by the gateway
	Kind     string // connect, close, RpcCall, step_method, step_args, step_reply, end_of_event, RpcReturn
	Method   string // of a step
	Data     []byte // without the length
}

// socketTimeout is Kong's limit for each connect, send and receive on a plugin
// server's socket; not settable there.
const socketTimeout = 60 * time.Second

// A pluginConn is one connection to a plugin server. One event or command owns
// it at a time.
type pluginConn struct {
	net.Conn
	id     int64
	worker int
	wait   time.Duration // socketTimeout
	fd     int           // for the pool's watcher
	in     *bufio.Reader
	buf    []byte // the last frame read
	frames func(Frame)

	readRenew, writeRenew time.Time // when the deadline is due to be put off
}

// renewal is the part of a wait after which its deadline is put off: to do it
// each time would cost more than many a call.
const renewal = 64

func newPluginConn(conn net.Conn, wait time.Duration) *pluginConn {
	c := &pluginConn{Conn: conn, wait: wait}
	c.in = bufio.NewReaderSize(c, 4096)
	return c
}

// Read waits for bytes; as with Kong's sockets the limit holds for each wait,
// less a 64th at most.
func (c *pluginConn) Read(b []byte) (int, error) {
	if now := time.Now(); now.After(c.readRenew) {
		c.readRenew = now.Add(c.wait / renewal)
		_ = c.SetReadDeadline(now.Add(c.wait))
	}
	return c.Conn.Read(b)
}

// writeFrame sends a frame in two sends, as Kong does: the length, then the
// bytes, if there are any.
func (c *pluginConn) writeFrame(kind, method string, data []byte) error {
	c.report(kind, method, true, data)
	if now := time.Now(); now.After(c.writeRenew) {
		c.writeRenew = now.Add(c.wait / renewal)
		_ = c.SetWriteDeadline(now.Add(c.wait))
	}
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(data)))
	if _, err := c.Write(head[:]); err != nil {
		return sendError(err)
	}
	if len(data) == 0 {
		return nil
	}
	if _, err := c.Write(data); err != nil {
		return sendError(err)
	}
	return nil
}

// readFrame receives a frame; its bytes are good until the next one. Kong has
// no limit for its size either: the memory grows only as bytes arrive.
func (c *pluginConn) readFrame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, receiveError(err)
	}
	size := int(binary.LittleEndian.Uint32(head[:]))
	c.buf = c.buf[:0]
	for len(c.buf) < size {
		chunk := min(size-len(c.buf), 1<<20)
		have := len(c.buf)
		if cap(c.buf)-have < chunk {
			c.buf = append(make([]byte, 0, max(2*cap(c.buf), have+chunk)), c.buf...)
		}
		c.buf = c.buf[:have+chunk]
		if _, err := io.ReadFull(c.in, c.buf[have:]); err != nil {
			return nil, receiveError(err)
		}
	}
	return c.buf, nil
}

func (c *pluginConn) report(kind, method string, toPlugin bool, data []byte) {
	if c.frames != nil {
		c.frames(Frame{time.Now(), c.worker, c.id, toPlugin, kind, method, data})
	}
}

// An rpcError is what Kong's plugin protocol code returns, and not raises: the
// text of a failed socket operation.
type rpcError struct {
	text  string
	cause error // may be nil
}

func (e *rpcError) Error() string { return e.text }

func (e *rpcError) Unwrap() error { return e.cause }

// errClosed is the only failure that Kong answers by sending the event again.
var errClosed = &rpcError{text: "closed"} // read-only

// receiveError names a failed receive as a cosocket does.
func receiveError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return errClosed
	}
	return &rpcError{text: socketText(err)}
}

// sendError is a failed send: Kong asserts on it, so it is a Lua error.
func sendError(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return &lua.Error{Text: "closed"}
	}
	return &lua.Error{Text: socketText(err)}
}

func socketText(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "timeout"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error() // "connection reset by peer", "connection refused", "no such file or directory"
	}
	return err.Error()
}
