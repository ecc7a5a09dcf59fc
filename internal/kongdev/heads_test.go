package kongdev

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A client that gives up in the middle of a head gets nothing; log handlers see it. For one that is too slow see
// TestSlowHeads.
func TestHeadsThatStop(t *testing.T) {
	logged := make(chan string, 10)
	b, _ := newFakeBench(t, `"log"`, func(c *fakeConn, _ string, _ int32) { logged <- c.text("kong.log.serialize", nil) },
		func(o *Options) { o.Config.Plugins[0].Route = nil })
	for _, begin := range []string{"GET /a HT", "GET /a HTTP/1.1\r\nHost: x\r\nA"} {
		c := b.dial()
		_, err := io.WriteString(c, begin)
		require.NoError(t, err)
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		text, _ := io.ReadAll(c)
		assert.Empty(t, string(text))
		assert.Contains(t, <-logged, `"status":400`)
	}
	assert.Empty(t, logged)
}

// nginx says HTTP/1.1 whatever the client says, sends no chunks to HTTP/1.0, and
// keeps such a connection only when asked to and the answer has a length.
func TestOldClients(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, ignore)
	text := b.answer("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	assert.True(t, strings.HasPrefix(text, "HTTP/1.1 200 OK\r\n"), text)
	assert.Contains(t, text, "\r\nConnection: close\r\n")
	assert.NotContains(t, text, "Transfer-Encoding")
	assert.True(t, strings.HasSuffix(text, "\r\n\r\ntick\ntick\ntick\n"), text)
	text = b.answer("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
	assert.Equal(t, 2, strings.Count(text, "HTTP/1.1 200 OK\r\n"), text)
	assert.Equal(t, 1, strings.Count(text, "Connection: keep-alive\r\n"), text)
}

// The reason phrases are nginx's, or the upstream's where its response is passed on.
func TestReasonPhrases(t *testing.T) {
	for _, phases := range []string{`"access"`, `"response"`} {
		testReasonPhrases(t, phases)
	}
}

func testReasonPhrases(t *testing.T, phases string) {
	b, _ := newFakeBench(t, phases, ignore, withUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "HTTP/1.1 418 in the body\r\n")
	}))
	phrases := map[int]string{200: "OK", 302: "Moved Temporarily", 404: "Not Found", 405: "Not Allowed", 418: "", 419: "", 503: "Service Temporarily Unavailable"}
	if phases == `"access"` {
		phrases = map[int]string{200: "OK", 302: "Found", 418: "I'm a teapot", 419: "status code 419"} // that of Go's server
	}
	for status, want := range phrases {
		text := b.answer(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", status))
		assert.True(t, strings.HasPrefix(text, fmt.Sprintf("HTTP/1.1 %d %s\r\n", status, want)), text)
		assert.Contains(t, text, "HTTP/1.1 418 in the body\r\n")
	}
}

// The route is found by the Host header, all else takes the target's host.
func TestHostOfTheTarget(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		c.ask("kong.response.set_header", mustKV("X-Host", c.text("kong.request.get_host", nil)))
	}, func(o *Options) { o.Config.Routes[0].Hosts = []string{"routed.example"} })
	request := "GET http://%s/echo HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
	text := b.answer(fmt.Sprintf(request, "Target.example:99", "routed.example"))
	assert.Contains(t, text, "HTTP/1.1 200 OK\r\n")
	assert.Contains(t, text, "X-Host: target.example\r\n")
	assert.Contains(t, text, `"x-forwarded-host=target.example"`)
	assert.Contains(t, b.answer(fmt.Sprintf(request, "routed.example", "other.example")), "no Route matched")
}

// Several requests at once on one connection are answered one after another,
// and a body ends where it ends.
func TestPipelining(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, ignore)
	c := b.dial()
	chunked := "POST /echo/2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
	go func() {
		_, _ = io.WriteString(c, "POST /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"+strings.Repeat("y", 9000)+chunked+
			"\r\nGET /echo/3 HTTP/1.1\r\nHost: x\r\n\r\nBAD\r\n\r\nGET /echo/4 HTTP/1.1\r\nHost: x\r\n\r\n")
	}()
	in := bufio.NewReader(c)
	for i, want := range []string{`"body_len":9000`, `"body_len":3`, `"body_len":0`} {
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Contains(t, string(body), fmt.Sprintf(`"uri":"/echo/%d"`, i+1))
		assert.Contains(t, string(body), want)
	}
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	assert.Equal(t, 400, resp.StatusCode)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	_, err = in.ReadByte()
	assert.Error(t, err, "and nothing after that")
}

// Headers reach plugins and upstream as they were sent, those that Go does not like too.
func TestHeadersAsSent(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		c.ask("kong.response.set_header", mustKV("X-Seen", c.text("kong.request.get_header", str("x-odd"))))
	})
	text := b.answer("GET /echo HTTP/1.1\r\nHost: x\r\nuser-agent: mine\r\nX-Odd: a\x01b\r\nX(lost): 1\r\nConnection: close\r\n\r\n")
	assert.Contains(t, text, "X-Seen: a%01b\r\n")
	assert.Contains(t, text, `"user-agent=mine"`)
	assert.NotContains(t, text, "lost")
	assert.NotContains(t, text, "x-odd=", "Go's client cannot send it")
	assert.Contains(t, b.log.String(), `the upstream does not get the header "X-Odd"`)
}

// A client without TLS on the port for TLS is told so; other clients there go on.
func TestPlainOnTLSPort(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, ignore, func(o *Options) { o.Listen = "127.0.0.1:0, 127.0.0.1:0 ssl" })
	address := strings.TrimPrefix(b.URLs()[1], "https://")
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	text, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(text), "HTTP/1.1 400 Bad Request\r\n"), string(text))
	assert.Contains(t, string(text), "<center>The plain HTTP request was sent to HTTPS port</center>")
	silent, err := net.Dial("tcp", address) // says nothing, and Close does not wait for it
	require.NoError(t, err)
	defer func() { _ = silent.Close() }()
	s, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test's own
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	_, err = io.WriteString(s, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	text, err = io.ReadAll(s)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"x-forwarded-proto=https"`)
}
