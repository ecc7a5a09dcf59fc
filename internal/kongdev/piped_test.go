package kongdev

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/declarative"
)

// A pipeListener has no port: who dials gets one end of a pipe. So a gateway can run in a test's own time.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8000} }

func (l *pipeListener) dial() net.Conn {
	near, far := net.Pipe()
	l.conns <- far
	return near
}

// A pipedGateway is a gateway with stand-ins for plugins, whose clients and upstream it meets in pipes.
type pipedGateway struct {
	*Gateway
	clients *pipeListener
	traces  traceKeeper
}

// startPiped starts one with a configuration as a file has it. It ends with the test's bubble.
func startPiped(t *testing.T, config string, upstream http.Handler) *pipedGateway {
	t.Helper()
	d, err := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\n"+config))
	require.NoError(t, err)
	require.NoError(t, d.CompletePlugins(declarative.Schemas{Inside: standInSchemas()}))
	g := &pipedGateway{clients: newPipeListener()}
	o := Options{Config: d, listeners: []proxyListener{{Listener: g.clients}}}
	g.traces.options(&o)
	g.Gateway, err = Start(t.Context(), o)
	require.NoError(t, err)
	server, up := &http.Server{Handler: upstream}, newPipeListener()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(up)
	}()
	g.proxy.dial = func(context.Context, string, time.Duration) (net.Conn, error) { return up.dial(), nil }
	t.Cleanup(func() {
		require.NoError(t, g.Close())
		_ = server.Close()
		<-done
	})
	return g
}
