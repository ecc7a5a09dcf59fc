package kongdev

import (
	"io"
	"net/http"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A buffered response is fetched by a subrequest, which knows few methods.
func TestBufferedMethods(t *testing.T) {
	for _, phases := range []string{`"access"`, `"access","response"`} {
		var got string
		b, _ := newFakeBench(t, phases, ignore, withUpstream(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Method }))
		for _, method := range []string{"GET", "PUT", "PATCH", "PROPFIND", "REPORT", "BREW"} {
			require.Equal(t, 200, b.do(method, "/", "").StatusCode)
			want := method
			if phases != `"access"` && (method == "REPORT" || method == "BREW") {
				want = "GET"
			}
			assert.Equal(t, want, got, phases)
		}
	}
}

// Kong sets a buffered response's status as a plugin does, and its checks hold.
func TestBufferedOddStatus(t *testing.T) {
	b, _ := newFakeBench(t, `"response"`, ignore, withUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(799)
		_, _ = io.WriteString(w, "odd")
	}))
	r := b.get("/")
	assert.Equal(t, 500, r.StatusCode)
	b.waitLog("code must be a number between 100 and 599")
}

// After a Lua error the log tells what the client sent, not what a plugin made of it.
func TestSerializedRequestAfterAnError(t *testing.T) {
	logged := make(chan string, 1)
	b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
		if phase == "log" {
			logged <- c.text("kong.log.serialize", nil)
			return
		}
		c.ask("kong.service.request.set_method", str("PUT"))
		c.ask("kong.service.request.set_raw_query", str("own=1"))
		if c.text("kong.request.get_header", str("x-test")) == "error" {
			c.ask("kong.response.set_status", &kong_plugin_protocol.Int{V: 1})
		}
	})
	b.get("/?a=1")
	text := <-logged
	assert.Contains(t, text, `"method":"PUT"`)
	assert.Contains(t, text, `"querystring":{"own":"1"}`)
	b.get("/?a=1", "x-test", "error")
	text = <-logged
	assert.Contains(t, text, `"method":"GET"`)
	assert.Contains(t, text, `"querystring":{"a":"1"}`)
}
