package pluginserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// controlVersion is the version of the messages between supervisor and worker. A hand-over can meet an executable with
// another one, which then refuses to be its worker.
const controlVersion = "1"

// A messageKind says what a control message means. The numbers are part of controlVersion.
type messageKind uint8

const (
	// From the supervisor.
	msgSetup    messageKind = iota + 1 // payload: workerSetup as JSON; the first message
	msgRestore                         // an instance of an earlier worker: id, payload = configuration
	msgServe                           // the table is complete: accept
	msgAdopt                           // a connection that is idle: fd, id = replies of Kong to skip on it
	msgHandOver                        // stop accepting, give up the connections, drain, exit
	msgRetire                          // nobody follows in this process: see worker.retire; id = milliseconds to keep accepting
	msgScrape                          // send the metrics; id = token

	// From the worker.
	msgReady        // accepting
	msgOpened       // a connection: id, fd = a copy to hold
	msgClosed       // it is closed: id
	msgGive         // it is idle and clean, and given up: id, fd = a copy where there was room for one
	msgInstance     // an instance: id, payload = configuration
	msgInstanceGone // it is gone: id
	msgMetrics      // answer to msgScrape: id = token, payload = text
	msgLeaving      // asked to end by a signal: send a successor
	lastMessageKind = msgLeaving
)

// A controlMessage is one message; fd is -1 when it carries none. Who receives it owns the descriptor.
type controlMessage struct {
	kind    messageKind
	id      uint32
	fd      int
	payload []byte
}

const (
	controlHeaderBytes = 10
	maxControlPayload  = 64 << 20  // a larger configuration is not remembered
	maxControlQueue    = 256 << 20 // bytes that wait for a peer that does not read
	maxControlMessages = 1 << 18
)

// controlHeader is the fixed part: kind, whether a descriptor comes along, id, payload length, little endian.
type controlHeader struct {
	kind   messageKind
	withFD bool
	id     uint32
	length int
}

func (h controlHeader) append(b []byte) []byte {
	fd := byte(0)
	if h.withFD {
		fd = 1
	}
	b = append(b, byte(h.kind), fd)
	b = binary.LittleEndian.AppendUint32(b, h.id)
	return binary.LittleEndian.AppendUint32(b, uint32(h.length))
}

func parseControlHeader(b []byte) (h controlHeader, err error) {
	if len(b) < controlHeaderBytes {
		return h, io.ErrUnexpectedEOF
	}
	h = controlHeader{kind: messageKind(b[0]), withFD: b[1] == 1, id: binary.LittleEndian.Uint32(b[2:])}
	length := binary.LittleEndian.Uint32(b[6:])
	switch {
	case h.kind == 0 || h.kind > lastMessageKind:
		return h, fmt.Errorf("control message of kind %d: unknown", b[0])
	case b[1] > 1:
		return h, fmt.Errorf("control message with flags %d: unknown", b[1])
	case length > maxControlPayload:
		return h, fmt.Errorf("control message of %d bytes: the limit is %d", length, maxControlPayload)
	}
	h.length = int(length)
	return h, nil
}

// A controlChannel is one end of the stream between supervisor and worker. Sending never blocks: one goroutine writes
// what is queued. send is safe for concurrent use; receive belongs to one goroutine.
type controlChannel struct {
	conn *net.UnixConn

	in  []byte // received, not yet taken
	fds []int  // received, not yet taken, in order

	mu      sync.Mutex
	queue   []controlMessage
	queued  int
	closing bool

	wake   chan struct{}
	writer chan struct{} // closed when the writer has ended
}

// controlPair makes a channel: our end, and the file that the worker inherits as the other.
func controlPair() (*controlChannel, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("control channel: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	ours := os.NewFile(uintptr(pair[0]), "control")
	defer ours.Close()
	c, err := openControl(ours)
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// openControl makes a channel from a socket, of which it takes a copy, and starts its writer.
func openControl(f *os.File) (*controlChannel, error) {
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("control channel: %w", err)
	}
	u, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, errors.New("control channel: the descriptor is no unix socket")
	}
	c := &controlChannel{conn: u, wake: make(chan struct{}, 1), writer: make(chan struct{})}
	go c.write()
	return c, nil
}

// send queues m and reports whether there was room. It takes m.fd in any case.
func (c *controlChannel) send(m controlMessage) bool {
	c.mu.Lock()
	full := len(c.queue) >= maxControlMessages || c.queued+len(m.payload) > maxControlQueue
	if c.closing || full || len(m.payload) > maxControlPayload {
		c.mu.Unlock()
		closeFD(m.fd)
		return false
	}
	c.queue = append(c.queue, m)
	c.queued += len(m.payload)
	c.mu.Unlock()
	c.signal()
	return true
}

func (c *controlChannel) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tell sends a message without payload or descriptor.
func (c *controlChannel) tell(kind messageKind, id uint32) bool {
	return c.send(controlMessage{kind: kind, id: id, fd: -1})
}

