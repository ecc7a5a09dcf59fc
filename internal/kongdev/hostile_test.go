package kongdev

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/nginx"
)

// dial opens a plain connection to the proxy.
func (b *bench) dial() net.Conn {
	b.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://"))
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = c.Close() })
	require.NoError(b.t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

// answer sends bytes as they are and reads until the gateway closes.
func (b *bench) answer(request string) string {
	b.t.Helper()
	c := b.dial()
	_, _ = io.WriteString(c, request) // the gateway may have had enough before the end
	text, _ := io.ReadAll(c)
	return string(text)
}

// What nginx takes into no buffer, or for no method, gets its answer in Kong's
// form, and log handlers see it.
func TestRequestsThatNginxRefuses(t *testing.T) {
	logged := make(chan string, 100)
	b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
		if phase == "access" {
			panic("no handler sees such a request")
		}
		logged <- c.text("kong.log.serialize", nil)
	}, func(o *Options) { o.Config.Plugins[0].Route = nil })
	long := strings.Repeat("a", nginx.MaxHeaderLine)
	for _, tc := range []struct {
		name, request string
		status        int
		text          string
	}{
		{"long target", "GET /" + long + " HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n", 414, "URI too long\nrequest_id: "}, // the headers were not read
		{"long header", "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + long + "\r\n\r\n", 400, "Request header or cookie too large"},
		{"long header's name", "GET / HTTP/1.1\r\nHost: x\r\n" + long + ": 1\r\n\r\n", 400, "Request header or cookie too large"},
		{"many headers", "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Many: "+long[:4000]+"\r\n", 9) + "\r\n", 400, "Request header or cookie too large"},
		{"trace", "TRACE / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n", 405, "<p>Method not allowed.</p>"},
		{"connect", "CONNECT / HTTP/1.1\r\nHost: x:1\r\n\r\n", 405, "Method not allowed"},
		{"connect to an authority", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 400, "Bad request"},
		{"method in lower case", "get / HTTP/1.1\r\nHost: x\r\n\r\n", 400, "Bad request\nrequest_id: "},
		{"path above the root", "GET /a/%2e%2e/../b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "Bad request"},
		{"nul in the path", "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "Bad request"},
		{"percent without digits", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "Bad request"},
		{"no host", "GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n", 400, `"message":"Bad request"`},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nHost: b\r\n\r\n", 400, "<p>Bad request.</p>"},
		{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "Bad request"},
		{"host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "Bad request"},
		{"space in a header's name", "GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n", 400, "Bad request"},
		{"header without a name", "GET / HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n", 400, "Bad request"},
		{"folded header", "GET / HTTP/1.1\r\nHost: x\r\nX: 1\r\n 2\r\n\r\n", 400, "Bad request"},
		{"nul in a header", "GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", 400, "Bad request"},
		{"no length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", 400, "Bad request"},
		{"negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "Bad request"},
		{"huge length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "Bad request"},
		{"length twice", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "Bad request"},
		{"length and chunks", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Bad request"},
		{"chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Bad request"},
		{"unknown coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n", 501, "<h1>501 Not Implemented</h1></center>\r\n<hr><center>openresty</center>"},
		{"another version", "GET / HTTP/2.1\r\nHost: x\r\n\r\n", 505, "<h1>505 HTTP Version Not Supported</h1>"},
		{"no version", "GET /x y\r\n\r\n", 400, "Bad request"},
		{"tls on the plain port", "\x16\x03\x01\x02\x00\x01", 400, "Bad request"},
		{"header that never ends", "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + long + long, 400, "Request header or cookie too large"},
		{"no path", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "Bad request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(b.answer(tc.request))), nil)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, tc.status, resp.StatusCode)
			assert.Contains(t, string(body), tc.text)
			assert.True(t, resp.Close, "the connection is not used again")
			assert.Contains(t, <-logged, fmt.Sprintf(`"status":%d`, tc.status))
		})
	}
	assert.Equal(t, int64(0), b.Stats().Failed)
}

// What nginx makes of a target in absolute form, of dots below the root, and of
// a request without a host.
func TestUnusualRequestLines(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, ignore)
	for request, want := range map[string][]string{
		"GET http://other.example/echo/x?y=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n": {"x-forwarded-path=/echo/x", "x-forwarded-host=other.example"},
		"GET /a/b/../../echo?p=/../.. HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":        {"x-forwarded-path=/a/b/../../echo", "x-forwarded-host=x"},
		"GET /echo HTTP/1.0\r\n\r\n": {"x-forwarded-host=kong"},
	} {
		text := b.answer(request)
		assert.Contains(t, text, " 200 OK\r\n")
		for _, w := range want {
			assert.Contains(t, text, `"`+w+`"`)
		}
	}
}

// A client that closes its half of the connection while the upstream works is
// gone for nginx: it gets nothing, and no empty 200.
func TestHalfClosed(t *testing.T) {
	for _, phases := range []string{`"access"`, `"response"`} {
		reached := make(chan struct{})
		b, _ := newFakeBench(t, phases, ignore, withUpstream(t, func(_ http.ResponseWriter, r *http.Request) {
			close(reached)
			<-r.Context().Done()
		}))
		c := b.dial()
		_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		<-reached
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		text, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Empty(t, string(text), phases)
	}
}

// Whatever comes in place of a request, the gateway answers or closes, and
// goes on serving others.
func TestGarbage(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, ignore)
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(rand.N(256))
	}
	for name, request := range map[string]string{
		"nothing":                "\r\n\r\n",
		"noise":                  string(noise) + "\r\n\r\n",
		"tls on the plain port":  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 600),
		"no version":             "GET /\r\n\r\n",
		"version 9":              "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
		"no host":                "GET / HTTP/1.1\r\n\r\n",
		"two hosts":              "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"space in a name":        "GET / HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n",
		"folded header":          "GET / HTTP/1.1\r\nHost: x\r\nX: 1\r\n 2\r\nConnection: close\r\n\r\n",
		"nul in a header":        "GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
		"two lengths":            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"length and chunks":      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
		"negative length":        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"huge length":            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"unknown coding":         "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: br\r\n\r\n",
		"headers without end":    "GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 600),
		"chunk of a wrong size":  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc",
		"path of other bytes":    "GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"percent without digits": "GET /%zz%?%=% HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"path above the root":    "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"absolute form":          "GET http://other.example/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"star":                   "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"http/2 and then noise":  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + string(noise[:500]),
		"websocket that is none": "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
		"expect something else":  "POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			c := b.dial()
			_, _ = io.WriteString(c, request)
			if half, ok := c.(*net.TCPConn); ok {
				_ = half.CloseWrite() // who is waited for has nothing more to say
			}
			text, _ := io.ReadAll(c)
			assert.NotContains(t, string(text), "goroutine", "no stack is shown to a client")
			assert.NotContains(t, string(text), "root:", "nor a file")
			assert.Equal(t, 200, b.get("/").StatusCode, "others are served")
		})
	}
	assert.NotContains(t, b.log.String(), "panic")
}

