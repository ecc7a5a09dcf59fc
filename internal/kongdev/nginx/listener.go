package nginx

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"sync"
	"time"
)

// A listener hands the clients' connections to Go's server, those with
// HTTP/1 as Conns. It speaks TLS itself: that server would take no other
// connection for one with TLS.
type listener struct {
	net.Listener
	config *tls.Config // nil without TLS
	log    *log.Logger

	ready  chan net.Conn
	failed chan error // Accept's, once
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	hands  sync.WaitGroup // handshakes
}

// NewListener hands the clients' connections of l to Go's server, those with
// HTTP/1 as *Conn. It speaks TLS unless config is nil.
func NewListener(l net.Listener, config *tls.Config, log *log.Logger) net.Listener {
	c := &listener{Listener: l, config: config, log: log, ready: make(chan net.Conn), failed: make(chan error, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	if l.config == nil {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		return newConn(c), nil
	}
	l.once.Do(func() { go l.acceptTLS() })
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		return nil, err
	}
}

func (l *listener) acceptTLS() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if temporary, ok := err.(net.Error); ok && temporary.Timeout() {
				continue
			}
			l.failed <- err
			return
		}
		l.hands.Go(func() { l.shakeHands(c) })
	}
}

// shakeHands does the TLS handshake of one client.
func (l *listener) shakeHands(raw net.Conn) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Printf("panic in a TLS handshake: %v", p)
			_ = raw.Close()
		}
	}()
	_ = raw.SetDeadline(time.Now().Add(ClientTimeout))
	stop := context.AfterFunc(l.ctx, func() { _ = raw.Close() })
	defer stop()
	first := make([]byte, 1)
	if n, _ := raw.Read(first); n == 0 {
		_ = raw.Close()
		return
	}
	raw = &begunConn{Conn: raw, first: first}
	var out net.Conn
	if first[0]&0x80 != 0 || first[0] == 0x16 {
		c := tls.Server(raw, l.config)
		if err := c.HandshakeContext(l.ctx); err != nil {
			l.log.Printf("http: TLS handshake error from %s: %v", raw.RemoteAddr(), err)
			_ = raw.Close()
			return
		}
		out = c
		if state := c.ConnectionState(); state.NegotiatedProtocol != "h2" {
			h := newConn(c)
			h.TLS, out = &state, h
		}
	} else {
		h := newConn(raw)
		h.plain, out = true, h
	}
	_ = raw.SetDeadline(time.Time{})
	select {
	case l.ready <- out:
	case <-l.ctx.Done():
		_ = raw.Close()
	}
}

// Close implements net.Listener. Handshakes that go on end with it.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.cancel()
	l.hands.Wait()
	return err
}

// A begunConn is a connection whose first bytes have been read.
type begunConn struct {
	net.Conn
	first []byte
}

func (c *begunConn) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite ends the sending half.
func (c *begunConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
