package kongdev

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/echo"
	"kong-go-plugins/internal/kongdev/nginx"
)

// say sends bytes as they are.
func say(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err, "%.200q", text)
}

const oneService = `
services: [{name: up, url: "http://127.0.0.1:1", routes: [{paths: [/]}]}]
`

// A head has nginx's minute, and its client no answer after it; who says nothing is no request.
func TestSlowHeads(t *testing.T) {
	for begin, isRequest := range map[string]bool{
		"": false, "\r\n": false, "PRI * HTTP/2.0\r\n": false, "G": true, "GET / HTTP/1.1\r\nHost: x\r\n": true, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow": true,
	} {
		synctest.Test(t, func(t *testing.T) {
			g := startPiped(t, oneService, http.NotFoundHandler())
			c := g.clients.dial()
			start := time.Now()
			if begin != "" {
				say(t, c, begin)
			}
			text, err := io.ReadAll(c)
			require.NoError(t, err)
			assert.Empty(t, string(text), begin)
			assert.Equal(t, nginx.ClientTimeout, time.Since(start), begin)
			synctest.Wait()
			if !isRequest {
				assert.Zero(t, g.Stats().Requests, begin)
				return
			}
			assert.Equal(t, http.StatusRequestTimeout, g.traces.done(t, 1).Status, begin)
		})
	}
}

// A body has a minute for each of its pieces, and no limit for the whole. One that stops is a 408.
func TestSlowBody(t *testing.T) {
	for begin, rest := range map[string][]string{
		"Content-Length: 10\r\n\r\nabc":                                        nil,
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n":                       nil,
		"Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000):          nil,
		"Content-Length: 5\r\n\r\n":                                            {"a", "b", "c", "d", "e"},
		"Transfer-Encoding: chunked\r\nTrailer: T\r\n\r\n":                     {"1\r\na\r\n", "2\r\nbc\r\n", "2\r\nde\r\n", "0\r\nT: 1\r\n\r\n"},
		"Content-Length: 10005\r\n\r\n" + strings.Repeat("x", bodyBuffer+1808): {"a", "b", "c", "d", "e"},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := startPiped(t, oneService, echo.New())
			c := g.clients.dial()
			start := time.Now()
			say(t, c, "POST / HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nConnection: close\r\n"+begin)
			for _, piece := range rest {
				time.Sleep(nginx.ClientTimeout - time.Second)
				say(t, c, piece)
			}
			text, err := io.ReadAll(c)
			require.NoError(t, err)
			if rest == nil {
				assert.Contains(t, string(text), "HTTP/1.1 408 ")
				assert.Contains(t, string(text), `"message":"Request timeout"`)
				assert.GreaterOrEqual(t, time.Since(start), nginx.ClientTimeout)
				return
			}
			assert.Contains(t, string(text), "HTTP/1.1 200 OK\r\n")
			assert.Contains(t, string(text), `"body_len":`)
		})
	}
}

// A client that takes nothing of its answer for a minute loses its connection.
func TestClientThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startPiped(t, oneService, echo.New())
		c := g.clients.dial()
		start := time.Now()
		say(t, c, "GET /bytes/100000000 HTTP/1.1\r\nHost: x\r\n\r\n")
		buf := make([]byte, 100_000)
		for range 3 { // slow, but not too slow
			time.Sleep(nginx.ClientTimeout - time.Second)
			_, err := io.ReadFull(c, buf)
			require.NoError(t, err)
		}
		require.NoError(t, g.Idle(t.Context()), "the request ends although the client does not read on")
		assert.GreaterOrEqual(t, time.Since(start), 3*(nginx.ClientTimeout-time.Second)+time.Second)
		assert.Less(t, time.Since(start), 5*nginx.ClientTimeout)
	})
}

// A tunnel ends when the upstream has been silent for read_timeout, as nginx ends it, and not before.
func TestIdleWebsocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startPiped(t, strings.Replace(oneService, "url:", "read_timeout: 30000, url:", 1), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			for {
				line, err := rw.ReadString('\n')
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, line)
			}
		}))
		c := g.clients.dial()
		say(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		in := bufio.NewReader(c)
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Equal(t, 101, resp.StatusCode)
		for i := range 5 { // together longer than the limit
			time.Sleep(29 * time.Second)
			line := fmt.Sprintf("%d\n", i)
			say(t, c, line)
			back, err := in.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, line, back)
		}
		start := time.Now()
		_, err = in.ReadString('\n')
		require.ErrorIs(t, err, io.EOF, "silence ends it")
		assert.Equal(t, 30*time.Second, time.Since(start))
	})
}
