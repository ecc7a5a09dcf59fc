package moesif

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// planned is what access decides, in a word each.
func planned(p plan) string {
	var words []string
	for word, is := range map[string]bool{"keep": p.keepRequest, "read": p.readRequest, "exempt": p.exempt, "demand": p.demand} {
		if is {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func TestPlan(t *testing.T) {
	full := mode{buffering: bufferAuto}
	always := mode{buffering: bufferAlways}
	plain := mode{phases: []string{"access", "log"}, buffering: bufferAuto}
	demand := mode{phases: []string{"access", "log"}, buffering: bufferOnDemand}
	const json, noResponse, noRequest = "application/json", `,"disable_capture_response_body":true`, `,"disable_capture_request_body":true`
	for _, c := range []struct {
		name   string
		config string
		l      look
		out    bool // certainly sampled out
		want   map[*mode]string
	}{
		{"JSON", "", look{contentType: json, method: "POST"}, false, map[*mode]string{&full: "keep", &always: "keep", &plain: "keep read", &demand: "demand keep read"}},
		{"sampled out", "", look{contentType: json, method: "POST"}, true, map[*mode]string{&full: "exempt", &always: "", &plain: "", &demand: ""}},
		{"an event stream", "", look{accept: "text/event-stream", method: "GET"}, false, map[*mode]string{&full: "exempt keep", &always: "keep", &demand: "keep"}},
		{"an event stream for a body", "", look{accept: "application/json, Text/Event-Stream;q=0.9", contentType: json, method: "POST"}, false,
			map[*mode]string{&full: "exempt keep read", &demand: "keep read"}},
		{"gRPC", "", look{contentType: "application/grpc+proto", method: "POST"}, false, map[*mode]string{&full: "exempt", &plain: "", &demand: ""}},
		{"gRPC for browsers", "", look{contentType: "application/grpc-web-text", method: "POST"}, false, map[*mode]string{&full: "exempt"}},
		{"a method that Kong would change", "", look{contentType: json, method: "REPORT"}, false, map[*mode]string{&full: "exempt keep read", &demand: "keep read"}},
		{"no responses wanted", noResponse, look{contentType: json, method: "POST", contentLength: "10"}, false, map[*mode]string{&full: "exempt keep read", &demand: "keep read"}},
		{"no responses wanted, too large", noResponse, look{contentType: json, method: "POST", contentLength: "100001"}, false, map[*mode]string{&full: "exempt keep", &plain: "keep"}},
		{"no responses wanted, no body", noResponse, look{method: "POST", contentLength: "0"}, false, map[*mode]string{&full: "exempt keep", &plain: "keep"}},
		{"no responses wanted, GET", noResponse, look{method: "GET"}, false, map[*mode]string{&full: "exempt keep", &plain: "keep"}},
		{"no responses wanted, GET with a body", noResponse, look{method: "GET", contentLength: "7"}, false, map[*mode]string{&full: "exempt keep read"}},
		{"no responses wanted, a type that is left out", noResponse + `,"skip_body_types":["image/*"]`, look{contentType: "image/png", method: "POST"}, false,
			map[*mode]string{&full: "exempt", &plain: ""}},
		{"a type that is left out", `,"skip_body_types":["image/*"]`, look{contentType: "image/png", method: "POST"}, false, map[*mode]string{&full: "", &demand: "demand"}},
		{"no requests wanted", noRequest, look{contentType: json, method: "POST"}, false, map[*mode]string{&full: "", &plain: "", &demand: "demand"}},
		{"nothing wanted", noRequest + noResponse, look{}, false, map[*mode]string{&full: "exempt", &always: "", &plain: "", &demand: ""}},
	} {
		s := settingsOf(t, `{"application_id":"a"`+c.config+`}`)
		for m, want := range c.want {
			assert.Equal(t, want, planned(planOf(s, *m, &c.l, !c.out)), "%s, %v", c.name, *m)
		}
	}
}

// An event stream reaches its client event by event, though the plugin has a response phase, and is captured without its
// body; requests beside it keep theirs.
func TestEventStreamIsNotStalled(t *testing.T) {
	for _, flags := range [][]string{nil, {"-phases", "access,log", "-buffer", "on-demand"}} {
		g := startGateway(t, builtPlugin, flags)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL()+"/hold", strings.NewReader(`{"q":1}`))
		require.NoError(t, err)
		request.Host = "stream.example.org"
		request.Header.Set("Accept", "application/json, text/event-stream")
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		line, err := bufio.NewReader(response.Body).ReadString('\n')
		require.NoError(t, err, "the first event comes while the stream is open")
		assert.Equal(t, "data: 1\n", line)
		g.streams <- struct{}{}
		require.NoError(t, response.Body.Close())

		g.send("POST", "/json", `{"a":1}`, "Content-Type", "application/json")
		e := g.eventsOf(t, "/hold", "/json")
		assert.Empty(t, e["/hold"].Response.Body)
		assert.JSONEq(t, `{"q":1}`, string(e["/hold"].Request.Body))
		assert.NotEmpty(t, e["/json"].Response.Body)
		assert.NotEmpty(t, e["/json"].Request.Body)
		assert.Zero(t, g.Stats().LostLogEvents)
	}
}

// An upgraded connection is none of the plugin's business; only that it was opened is an event.
func TestWebSocket(t *testing.T) {
	for _, flags := range [][]string{nil, {"-phases", "access,log", "-buffer", "on-demand"}} {
		g := startGateway(t, builtPlugin, flags)
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL(), "http://"))
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: stream.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
		require.NoError(t, err)
		all, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Contains(t, string(all), "101 Switching Protocols")
		assert.True(t, strings.HasSuffix(string(all), "echo hello\n"), "%q", all)
		require.NoError(t, conn.Close())
		assert.Equal(t, 101, g.eventsOf(t, "/ws")["/ws"].Response.Status)
		assert.Zero(t, g.Stats().LostLogEvents)
	}
}

