package moesif

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// programs are the ways to run the plugin: with the server of this project, and with go-pdk's own, under which the same
// handlers must work too.
func programs() map[string]string {
	return map[string]string{"moesif": builtPlugin, "go-pdk": kongdevtest.Self}
}

// A fullEvent is an event with what the collector documents of it.
type fullEvent struct {
	Request struct {
		Time             string
		URI              string
		Verb             string
		Headers          map[string]string
		APIVersion       string `json:"api_version"`
		IPAddress        string `json:"ip_address"`
		Body             json.RawMessage
		TransferEncoding string `json:"transfer_encoding"`
	}
	Response struct {
		Time             string
		Status           int
		Headers          map[string]string
		Body             json.RawMessage
		TransferEncoding string `json:"transfer_encoding"`
	}
	SessionToken  string `json:"session_token"`
	UserID        string `json:"user_id"`
	CompanyID     string `json:"company_id"`
	TransactionID string `json:"transaction_id"`
	BlockedBy     string `json:"blocked_by"`
	Direction     string
	Weight        int
	Metadata      struct {
		Kong struct {
			RouteHosts  []string `json:"route_hosts"`
			ServiceName string   `json:"service_name"`
		}
	}
}

// events waits for n events and returns them by their path.
func (g testGateway) events(t *testing.T, n int) map[string]fullEvent {
	t.Helper()
	raw := g.Events(n)
	require.Len(t, raw, n)
	byPath := map[string]fullEvent{}
	for _, r := range raw {
		var e fullEvent
		require.NoError(t, json.Unmarshal(r, &e))
		_, path, _ := strings.Cut(strings.TrimPrefix(e.Request.URI, "http://"), "/")
		byPath["/"+path] = e
	}
	require.Len(t, byPath, n, "every event has another path")
	return byPath
}

// eventsOf waits for an event of each path and returns those; there may be others.
func (g testGateway) eventsOf(t *testing.T, paths ...string) map[string]fullEvent {
	t.Helper()
	found := map[string]fullEvent{}
	require.Eventually(t, func() bool {
		for _, raw := range g.Collector.Events() {
			var e fullEvent
			require.NoError(t, json.Unmarshal(raw, &e))
			u, err := url.Parse(e.Request.URI)
			require.NoError(t, err)
			if slices.Contains(paths, u.Path) {
				found[u.Path] = e
			}
		}
		return len(found) == len(paths)
	}, time.Minute, 5*time.Millisecond, "of %q there are %d", paths, len(found))
	return found
}

func TestEndToEnd(t *testing.T) {
	for name, program := range programs() {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, program, nil, "enable_compression: true", "user_id_header: x-user", "authorization_company_id_field: org.id",
				"request_header_masks: [x-secret]", "request_query_masks: [api-key]", "request_body_masks: [password]")

			large := `{"data":"` + strings.Repeat("x", 20000) + `","n":12345678901234567890}`
			response := g.send("POST", "/json?api-key=k&a=1", `{"user": "ann", "password": "p"}`, "Content-Type", "application/json", "X-Secret", "s", "X-User", "u-1")
			g.send("POST", "/large", large, "Content-Type", "application/json")
			g.send("POST", "/gzip", gzipped(t, `{"a":1}`), "Content-Type", "application/json", "Content-Encoding", "gzip")
			g.send("POST", "/text", "plain", "Content-Type", "text/plain", "as", "ann")
			g.send("GET", "/missing", "", "X-Moesif-Transaction-Id", "mine", "X-Forwarded-For", "203.0.113.7, 10.1.1.1")
			g.send("GET", "/jwt", "", "Authorization", "Bearer "+jwt(`{"sub":"jwt-user","org":{"id":"o-1"}}`))
			refused := g.send("GET", "/refused", "", "as", "nobody")
			down := g.send("GET", "/down", "")
			g.send("GET", "/nonutf8?q=%ff", "", "X-Bin", "a\xffb")
			g.send("GET", "/bytes/200000", "")
			g.send("HEAD", "/ok", "")

			e := g.events(t, 11)
			one := e["/json?api-key=*****&a=1"]
			assert.Equal(t, "POST", one.Request.Verb)
			assert.Regexp(t, `^http://api\.example\.org:\d+/json`, one.Request.URI)
			assert.JSONEq(t, `{"user":"ann"}`, string(one.Request.Body))
			assert.Equal(t, "json", one.Request.TransferEncoding)
			assert.NotContains(t, one.Request.Headers, "x-secret")
			assert.Equal(t, "u-1", one.UserID)
			assert.Equal(t, "1.0", one.Request.APIVersion)
			assert.Equal(t, "127.0.0.1", one.Request.IPAddress)
			assert.Equal(t, 200, one.Response.Status)
			assert.Equal(t, "json", one.Response.TransferEncoding)
			assert.Contains(t, string(one.Response.Body), `"method":"POST"`)
			assert.Equal(t, []string{"api.example.org"}, one.Metadata.Kong.RouteHosts)
			assert.Equal(t, "echo", one.Metadata.Kong.ServiceName)
			assert.Equal(t, "Incoming", one.Direction)
			assert.Equal(t, 1, one.Weight)
			assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, one.Request.Time)
			assert.LessOrEqual(t, one.Request.Time, one.Response.Time)
			assert.Len(t, one.TransactionID, 36)
			assert.Equal(t, one.TransactionID, one.Request.Headers[transactionHeader])
			assert.Equal(t, one.TransactionID, one.Response.Headers[transactionHeader])
			assert.Equal(t, []string{one.TransactionID}, response.Header.Values(transactionHeaderSent))
			assert.Contains(t, string(one.Response.Body), one.TransactionID, "the upstream got it")

			assert.Equal(t, large, string(e["/large"].Request.Body), "a body that Kong has spooled, digit by digit")
			assert.JSONEq(t, `{"a":1}`, string(e["/gzip"].Request.Body))
			assert.Equal(t, "json", e["/gzip"].Response.TransferEncoding)
			assert.Contains(t, string(e["/gzip"].Response.Body), `"uri":"/gzip"`)

			text := e["/text"]
			assert.Empty(t, text.Request.Body, "a mask is set and cannot be applied to text")
			assert.JSONEq(t, `"anVzdCB0ZXh0Cg=="`, string(text.Response.Body))
			assert.Equal(t, "base64", text.Response.TransferEncoding)
			assert.Equal(t, "custom-ann", text.UserID)
			assert.Equal(t, "credential-of-ann", text.SessionToken)

			missing := e["/missing"]
			assert.Equal(t, 404, missing.Response.Status)
			assert.Equal(t, "mine", missing.Request.Headers[transactionHeader])
			assert.Len(t, missing.TransactionID, 36)
			assert.Equal(t, "203.0.113.7", missing.Request.IPAddress)

			assert.Equal(t, "jwt-user", e["/jwt"].UserID)
			assert.Equal(t, "o-1", e["/jwt"].CompanyID)
			assert.Equal(t, redacted, e["/jwt"].Request.Headers["authorization"])

			assert.Equal(t, http.StatusUnauthorized, refused.Status)
			assert.Equal(t, 401, e["/refused"].Response.Status)
			assert.Equal(t, "1.0", e["/refused"].Request.APIVersion, "though access never ran")
			assert.Equal(t, http.StatusBadGateway, down.Status)
			assert.Equal(t, 502, e["/down"].Response.Status)
			assert.Equal(t, "down", e["/down"].Metadata.Kong.ServiceName)
			assert.Equal(t, "a\ufffdb", e["/nonutf8?q=%ff"].Request.Headers["x-bin"])
			assert.Empty(t, e["/bytes/200000"].Response.Body, "over the limit")
			assert.Empty(t, e["/ok"].Response.Body)

			stats := g.Stats()
			assert.Empty(t, stats.Failures)
			assert.Zero(t, stats.LostLogEvents)
			assert.NotContains(t, g.Log(), "secret-application")
			for _, b := range g.Collector.Batches() {
				assert.Equal(t, "gzip", b.Encoding)
				assert.Equal(t, "secret-application", b.Application)
				assert.Equal(t, "kong-plugin-moesif/"+Version, b.UserAgent)
			}
		})
	}
}

