package kongdev

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-go-plugins/internal/kongdev/lua"
)

// rawHead sends a request as it is and returns the answer's head.
func (b *bench) rawHead(request string) string {
	b.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://"))
	require.NoError(b.t, err)
	defer func() { _ = c.Close() }()
	require.NoError(b.t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(c, request)
	require.NoError(b.t, err)
	in := bufio.NewReader(c)
	var head strings.Builder
	for {
		line, err := in.ReadString('\n')
		require.NoError(b.t, err)
		if line == "\r\n" {
			return head.String()
		}
		head.WriteString(line)
	}
}

func TestResponseHeaders(t *testing.T) {
	lists, err := structpb.NewStruct(map[string]any{"content-type": []any{"text/a", "text/b"}, "X-None": []any{}, "x_under_score": []any{"1"}})
	require.NoError(t, err)
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		c.ask("kong.response.set_header", mustKV("X-None", "gone"))
		c.ask("kong.response.set_header", mustKV("x-CaSe", "as given"))
		c.ask("kong.response.set_header", mustKV("X-Blank", ""))
		c.ask("kong.response.add_header", mustKV("X-Two", "1"))
		c.ask("kong.response.add_header", mustKV("x-two", "2"))
		c.ask("kong.response.add_header", mustKV("ETag", `"1"`))
		c.ask("kong.response.add_header", mustKV("etag", `"2"`))
		c.ask("kong.response.set_header", mustKV("Transfer-Encoding", "nonsense"))
		c.ask("kong.response.set_header", mustKV("X Odd:(name)", "a\r\nb"))
		c.ask("kong.response.set_header", mustKV("", "nameless"))
		c.ask("kong.response.set_headers", lists)
		c.ask("kong.response.exit", &kong_plugin_protocol.ExitArgs{Status: 200, Body: []byte("x")})
	})
	head := b.rawHead("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	// A blank value is a space in Kong; Go sends none, which means the same to every reader.
	for _, line := range []string{"x-CaSe: as given", "X-Blank: ", "X-Two: 1", "x-two: 2", `etag: "2"`, "Content-Type: text/b", "x-under-score: 1", "X%20Odd%3A%28name%29: a%0D%0Ab", "Content-Length: 1"} {
		assert.Contains(t, head, line+"\r\n")
	}
	assert.NotContains(t, head, `"1"`, "a header of which there is one takes the last value")
	assert.NotContains(t, head, "text/a")
	assert.NotContains(t, head, "X-None")
	assert.NotContains(t, head, "Transfer-Encoding")
}

// Arguments that Kong's functions, or nginx below them, refuse.
func TestRefusedResponseArguments(t *testing.T) {
	tests := map[string]struct {
		method string
		args   []byte
		text   string
	}{
		"length that is no number":       {"kong.response.set_header", mustBytes(mustKV("Content-Length", "ten")), "failed to set header"},
		"length that is no number added": {"kong.response.add_header", mustBytes(mustKV("content_length", "-1")), "failed to set header"},
		"length in a map":                {"kong.response.set_headers", mustBytes(mustStruct(t, map[string]any{"Content-Length": []any{"1", "x"}})), "failed to set header"},
		"null":                           {"kong.response.set_header", mustBytes(&kong_plugin_protocol.KV{K: "X"}), `invalid header value for "X": got nil, expected array of string, string, number or boolean`},
		"list of numbers":                {"kong.response.set_headers", mustBytes(mustStruct(t, map[string]any{"X": []any{1}})), `invalid header value in array "X": got number, expected string`},
		"status too low":                 {"kong.response.set_status", mustBytes(&kong_plugin_protocol.Int{V: 99}), "code must be a number between 100 and 599"},
		"status too high":                {"kong.response.exit", mustBytes(&kong_plugin_protocol.ExitArgs{Status: 600}), "code must be a number between 100 and 599"},
		"exit with a header of a number": {"kong.response.exit", mustBytes(&kong_plugin_protocol.ExitArgs{Status: 200, Headers: mustStruct(t, map[string]any{"X": []any{true}})}), `invalid header value in array "X": got boolean, expected string`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ev := newTestEvent(t, phaseAccess)
			_, err := ev.call(tt.method, pdkMethods[tt.method], tt.args)
			var raised *lua.Error
			require.ErrorAs(t, err, &raised)
			assert.Equal(t, tt.text, raised.Text)
		})
	}
}

// An Exit after delayed_response was set is sent at once: Kong has only one
// place for an answer to wait in.
func TestExitAfterDelayedResponse(t *testing.T) {
	delayed := &kong_plugin_protocol.KV{K: "delayed_response", V: structpb.NewStructValue(mustStruct(t, map[string]any{"status_code": 401, "content": "waits"}))}
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		c.ask("kong.nginx.set_ctx", delayed)
		c.ask("kong.response.exit", &kong_plugin_protocol.ExitArgs{Status: 403, Body: []byte("at once")})
	})
	r := b.get("/")
	assert.Equal(t, 403, r.StatusCode)
	assert.Equal(t, "at once", r.body)
}

// What Kong itself answers is put into headers for clients that speak gRPC.
func TestGRPCAnswers(t *testing.T) {
	exit := func(status int32, body string, headers map[string]any) func(*fakeConn) {
		args := &kong_plugin_protocol.ExitArgs{Status: status, Body: []byte(body)}
		if headers != nil {
			args.Headers = mustStruct(t, headers)
		}
		return func(c *fakeConn) { c.ask("kong.response.exit", args) }
	}
	tests := map[string]struct {
		do                    func(*fakeConn)
		status, message, body string
	}{
		"exit":                    {exit(401, "no key", nil), "16", "no key", ""},
		"exit without text":       {exit(418, "", nil), "3", "", ""},
		"exit with an odd status": {exit(302, "elsewhere", nil), "2", "elsewhere", ""},
		"exit of its own type":    {exit(429, "x", map[string]any{"Content-Type": "application/grpc+proto"}), "8", "ResourceExhausted", "x"},
		"exit of another type":    {exit(403, "page", map[string]any{"Content-Type": "text/plain"}), "", "", "page"},
		"exit that says it all":   {exit(200, "", map[string]any{"Content-Type": "application/grpc", "grpc-status": "7", "grpc-message": "mine"}), "7", "mine", ""},
		"error":                   {func(c *fakeConn) { c.ask("kong.response.get_status", nil) }, "13", "Internal", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) { tt.do(c) })
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetUnencryptedHTTP2(true)
			defer transport.CloseIdleConnections()
			req, err := http.NewRequest("POST", b.URL(), strings.NewReader("x"))
			require.NoError(t, err)
			req.Header.Set("Content-Type", "application/grpc")
			resp, err := transport.RoundTrip(req)
			require.NoError(t, err)
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, tt.status, resp.Header.Get("grpc-status"))
			assert.Equal(t, tt.message, resp.Header.Get("grpc-message"))
			assert.Equal(t, tt.body, string(body))
		})
	}
}

func mustBytes(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func mustStruct(t *testing.T, fields map[string]any) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(fields)
	require.NoError(t, err)
	return s
}
