package kongdev

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/lua"
)

// A client that goes away is a 499 in the log, and no plugin's fault.
func TestClientGone(t *testing.T) {
	reached := make(chan struct{})
	logged := make(chan string, 1)
	b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
		if phase == "log" {
			logged <- c.text("kong.log.serialize", nil)
		}
	}, withUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", b.URL(), nil)
	require.NoError(t, err)
	go func() { <-reached; cancel() }()
	_, err = http.DefaultClient.Do(req) //nolint:bodyclose // there is no answer
	require.Error(t, err)
	assert.Contains(t, <-logged, `"status":499`)
	assert.Zero(t, b.Stats().Failed)
}

// A request body that cannot be read is the client's fault.
func TestBrokenRequestBody(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, ignore)
	c, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://"))
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	require.NoError(t, err)
	answer, _ := io.ReadAll(c)
	assert.Contains(t, string(answer), "HTTP/1.1 400 Bad Request")
	assert.Contains(t, string(answer), "Bad request\nrequest_id: ")
}

// Exits with any status that Kong takes end the request.
func TestExitStatus(t *testing.T) {
	for _, status := range []int32{100, 199, 200, 204, 304, 404, 599} {
		b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
			c.ask("kong.response.exit", &kong_plugin_protocol.ExitArgs{Status: status, Body: []byte("x")})
		})
		c, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://"))
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		answer, _ := io.ReadAll(c)
		assert.Contains(t, string(answer), "HTTP/1.1 "+lua.FormatNumber(float64(status), 10))
		_ = c.Close()
	}
}

// A gateway that closes does not wait for ever for a handler that hangs.
func TestCloseWithHangingHandler(t *testing.T) {
	hang := make(chan struct{})
	logging := make(chan struct{})
	b, _ := newFakeBench(t, `"access","log"`, func(_ *fakeConn, phase string, _ int32) {
		if phase == "log" {
			close(logging)
			<-hang
		}
	})
	defer close(hang)
	require.Equal(t, 200, b.get("/").StatusCode)
	<-logging
	start := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(start), 10*closeWait)
	_, err := b.listeners[0].Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	require.Error(t, b.Reload(b.Config()))
}