// Clients that do not go on keep nobody else waiting. A body that a plugin asks for and that stops is a Lua error.
func TestSlowClients(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) { c.ask("kong.request.get_raw_body", nil) },
		func(o *Options) { o.bodyWait = 50 * time.Millisecond })
	for range 200 {
		c := b.dial()
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n"[:10+rand.N(40)])
		require.NoError(t, err)
	}
	assert.Equal(t, 200, b.get("/").StatusCode)
	for _, target := range []string{"/", "/plain"} {
		text := b.answer("POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nAccept: application/json\r\n\r\nabc")
		assert.Contains(t, text, "HTTP/1.1 500", "get_raw_body cannot read it: a Lua error")
	}
}

// A client that has said all it wants may close its half and still gets the
// answer.
func TestHalfClosedClient(t *testing.T) {
	b, _ := newFakeBench(t, `"access","response"`, ignore)
	c := b.dial()
	_, err := io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
	require.NoError(t, err)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	_, _ = io.ReadAll(c) // nginx takes it as gone, too: an answer is not promised
	c = b.dial()
	_, err = io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
	require.NoError(t, err)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	_, _ = io.ReadAll(c)
	assert.Equal(t, 200, b.get("/").StatusCode)
	b.waitQuiet()
	assert.Zero(t, b.Stats().Failed)
}

// A client that sends a large body to a plugin that does not want it can send
// all of it, gets the answer, and goes on using the connection.
func TestUnwantedBody(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		c.ask("kong.response.exit", &kong_plugin_protocol.ExitArgs{Status: 413, Body: []byte("no, thanks")})
	})
	c := b.dial()
	in := bufio.NewReader(c)
	for range 2 {
		const size = 5 << 20
		_, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
		require.NoError(t, err)
		_, err = c.Write(make([]byte, size))
		require.NoError(t, err)
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, []any{413, "no, thanks", false}, []any{resp.StatusCode, string(body), resp.Close})
	}
}

// Clients that come and go in the middle of everything leave nothing behind.
func TestClientsThatVanish(t *testing.T) {
	b, _ := newFakeBench(t, `"access","response","log"`, ignore)
	request := "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + strings.Repeat("y", 9000)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://"))
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, request[:len(request)*(i+1)/100])
			if i%2 == 0 {
				_ = c.(*net.TCPConn).SetLinger(0) // a reset instead of an end
			}
			_ = c.Close()
		})
	}
	wg.Wait()
	b.waitQuiet()
	assert.Equal(t, 200, b.get("/").StatusCode)
	assert.Eventually(t, func() bool { // connections that waited to be accepted may have been served only now
		files, err := readDirNames(b.Prefix() + "/" + bodyFolder)
		return err == nil && len(files) == 0
	}, time.Minute, time.Millisecond, "no body file is left")
	assert.Zero(t, b.Stats().Failed)
}

func TestClientHost(t *testing.T) {
	for in, want := range map[string]string{
		"Example.COM": "example.com", "example.com:8000": "example.com", "example.com.": "example.com", "example.com.:80": "example.com",
		"[::1]:8000": "[::1]", "[::1]": "[::1]", "127.0.0.1:1": "127.0.0.1", "": "kong",
	} {
		assert.Equal(t, want, clientHost(in), in)
	}
}

func readDirNames(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
