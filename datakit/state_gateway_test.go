package datakit_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// Between the phases the plugin's process may end. What is small travels with the request and is there all the same; what
// is not is a failure that says so, never a response without what the workflow owes it.
func TestAnEndBetweenThePhases(t *testing.T) {
	var g *kongdevtest.Gateway
	var dies atomic.Bool
	g = kongdevtest.Start(t, kongdevtest.Options{
		Plugins: map[string]string{"datakit": kongdevtest.Self}, Workers: 1, Config: `
_format_version: "3.0"
services:
- name: dying
  url: http://dying.test
  routes:
  - {name: all, paths: [/]}
plugins:
- name: datakit
  config:
    debug: true
    nodes:
    - {name: KEPT, type: jq, jq: '.', input: request.body, output: response.body}
`,
		Hosts: map[string]http.Handler{"dying.test": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if dies.Load() {
				g.KillWorker("datakit")
				waitForWorker(t, g)
			}
			_, _ = io.WriteString(w, "from the upstream")
		})},
	})
	large := strings.Repeat("x", 200_000)
	require.Equal(t, large, g.Send("POST", "/", large).Body)
	dies.Store(true)
	r := g.Send("POST", "/", "small")
	assert.Equal(t, []any{200, "small"}, []any{r.Status, r.Body})
	r = g.Send("POST", "/", large)
	assert.Equal(t, 500, r.Status)
	assert.Contains(t, r.Body, "what the access phase of this request has left is lost: the gateway was reloaded, or the plugin restarted or configured anew, in between")
	dies.Store(false)
	assert.Equal(t, large, g.Send("POST", "/", large).Body)
}

// waitForWorker waits until the worker of a plugin answers, and not the supervisor in its place, as it does when a busy machine
// takes long to start one.
func waitForWorker(t *testing.T, g *kongdevtest.Gateway) {
	g.WaitReady()
	assert.Eventually(t, func() bool {
		log := g.Log()
		return strings.LastIndex(log, "no worker is ready, events are answered") <= strings.LastIndex(log, "no event is answered by policy any more")
	}, kongdevtest.Patience, time.Millisecond)
}

// XML that a workflow has made is announced as such.
func TestXMLForTheClient(t *testing.T) {
	g := startGateway(t, nil, map[string]string{
		"xml":  "nodes:\n- {name: X, type: json_to_xml, attributes_name_prefix: '@', input: request.body, output: response.body}",
		"own":  "nodes:\n- {name: X, type: json_to_xml, attributes_name_prefix: '@', input: request.body, output: response.body}\n- {name: H, type: static, values: {h: {Content-Type: text/xml}}, outputs: {h: response.headers}}",
		"text": "nodes:\n- {name: T, type: jq, jq: '\"text\"', output: response.body}",
	})
	for path, want := range map[string]string{"/xml/ok": "application/xml", "/own/ok": "text/xml", "/text/ok": "application/json"} { // that one is the upstream's
		r := g.Send("POST", path, `{"a":{"@id":1}}`, "Content-Type", "application/json")
		assert.Equal(t, 200, r.Status, path)
		assert.Equal(t, want, r.Header.Get("Content-Type"), path)
		if path != "/text/ok" {
			assert.Equal(t, `<a id="1"/>`, r.Body, path)
		}
	}
}