// Requests that need not be buffered have no response phase, and nothing of gRPC is read.
func TestExemptedRequests(t *testing.T) {
	g := startGateway(t, builtPlugin, nil)
	g.Collector.SetConfig(`{"sample_rate":0}`, "c-2")
	require.Eventually(t, func() bool { return !hasPhase(g, g.send("POST", "/sampled-out", `{}`), "response") }, time.Minute, 10*time.Millisecond)
	out := g.send("POST", "/sampled-out", `{"a":1}`, "Content-Type", "application/json")
	assert.Equal(t, 2, g.Flights(out, "moesif", "access"))
	assert.Equal(t, 2, g.Flights(out, "moesif", "log"))
	for _, c := range g.Calls(out, "access") {
		assert.NotEqual(t, "kong.request.get_raw_body", c.Method)
	}

	g = startGateway(t, builtPlugin, nil)
	grpc := g.send("POST", "/grpc", "x", "Content-Type", "application/grpc")
	assert.False(t, hasPhase(g, grpc, "response"))
	for _, c := range g.Calls(grpc) {
		assert.NotEqual(t, "kong.request.get_raw_body", c.Method)
	}
	report := g.send("REPORT", "/report", `{"a":1}`, "Content-Type", "application/json")
	assert.Contains(t, report.Body, `"method":"REPORT"`, "Kong would make it a GET where it buffers")
	assert.JSONEq(t, `{"a":1}`, string(g.eventsOf(t, "/report")["/report"].Request.Body))
}

func hasPhase(g testGateway, r *kongdevtest.Response, phase string) bool {
	for _, e := range g.Trace(r).Events {
		if e.Plugin == "moesif" && e.Phase == phase {
			return true
		}
	}
	return false
}

// A plugin that wants responses gets them, whether it runs before this one and says so, or after it.
func TestBufferingOfOtherPlugins(t *testing.T) {
	for _, other := range []string{"testearly", "testlate"} {
		t.Run(other, func(t *testing.T) {
			text := strings.Replace(gatewayConfig, "testauth", other, 1) + "    flush_after_ms: 20\n    send_timeout: 60000\n    api_endpoint: http://collector.kongdev\n"
			g := startGatewayOf(t, text, map[string]string{"moesif": builtPlugin, other: kongdevtest.Self}, nil)
			r := g.send("POST", "/json", `{"a":1}`, "Content-Type", "application/json", "Accept", "text/event-stream")
			assert.Equal(t, strconv.Itoa(len(r.Body)), r.Header.Get("X-"+other))
			e := g.eventsOf(t, "/json")["/json"]
			assert.JSONEq(t, `{"a":1}`, string(e.Request.Body))
			assert.Zero(t, g.Stats().LostLogEvents)
		})
	}
}

// With buffering on demand a response without an upstream's answer is never asked for: Kong refuses that, and leaks.
func TestOnDemand(t *testing.T) {
	g := startGateway(t, builtPlugin, []string{"-phases", "access,log", "-buffer", "on-demand"})
	g.send("POST", "/json", `{"a":1}`, "Content-Type", "application/json")
	assert.Equal(t, 502, g.send("POST", "/down", `{"a":1}`, "Content-Type", "application/json").Status)
	assert.Equal(t, 401, g.send("POST", "/refused", `{"a":1}`, "as", "nobody").Status)
	assert.Equal(t, 502, g.send("GET", "/cut", "").Status)
	e := g.eventsOf(t, "/json", "/down", "/refused", "/cut")
	assert.NotEmpty(t, e["/json"].Response.Body)
	assert.JSONEq(t, `{"a":1}`, string(e["/json"].Request.Body))
	assert.JSONEq(t, `{"a":1}`, string(e["/down"].Request.Body))
	for _, path := range []string{"/down", "/refused", "/cut"} {
		assert.Empty(t, e[path].Response.Body, path)
	}
	stats := g.Stats()
	assert.Zero(t, stats.LostLogEvents)
	assert.Empty(t, stats.Failures)
}
