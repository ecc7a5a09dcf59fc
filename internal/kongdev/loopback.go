package kongdev

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"syscall"
	"time"
)

// A Loopback is an HTTP server on an address of this machine.
type Loopback struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

// Listen opens addr, "host:port" with port 0 for any free one. what names the
// server and flag the setting in the error text, which says what to do.
func Listen(what, flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: address %s is in use by another process; stop it or choose another address with %s", what, addr, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s: no permission to listen on %s; choose a port above 1023 with %s", what, addr, flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: this machine has no address %s; choose another with %s, like 127.0.0.1:0", what, addr, flag)
	}
	return nil, fmt.Errorf("%s: cannot listen on %q: %w; give %s as host:port, like 127.0.0.1:0", what, addr, err, flag)
}

// ServeLoopback serves h on a free port of 127.0.0.1.
func ServeLoopback(h http.Handler) (*Loopback, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("loopback server: %w", err)
	}
	return Serve(l, h), nil
}

// Serve serves h on l until Close.
func Serve(l net.Listener, h http.Handler) *Loopback {
	s := &Loopback{
		listener: l,
		server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       time.Minute,
			ErrorLog:          log.New(io.Discard, "", 0), // clients that hang up are not news
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.server.Serve(l)
	}()
	return s
}

// URL is the server's base, like http://127.0.0.1:34567.
func (s *Loopback) URL() string { return "http://" + s.listener.Addr().String() }

// Close ends the server and all its connections.
func (s *Loopback) Close() error {
	err := s.server.Close()
	<-s.done
	return err
}
