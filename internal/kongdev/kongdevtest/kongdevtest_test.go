package kongdevtest_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/kongdevtest"
)

const config = `
_format_version: "3.0"
services:
- name: echo
  url: http://echo.kongdev
  routes:
  - {name: all, paths: [/], strip_path: false}
- name: other
  url: http://other.test
  routes:
  - {name: other, paths: [/other], hosts: [example.org]}
plugins:
- name: greeter
  config: {greeting: hello}
`

func start(t *testing.T) *kongdevtest.Gateway {
	return kongdevtest.Start(t, kongdevtest.Options{
		Config: config, Plugins: map[string]string{"greeter": kongdevtest.Self},
		Hosts: map[string]http.Handler{"other.test": http.RedirectHandler("/elsewhere", http.StatusFound)},
	})
}

func TestRequestsAndCalls(t *testing.T) {
	g := start(t)
	r := g.Send("POST", "/text?a=1", "body", "name", "ann", "X-Two", "1", "X-Two", "2")
	assert.Equal(t, 200, r.Status)
	assert.Equal(t, "hello ann", r.Header.Get("X-Greeting"))
	assert.NotEmpty(t, r.Body)

	assert.Equal(t, []kongdevtest.Call{
		{Plugin: "greeter", Phase: "access", Method: "kong.request.get_header", Args: `"do"`, Result: `""`, Flight: 1},
		{Plugin: "greeter", Phase: "access", Method: "kong.request.get_header", Args: `"name"`, Result: `"ann"`, Flight: 2},
		{Plugin: "greeter", Phase: "access", Method: "kong.response.set_header", Args: `"X-Greeting", "hello ann"`, Flight: 3},
		{Plugin: "greeter", Phase: "access", Method: "kong.service.request.set_header", Args: `"X-Api-Key", "topsecret"`, Flight: 4},
	}, g.Calls(r, "access"))
	assert.Equal(t, "kong.response.get_status()", g.Calls(r, "log")[0].String())
	assert.Len(t, g.Calls(r), 5)
	assert.Equal(t, []int{5, 2, 7, 0, 0}, []int{g.Flights(r, "greeter", "access"), g.Flights(r, "greeter", "log"), g.Flights(r, "greeter"), g.Flights(r, "greeter", "response"), g.Flights(r, "other")})
	assert.Equal(t, "all", g.Trace(r).Route)
	g.WaitLog("answered 200")
	assert.Contains(t, g.Log(), "[greeter:")

	require.Len(t, g.Upstream.Requests(), 1)
	up := g.Upstream.Requests()[0]
	assert.Equal(t, []any{"POST", "/text?a=1", "body", []string{"topsecret"}, []string{"1", "2"}},
		[]any{up.Method, up.URI, string(up.Body), up.Header.Values("X-Api-Key"), up.Header.Values("X-Two")})

	r = g.Send("GET", "/other", "", "Host", "example.org")
	assert.Equal(t, 302, r.Status, "a redirect is the answer")
	request, err := http.NewRequest("GET", "/gzip", nil)
	require.NoError(t, err)
	request.Header.Set("Accept-Encoding", "gzip")
	r, err = g.Do(request)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(r.Body, "\x1f\x8b"), "as it was sent")
}

func TestWhatKongRefuses(t *testing.T) {
	g := start(t)
	exit := g.Calls(g.Send("GET", "/", "", "do", "exit"), "access")
	assert.Equal(t, "exit 418", exit[len(exit)-1].Error)
	r := g.Send("GET", "/", "", "do", "wrong")
	assert.Equal(t, 500, r.Status)
	calls := g.Calls(r, "access")
	assert.Contains(t, calls[len(calls)-1].Error, "function cannot be called in access phase")
	failure, known := g.Failure(r.ID())
	require.True(t, known)
	assert.Equal(t, "lua error", failure.Reason)
}

func TestUpstreamFaults(t *testing.T) {
	g := start(t)
	g.Upstream.SetFault(kongdevtest.UpstreamFault{Status: 503, Body: "closed", Times: 2})
	for range 2 {
		r := g.Send("GET", "/ok", "")
		assert.Equal(t, []any{503, "closed"}, []any{r.Status, r.Body})
	}
	assert.Equal(t, 200, g.Send("GET", "/ok", "").Status)

	g.Upstream.SetFault(kongdevtest.UpstreamFault{Cut: true})
	assert.Equal(t, 502, g.Send("GET", "/ok", "").Status)

	g.Upstream.SetFault(kongdevtest.UpstreamFault{Hang: true})
	before := len(g.Upstream.Requests())
	var wg sync.WaitGroup
	wg.Go(func() { assert.Equal(t, 502, g.Send("GET", "/ok", "").Status) })
	require.Eventually(t, func() bool { return len(g.Upstream.Requests()) > before }, kongdevtest.Patience, 1e6)
	g.Upstream.SetFault(kongdevtest.UpstreamFault{})
	wg.Wait()
	assert.Equal(t, 200, g.Send("GET", "/ok", "").Status)
}

// kongdev's own plugins need no binary.
func TestStandInsBesideThePlugin(t *testing.T) {
	g := kongdevtest.Start(t, kongdevtest.Options{
		Config:  config + "- name: kongdev-terminate\n  config: {status_code: 418, message: short and stout}\n",
		Plugins: map[string]string{"greeter": kongdevtest.Self},
	})
	r := g.Send("GET", "/", "", "name", "ann")
	assert.Equal(t, 418, r.Status)
	assert.Equal(t, "hello ann", r.Header.Get("X-Greeting"), "the greeter comes first")
	assert.Empty(t, g.Upstream.Requests())
}

func TestKill(t *testing.T) {
	g := start(t)
	assert.Equal(t, 200, g.Send("GET", "/ok", "").Status)
	pid := g.PluginPID("greeter")
	g.Kill("greeter")
	assert.NotEqual(t, pid, g.PluginPID("greeter"))
	r := g.Send("GET", "/ok", "", "name", "bob")
	if r.Status != 200 { // a dead connection of the pool, which Kong answers with 500 too
		r = g.Send("GET", "/ok", "", "name", "bob")
	}
	assert.Equal(t, "hello bob", r.Header.Get("X-Greeting"))
}

// Further flags count in the query command too: with these Kong learns of one phase only.
func TestFlags(t *testing.T) {
	g := kongdevtest.Start(t, kongdevtest.Options{Config: moesifConfig, Flags: map[string][]string{"moesif": {"-phases", "log"}}})
	r := g.Send("GET", "/ok", "")
	assert.Empty(t, g.Calls(r, "access", "response"))
	assert.NotEmpty(t, g.Calls(r, "log"))
}

const moesifConfig = `
_format_version: "3.0"
services: [{name: echo, url: "http://echo.kongdev", routes: [{paths: [/], strip_path: false}]}]
plugins: [{name: moesif, config: {application_id: a, api_endpoint: "http://collector.kongdev", flush_after_ms: 20}}]
`

// The collector refuses twice; no client notices, and every event arrives.
func TestCollectorFaults(t *testing.T) {
	g := kongdevtest.Start(t, kongdevtest.Options{Config: moesifConfig})
	g.Collector.SetFault(collector.Fault{Status: 503, Times: 2})
	for _, path := range []string{"/1", "/2", "/3"} {
		r := g.Send("GET", path, "")
		assert.Equal(t, 200, r.Status)
		assert.LessOrEqual(t, g.Flights(r, "moesif", "access"), 2, "round trips that the client waited for")
	}
	assert.Len(t, g.Events(3), 3)
	_, refused := g.Collector.Total()
	assert.Equal(t, 2, refused)
}
