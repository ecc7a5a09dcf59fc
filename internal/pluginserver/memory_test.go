package pluginserver

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// newMemoryRig is newRig without a socket, for tests in virtual time: Kong connects to it in memory.
func newMemoryRig(t testing.TB, h testHandlers, change ...func(*serverConfig)) *rig {
	t.Helper()
	c, logs := rigConfig(h, change)
	r := &rig{server: newServer(c), t: t, logs: logs}
	t.Cleanup(r.shutdown)
	return r
}

// connect is dial in memory.
func (r *rig) connect() *peer {
	toPlugin, toKong := newFlow(), newFlow()
	kong := memoryConn{in: toKong, out: toPlugin}
	r.t.Cleanup(func() { _ = kong.Close() })
	r.open(memoryConn{in: toPlugin, out: toKong}, 0)
	return &peer{r.t, kong}
}

// A memoryConn is one end of a connection in memory that has room for everything, as net.Pipe has not. Deadlines pass
// unnoticed.
type memoryConn struct {
	net.Conn // none: addresses are not asked for
	in, out  *flow
}

func (c memoryConn) Read(p []byte) (int, error)      { return c.in.read(p) }
func (c memoryConn) Write(p []byte) (int, error)     { return c.out.write(p) }
func (c memoryConn) SetDeadline(time.Time) error     { return nil }
func (c memoryConn) SetReadDeadline(time.Time) error { return nil }

func (c memoryConn) CloseWrite() error {
	c.out.close()
	return nil
}

func (c memoryConn) Close() error {
	c.in.close()
	c.out.close()
	return nil
}

// A flow is one direction of a memoryConn.
type flow struct {
	mu     sync.Mutex
	more   *sync.Cond
	data   []byte
	closed bool
}

func newFlow() *flow {
	f := &flow{}
	f.more = sync.NewCond(&f.mu)
	return f
}

func (f *flow) read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.data) == 0 && !f.closed {
		f.more.Wait()
	}
	if len(f.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.data)
	f.data = f.data[n:]
	return n, nil
}

func (f *flow) write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, io.ErrClosedPipe
	}
	f.data = append(f.data, p...)
	f.more.Broadcast()
	return len(p), nil
}

func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.more.Broadcast()
}