// Requests never notice what is wrong with the collector, and all events arrive when it is well again.
func TestCollectorTrouble(t *testing.T) {
	for name, fault := range map[string]collector.Fault{
		"500":          {Status: 500, Times: 2},
		"hangs":        {Hang: true, Times: 1},
		"cuts":         {Cut: true, Times: 2},
		"answers late": {Status: 503, After: true, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, builtPlugin, nil, "batch_size: 10", "send_timeout: 1000")
			g.Collector.SetFault(fault)
			const n = 25
			for i := range n {
				require.Equal(t, 200, g.send("GET", fmt.Sprintf("/%d", i), "").Status)
			}
			g.Events(n)
			seen := map[string]bool{} // an event whose answer was lost comes twice, which its transaction_id tells
			require.Eventually(t, func() bool {
				for _, r := range g.Collector.Events() {
					var e fullEvent
					require.NoError(t, json.Unmarshal(r, &e))
					seen[e.TransactionID] = true
				}
				return len(seen) == n
			}, time.Minute, 20*time.Millisecond)
			assert.Zero(t, g.Stats().Failed)
		})
	}
}

// One bad event in a batch is found and dropped; the others arrive.
func TestPoisonThroughTheGateway(t *testing.T) {
	g := startGateway(t, builtPlugin, nil, "batch_size: 10")
	g.Collector.SetFault(collector.Fault{Status: 400, Containing: "poison"})
	for i := range 30 {
		path := fmt.Sprintf("/%d", i)
		if i == 17 {
			path = "/poison"
		}
		g.send("GET", path, "")
	}
	g.events(t, 29)
	g.WaitLog("events dropped: refused 1")
}

// A collector that is not there and a configuration that is wrong: traffic passes, the log says why.
func TestTrafficPasses(t *testing.T) {
	for name, c := range map[string]struct{ endpoint, line string }{
		"absent":        {"http://127.0.0.1:1", "127.0.0.1:1: the collector is out of reach"},
		"wrong address": {"http://user:hunter2@localhost", "configuration: api_endpoint: must not hold a user name or password"},
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, builtPlugin, nil, "api_endpoint: "+c.endpoint)
			require.Eventually(t, func() bool {
				response := g.send("POST", "/json", `{}`, "Content-Type", "application/json")
				require.Equal(t, 200, response.Status)
				require.Contains(t, response.Body, `"method":"POST"`)
				return strings.Contains(g.Log(), c.line)
			}, time.Minute, 50*time.Millisecond)
			assert.Zero(t, g.Stats().Failed)
			assert.NotContains(t, g.Log(), "secret-application")
			assert.NotContains(t, g.Log(), "hunter2")
		})
	}
}

// What is queued when Kong stops is sent first.
func TestDrainAtStop(t *testing.T) {
	g := startGateway(t, builtPlugin, nil, "flush_after_ms: 300000")
	for i := range 5 {
		g.send("GET", fmt.Sprintf("/%d", i), "")
	}
	g.WaitIdle()
	require.NoError(t, g.Close())
	g.events(t, 5)
}