func (c *controlChannel) write() {
	defer close(c.writer)
	for {
		c.mu.Lock()
		batch, closing := c.queue, c.closing
		c.queue = nil
		c.mu.Unlock()
		for i, m := range batch {
			err := c.writeOne(m)
			closeFD(m.fd)
			c.mu.Lock()
			c.queued -= len(m.payload)
			c.mu.Unlock()
			if err != nil {
				c.fail(batch[i+1:])
				return
			}
		}
		switch {
		case len(batch) > 0:
		case closing:
			return
		default:
			<-c.wake
		}
	}
}

// fail ends sending: the peer is gone. Its reader learns that by itself.
func (c *controlChannel) fail(rest []controlMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	for _, m := range append(rest, c.queue...) {
		closeFD(m.fd)
	}
	c.queue, c.queued = nil, 0
}

// writeOne writes one message. The descriptor goes with its first byte.
func (c *controlChannel) writeOne(m controlMessage) error {
	var head [controlHeaderBytes]byte
	b := controlHeader{kind: m.kind, withFD: m.fd >= 0, id: m.id, length: len(m.payload)}.append(head[:0])
	if m.fd >= 0 {
		n, _, err := c.conn.WriteMsgUnix(b, unix.UnixRights(m.fd), nil)
		if errors.Is(err, unix.ETOOMANYREFS) { // too many descriptors under way: this copy is not held
			return nil
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	if len(b) > 0 {
		if _, err := c.conn.Write(b); err != nil {
			return err
		}
	}
	if len(m.payload) > 0 {
		_, err := c.conn.Write(m.payload)
		return err
	}
	return nil
}

// receive waits for the next message. io.EOF means that the peer is gone.
func (c *controlChannel) receive() (controlMessage, error) {
	if err := c.fill(controlHeaderBytes); err != nil {
		return controlMessage{}, err
	}
	h, err := parseControlHeader(c.in)
	if err != nil {
		return controlMessage{}, err
	}
	m := controlMessage{kind: h.kind, id: h.id, fd: -1}
	if h.withFD {
		if len(c.fds) == 0 {
			return controlMessage{}, errors.New("control message without its descriptor")
		}
		m.fd, c.fds = c.fds[0], c.fds[1:]
	}
	if err := c.fill(controlHeaderBytes + h.length); err != nil {
		closeFD(m.fd)
		return controlMessage{}, err
	}
	if h.length > 0 {
		m.payload = append(make([]byte, 0, h.length), c.in[controlHeaderBytes:controlHeaderBytes+h.length]...)
	}
	c.in = c.in[controlHeaderBytes+h.length:]
	return m, nil
}

// fill reads until n bytes are there. A read never spans two messages with descriptors, so there is room for one.
func (c *controlChannel) fill(n int) error {
	var oob [64]byte
	for len(c.in) < n {
		if cap(c.in) < n || cap(c.in) == len(c.in) {
			grown := make([]byte, len(c.in), max(n, 4<<10))
			copy(grown, c.in)
			c.in = grown
		}
		got, oobn, flags, _, err := c.conn.ReadMsgUnix(c.in[len(c.in):cap(c.in)], oob[:])
		switch {
		case errors.Is(err, io.EOF) && len(c.in) > 0:
			return io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return err
		}
		c.in = c.in[:len(c.in)+got]
		if err := c.takeFDs(oob[:oobn], flags); err != nil {
			return err
		}
	}
	return nil
}

// takeFDs queues the descriptors of one read. When the kernel could not give us one (no room in our table), -1 takes its
// place, so that the next message does not get another's.
func (c *controlChannel) takeFDs(oob []byte, flags int) error {
	got := 0
	if len(oob) > 0 {
		messages, err := unix.ParseSocketControlMessage(oob)
		if err != nil {
			return fmt.Errorf("control channel: %w", err)
		}
		for i := range messages {
			fds, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				return fmt.Errorf("control channel: %w", err)
			}
			c.fds = append(c.fds, fds...)
			got += len(fds)
		}
	}
	if got == 0 && flags&unix.MSG_CTRUNC != 0 {
		c.fds = append(c.fds, -1)
	}
	return nil
}

// close sends what is queued, for at most patience, and closes. The reader's receive then fails.
func (c *controlChannel) close(patience time.Duration) {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.signal()
	if patience > 0 {
		select {
		case <-c.writer:
		case <-time.After(patience):
		}
	}
	_ = c.conn.Close()
	<-c.writer
}

// discard closes the descriptors that nobody received. Only after receive has failed.
func (c *controlChannel) discard() {
	for _, fd := range c.fds {
		closeFD(fd)
	}
	c.fds = nil
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}

// copyOf returns another descriptor of a connection without touching its mode: os.File would make it blocking.
func copyOf(c *net.UnixConn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd = -1
	if controlErr := raw.Control(func(have uintptr) { fd, err = copyFD(int(have)) }); controlErr != nil {
		return -1, controlErr
	}
	return fd, err
}

func copyFD(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// connOf makes a connection from a descriptor, which it takes.
func connOf(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	if f == nil {
		return nil, errors.New("connection: no descriptor")
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("connection: the descriptor is no unix socket")
	}
	return u, nil
}
