package fetch_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/datakit/fetch"
)

// A server that breaks a request off in HTTP/2 has closed it, as in HTTP/1.1, so that there may be another try.
func TestBrokenOffInHTTP2(t *testing.T) {
	t.Parallel()
	var protocols sync.Map
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols.Store(r.Proto, true)
		if r.URL.Path == "/half" {
			_, _ = w.Write([]byte("half"))
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t)
	for _, path := range []string{"/", "/half"} {
		r := get(parse(t, s.URL+path))
		r.AnyCertificate = true
		_, err := c.Do(t.Context(), r)
		var e *fetch.Error
		require.ErrorAs(t, err, &e, path)
		assert.Equal(t, fetch.Closed, e.Kind, path)
		assert.Equal(t, r.URL.Host+" closed the connection before the response was complete", e.Error())
	}
	_, is := protocols.Load("HTTP/2.0")
	assert.True(t, is)
}

// A line is a connection that can be cut without a word: what is written goes nowhere, and nothing comes any more.
type line struct {
	net.Conn
	cut    chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *line) isCut() bool {
	select {
	case <-l.cut:
		return true
	default:
		return false
	}
}

func (l *line) Write(b []byte) (int, error) {
	if l.isCut() {
		return len(b), nil
	}
	return l.Conn.Write(b)
}

func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.isCut() {
		<-l.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (l *line) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

// pipes is a listener for connections within the process.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// A connection that has died without a word is given up within half a minute, whatever time a request has, and the next
// request gets a new one.
func TestDeadConnectionOfHTTP2(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes)
		s := &httptest.Server{Listener: listener, EnableHTTP2: true, Config: &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}}
		s.StartTLS()
		defer s.Config.Close()
		defer close(listener)
		var lines []*line
		c := fetch.NewForTest(func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			listener <- there
			l := &line{Conn: here, cut: make(chan struct{}), closed: make(chan struct{})}
			lines = append(lines, l)
			return l, nil
		})
		r := get(parse(t, "https://service.example.org/"))
		r.Timeout, r.AnyCertificate = time.Minute, true
		ask := func() error {
			_, err := c.Do(t.Context(), r)
			return err
		}
		require.NoError(t, ask())
		require.NoError(t, ask())
		require.Len(t, lines, 1, "one connection for all")
		close(lines[0].cut)
		began := time.Now()
		require.EqualError(t, ask(), "service.example.org closed the connection before the response was complete")
		assert.LessOrEqual(t, time.Since(began), 30*time.Second)
		require.NoError(t, ask())
		assert.Len(t, lines, 2)
		for _, l := range lines {
			_ = l.Close()
		}
	})
}
