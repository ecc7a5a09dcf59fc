package kongdev

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// Kong's connection pool: per worker and socket, last in first out.
const (
	poolSize = 256
	poolIdle = 60 * time.Second
)

// loopTurn is how long a worker takes to notice what happened to an idle
// connection, unless Options.LoopTurn says otherwise: what one turn of the event loop of a busy Kong worker takes, a
// dozen or two of events of 50 to 100 us. A request in that time can get a dead
// connection, and then fails.
const loopTurn = time.Millisecond

// keptBuffer is the largest frame buffer that an idle connection keeps.
const keptBuffer = 64 << 10

// A pool keeps idle connections to one plugin server's socket. What happens to
// an idle connection is noticed by a watcher a moment later, as in Kong's event
// loop; in that moment a request can still get a dead one.
type pool struct {
	poolOptions
	epoll int
	wake  [2]int // a pipe that ends the watcher
	stop  chan struct{}
	ended chan struct{}

	mu     sync.Mutex
	free   []idleConn // the last one is the newest
	all    map[*pluginConn]bool
	closed bool
}

type poolOptions struct {
	socket   string
	worker   int
	turn     time.Duration // before the end of an idle connection is noticed; 0 is loopTurn
	idle     time.Duration // how long a connection is kept; 0 is poolIdle
	wait     time.Duration // for each connect, send and receive; 0 is socketTimeout
	frames   func(Frame)   // may be nil
	ids      *atomic.Int64
	counters *counters
	log      *errorlog.Log
}

type idleConn struct {
	*pluginConn
	since time.Time
}

func newPool(o poolOptions) (*pool, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if o.turn == 0 {
		o.turn = loopTurn
	}
	if o.idle == 0 {
		o.idle = poolIdle
	}
	if o.wait == 0 {
		o.wait = socketTimeout
	}
	p := &pool{poolOptions: o, epoll: epoll, stop: make(chan struct{}), ended: make(chan struct{}), all: map[*pluginConn]bool{}}
	if err := unix.Pipe2(p.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("pipe: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(p.wake[0])}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, p.wake[0], &ev); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	go p.watch()
	return p, nil
}

// get takes the newest idle connection or opens one. reused tells which.
func (p *pool) get() (c *pluginConn, reused bool, err error) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		c = p.free[n-1].pluginConn
		p.free = p.free[:n-1]
		_ = p.control(unix.EPOLL_CTL_MOD, c, 0)
		p.mu.Unlock()
		return c, true, nil
	}
	p.mu.Unlock()
	conn, err := net.DialTimeout("unix", p.socket, p.wait)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
			p.counters.refused.Add(1)
		}
		text := socketText(err)
		p.log.Printf(errorlog.Err, "trying to connect: %s", text)
		return nil, false, &rpcError{text: text}
	}
	p.counters.connections.Add(1)
	c = newPluginConn(conn, p.wait)
	c.id, c.worker, c.frames = p.ids.Add(1), p.worker, p.frames
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { c.fd = int(fd) })
	}
	if err == nil {
		p.mu.Lock()
		if p.closed {
			err = net.ErrClosed
		} else if err = p.control(unix.EPOLL_CTL_ADD, c, 0); err == nil {
			p.all[c] = true
		}
		p.mu.Unlock()
	}
	if err != nil {
		_ = conn.Close()
		return nil, false, &rpcError{text: err.Error()}
	}
	c.report("connect", "", true, nil)
	return c, false, nil
}

// put gives a connection back after a finished command.
func (p *pool) put(c *pluginConn) {
	if cap(c.buf) > keptBuffer {
		c.buf = nil
	}
	if c.in.Buffered() > 0 { // Kong refuses to keep a connection with unread data
		p.drop(c)
		return
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.drop(c)
		return
	}
	var oldest *pluginConn
	if len(p.free) >= poolSize {
		oldest = p.free[0].pluginConn
		p.free = append(p.free[:0], p.free[1:]...)
	}
	p.free = append(p.free, idleConn{c, time.Now()})
	_ = p.control(unix.EPOLL_CTL_MOD, c, unix.EPOLLIN|unix.EPOLLRDHUP) // under the lock: not after a get
	p.mu.Unlock()
	if oldest != nil {
		p.drop(oldest)
	}
}

// control tells the watcher to look for events on the connection, once; none
// while it is in use.
func (p *pool) control(op int, c *pluginConn, events uint32) error {
	ev := unix.EpollEvent{Events: events | unix.EPOLLONESHOT, Fd: int32(c.fd), Pad: int32(c.id)}
	return unix.EpollCtl(p.epoll, op, c.fd, &ev)
}

func (p *pool) drop(c *pluginConn) {
	p.mu.Lock()
	delete(p.all, c)
	p.mu.Unlock()
	c.report("close", "", true, nil)
	_ = c.Close()
}

// watch drops idle connections that their server closed or wrote to, and those
// that were idle too long.
func (p *pool) watch() {
	defer close(p.ended)
	events := make([]unix.EpollEvent, 64)
	for {
		n, err := unix.EpollWait(p.epoll, events, p.untilOldest())
		if err != nil && err != unix.EINTR {
			return
		}
		seen := events[:max(n, 0)]
		if slices.ContainsFunc(seen, func(ev unix.EpollEvent) bool { return int(ev.Fd) == p.wake[0] }) {
			return
		}
		if n > 0 {
			select {
			case <-time.After(p.turn):
			case <-p.stop:
			}
		}
		for _, ev := range seen {
			p.expire(func(c idleConn) bool { return c.fd == int(ev.Fd) && int32(c.id) == ev.Pad })
		}
		now := time.Now()
		p.expire(func(c idleConn) bool { return now.Sub(c.since) >= p.idle })
	}
}

// untilOldest is when a connection may have been idle too long, in milliseconds
// from now. One that becomes idle later is due later.
func (p *pool) untilOldest() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.idle
	if len(p.free) > 0 {
		left = p.idle - time.Since(p.free[0].since)
	}
	return max(int(left.Milliseconds())+1, 1)
}

func (p *pool) expire(due func(idleConn) bool) {
	p.mu.Lock()
	var gone []*pluginConn
	kept := p.free[:0]
	for _, c := range p.free {
		if due(c) {
			gone = append(gone, c.pluginConn)
		} else {
			kept = append(kept, c)
		}
	}
	clear(p.free[len(kept):])
	p.free = kept
	p.mu.Unlock()
	for _, c := range gone {
		p.drop(c)
	}
}

// close ends all connections, those in use too.
func (p *pool) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.mu.Unlock()
	close(p.stop)
	_, _ = unix.Write(p.wake[1], []byte{0})
	<-p.ended
	p.expire(func(idleConn) bool { return true })
	p.mu.Lock()
	for c := range p.all {
		_ = c.Close()
	}
	p.mu.Unlock()
	_ = unix.Close(p.epoll)
	_ = unix.Close(p.wake[0])
	_ = unix.Close(p.wake[1])
}
