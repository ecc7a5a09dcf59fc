package datakit_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// The tests with a gateway run one after the other: on a busy machine, a dozen plugins that start at the same time are not
// ready when their first request comes.

// startGateway starts a gateway with a route per workflow: /name has the configuration, written as YAML below config.
func startGateway(t *testing.T, flags []string, routes map[string]string) *kongdevtest.Gateway {
	t.Helper()
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n- name: echo\n  url: http://echo.kongdev\n  routes:\n")
	for name, config := range routes {
		fmt.Fprintf(&b, "  - name: %s\n    paths: [/%s]\n    plugins:\n    - name: datakit\n      config:\n", name, name)
		for line := range strings.SplitSeq(strings.Trim(config, "\n"), "\n") {
			b.WriteString("        " + line + "\n")
		}
	}
	return kongdevtest.Start(t, kongdevtest.Options{
		Config: b.String(), Plugins: map[string]string{"datakit": kongdevtest.Self}, Flags: map[string][]string{"datakit": flags}, Workers: 1,
	})
}

func TestFailures(t *testing.T) {
	const failing = `
nodes:
- {name: BAD, type: jq, jq: "error(\"not today\")"}
- {name: OUT, type: jq, jq: ".", input: BAD, output: service_request.headers}
`
	g := startGateway(t, nil, map[string]string{
		"plain": failing,
		"debug": "debug: true" + failing,
		"wrong": "debug: true\nnodes:\n- {name: A, type: jq, jq: \".\", input: NOWHERE}\n- {name: B, type: jq, jq: \".[\"}",
		"mute":  "nodes:\n- {name: A, type: jq, jq: \".\", input: NOWHERE}",
		"late":  "debug: true\nnodes:\n- {name: A, type: jq, jq: \"error(\\\"late\\\")\", input: service_response.status, output: response.body}",
		"text":  "debug: true\nnodes:\n- {name: A, type: jq, jq: '\"no headers\"', output: service_request.headers}",
	})
	r := g.Send("GET", "/plain", "")
	assert.Equal(t, 500, r.Status)
	assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
	assert.JSONEq(t, `{"message":"An unexpected error occurred","request_id":"`+r.ID()+`"}`, r.Body)
	g.WaitLog(`node #1 (BAD) failed with error: "error: not today"`)

	r = g.Send("GET", "/debug", "")
	assert.JSONEq(t, `{"message":"node execution error","request_id":"`+r.ID()+`","error":"error: not today","node":{"index":1,"name":"BAD","type":"jq"}}`, r.Body)

	r = g.Send("GET", "/debug", "", "X-DataKit-Debug-Trace", "true")
	assert.Equal(t, 500, r.Status)
	var trace struct {
		Status string
		Nodes  []struct{ Name, Type, Status, Error string }
		Events []struct{ Name, Action, At string }
	}
	require.NoError(t, json.Unmarshal([]byte(r.Body), &trace))
	assert.Equal(t, "PLAN_ERROR", trace.Status)
	assert.Equal(t, []struct{ Name, Type, Status, Error string }{
		{"BAD", "jq", "NODE_ERROR", "error: not today"}, {"OUT", "jq", "NODE_CANCELED", ""}, {"service_request", "implicit", "NODE_CANCELED", ""},
	}, trace.Nodes)

	r = g.Send("GET", "/plain", "", "X-DataKit-Debug-Trace", "true")
	assert.NotContains(t, r.Body, "not today", "without debug the header says nothing")

	r = g.Send("GET", "/wrong", "")
	assert.Equal(t, 500, r.Status)
	assert.JSONEq(t, `{"message":"configuration error","request_id":"`+r.ID()+`","errors":[
		"nodes[0].input (A): \"NOWHERE\": there is no node NOWHERE","nodes[1].jq (B): does not compile: line 1, character 3: unexpected EOF"]}`, r.Body)
	assert.Contains(t, g.Send("GET", "/mute", "").Body, "An unexpected error occurred")

	r = g.Send("GET", "/late/gzip", "")
	assert.Equal(t, 500, r.Status)
	assert.Empty(t, r.Header.Get("Content-Encoding"))
	assert.Contains(t, r.Body, `"name":"A"`)
	r = g.Send("GET", "/text", "")
	assert.Contains(t, r.Body, `expected map, got string`)
	assert.Len(t, g.Upstream.Requests(), 1, "only the late failure has reached the upstream")
}

func TestResponses(t *testing.T) {
	g := startGateway(t, nil, map[string]string{
		"body":    "nodes:\n- {name: A, type: jq, jq: '{status: .status, ok: .body}', inputs: {body: service_response.raw_body, status: service_response.status}, output: response.body}",
		"headers": "nodes:\n- {name: A, type: static, values: {h: {X-One: [a, b], ETag: null, X-Up: null}}, outputs: {h: response.headers}}",
		"status":  "nodes:\n- {name: A, type: jq, jq: '202'}\n- {name: S, type: property, property: kong.response.status, input: A}",
		"exit":    "nodes:\n- {name: B, type: jq, jq: '. == 503', input: service_response.status}\n- {name: IF, type: branch, input: B, then: [X]}\n- {name: X, type: exit, status: 299, inputs: {body: service_response.headers}}",
		"ctx":     "nodes:\n- {name: A, type: jq, jq: '{a: [1, null, true], big: 12345678901234567890}'}\n- {name: P, type: property, property: kong.ctx.plugin.x, input: A}\n- {name: IF, type: branch, input: T, then: [G]}\n- {name: T, type: jq, jq: '. > 0', input: service_response.status}\n- {name: G, type: property, property: kong.ctx.plugin.x, output: response.body}",
		"large":   "nodes:\n- {name: A, type: jq, jq: '.', input: request.body, output: response.body}",
		"gunzip":  "nodes:\n- {name: A, type: jq, jq: 'type', input: service_response.body, output: response.body}",
		"status2": "nodes:\n- {name: A, type: jq, jq: '.', inputs: {r: request.headers, m: request.method, p: request.path, rp: request.raw_path, port: request.port, s: request.scheme, v: request.version, q: request.query}}\n- {name: E, type: exit, inputs: {body: A}}",
	})
	r := g.Send("GET", "/body/ok", "")
	assert.Equal(t, 200, r.Status)
	assert.Contains(t, r.Body, `"status":200`)
	assert.Equal(t, "application/json", r.Header.Get("Content-Type"))

	r = g.Send("GET", "/headers/ok", "")
	assert.Equal(t, []string{"a", "b"}, r.Header.Values("X-One"))
	assert.Empty(t, r.Header.Values("ETag"))
	assert.NotEmpty(t, r.Body)

	r = g.Send("GET", "/status/ok", "")
	assert.Equal(t, 202, r.Status)

	assert.Equal(t, 200, g.Send("GET", "/exit/ok", "").Status)
	r = g.Send("GET", "/exit/status/503", "")
	assert.Equal(t, 299, r.Status)
	assert.Contains(t, r.Body, "Content-Type")

	r = g.Send("GET", "/ctx/ok", "")
	assert.JSONEq(t, `{"a":[1,null,true],"big":12345678901234567890}`, r.Body)
	assert.Contains(t, r.Body, "12345678901234567890", "with all digits")

	large := strings.Repeat("x\xff", 200_000)
	r = g.Send("POST", "/large/ok", large)
	assert.Len(t, r.Body, len(large))

	r = g.Send("GET", "/gunzip/gzip", "")
	assert.Equal(t, `object`, r.Body)
	assert.Empty(t, r.Header.Get("Content-Encoding"))

	r = g.Send("GET", "/status2/a%20b?x=1&y&x=2", "", "X-Twice", "1", "x-twice", "2")
	var seen struct {
		R           map[string]any
		M, P, RP, S string
		Port        int
		V           float64
		Q           map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(r.Body), &seen), r.Body)
	assert.Equal(t, []any{"1", "2"}, seen.R["X-Twice"])
	assert.Equal(t, []any{"GET", "/status2/a b", "/status2/a%20b", "http", 1.1}, []any{seen.M, seen.P, seen.RP, seen.S, seen.V})
	assert.Equal(t, map[string]any{"x": []any{"1", "2"}, "y": true}, seen.Q)

	r = g.Send("GET", "/status2/ok?x=\xff", "")
	require.NoError(t, json.Unmarshal([]byte(r.Body), &seen), r.Body)
	assert.Equal(t, "\uFFFD", seen.Q["x"], "a byte that is not UTF-8 does no harm")
}

// A workflow that fails once the upstream has answered gives nothing of that answer out: it may have been there to mask it.
func TestFailureAfterTheUpstream(t *testing.T) {
	g := kongdevtest.Start(t, kongdevtest.Options{
		Plugins: map[string]string{"datakit": kongdevtest.Self}, Workers: 1, Config: `
_format_version: "3.0"
services:
- name: open
  url: http://open.test
  routes:
  - {name: all, paths: [/]}
plugins:
- name: datakit
  config:
    nodes:
    - {name: MASK, type: jq, jq: 'if . == "{}" then {"X-Internal": null} else error("no") end', input: service_response.raw_body, output: response.headers}
`,
		Hosts: map[string]http.Handler{"open.test": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, value := range map[string]string{
				"X-Internal": "top-secret", "Set-Cookie": "a=top-secret", "Cache-Control": "max-age=3600", "ETag": `"1"`, "Access-Control-Allow-Origin": "*", "Content-Type": "text/plain",
			} {
				w.Header().Set(name, value)
			}
			_, _ = io.WriteString(w, strings.TrimPrefix(r.URL.Path, "/"))
		})},
	})
	r := g.Send("GET", "/{}", "")
	assert.Equal(t, []string{"200", "", "a=top-secret"}, []string{fmt.Sprint(r.Status), r.Header.Get("X-Internal"), r.Header.Get("Set-Cookie")})
	r = g.Send("GET", "/other", "")
	assert.Equal(t, 500, r.Status)
	assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
	assert.Equal(t, "*", r.Header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, r.Body, "An unexpected error occurred")
	assert.NotContains(t, fmt.Sprint(r.Header), "top-secret")
	for _, name := range []string{"Cache-Control", "ETag", "Set-Cookie", "X-Internal"} {
		assert.Empty(t, r.Header.Values(name), name)
	}
}

// A response whose body the workflow reads comes in a coding that can be undone, whatever else the client accepts.
func TestAcceptedCodings(t *testing.T) {
	const reads = "nodes:\n- {name: A, type: jq, jq: 'type', input: service_response.body, output: response.body}"
	g := startGateway(t, nil, map[string]string{
		"reads":  reads,
		"own":    reads + "\n- {name: B, type: static, values: {h: {Accept-Encoding: zstd}}, outputs: {h: service_request.headers}}",
		"others": "nodes:\n- {name: A, type: jq, jq: '{\"X-Status\": .}', input: service_response.status, output: response.headers}",
	})
	for i, c := range []struct{ path, accepted, want string }{
		{"/reads/ok", "gzip, deflate, br, zstd", "gzip, deflate"},
		{"/reads/ok", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip;q=0.8"},
		{"/reads/ok", "br", "identity"},
		{"/reads/ok", "gzip,deflate", "gzip,deflate"},
		{"/reads/ok", "", ""},
		{"/own/ok", "br", "zstd"},
		{"/others/ok", "br", "br"},
	} {
		headers := []string{"Accept-Encoding", c.accepted}
		if c.accepted == "" {
			headers = nil
		}
		assert.Equal(t, 200, g.Send("GET", c.path, "", headers...).Status)
		assert.Equal(t, c.want, g.Upstream.Requests()[i].Header.Get("Accept-Encoding"), "%s %s", c.path, c.accepted)
	}
}

// TestFlights holds the request path to its budget: round trips to Kong per event, the event itself included.
func TestFlights(t *testing.T) {
	g := startGateway(t, nil, map[string]string{
		"query":  "nodes:\n- {name: A, type: jq, jq: '{\"X-Q\": .q}', input: request.query, output: service_request.headers}",
		"whole":  "nodes:\n- {name: A, type: jq, jq: '{\"X-Q\": .method}', input: request, output: service_request.headers}",
		"late":   "nodes:\n- {name: A, type: jq, jq: '{\"X-Q\": .[\"Content-Type\"]}', input: service_response.headers, output: response.headers}",
		"static": "nodes:\n- {name: A, type: static, values: {h: {X-Q: 1, X-R: 2}}, outputs: {h: service_request.headers}}",
		"body":   "nodes:\n- {name: A, type: jq, jq: 'type', input: service_response.body, output: response.body}",
	})
	for name, want := range map[string]map[string]int{
		"query": {"access": 2, "response": 0}, "whole": {"access": 2, "response": 0}, "static": {"access": 2, "response": 0}, "late": {"access": 2, "response": 2},
		"body": {"access": 2},
	} {
		for range 2 {
			r := g.Send("GET", "/"+name+"/ok?q=1", "", "Accept-Encoding", "gzip, br")
			require.Less(t, r.Status, 600)
			for phase, n := range want {
				assert.LessOrEqual(t, g.Flights(r, "datakit", phase), n, "%s %s: %v", name, phase, g.Calls(r, phase))
			}
		}
	}
}

func TestWithoutResponsePhase(t *testing.T) {
	g := startGateway(t, []string{"-phases", "access"}, map[string]string{
		"good": "nodes:\n- {name: A, type: jq, jq: '{\"X-Q\": .q}', input: request.query, output: service_request.headers}",
		"bad":  "debug: true\nnodes:\n- {name: A, type: jq, jq: '.', input: request.body, output: response.body}",
	})
	r := g.Send("GET", "/good/ok?q=1", "")
	assert.Equal(t, 200, r.Status)
	assert.Equal(t, "1", g.Upstream.Requests()[0].Header.Get("X-Q"))
	r = g.Send("GET", "/bad/ok", "")
	assert.Equal(t, 500, r.Status)
	assert.Contains(t, r.Body, "-phases access")
}

// TestStreamsStayStreams: a workflow without work in the response phase takes back that Kong holds responses.
func TestStreamsStayStreams(t *testing.T) {
	opened, finish := make(chan struct{}, 1), make(chan struct{})
	config := `
_format_version: "3.0"
services:
- name: stream
  url: http://stream.test
  routes:
  - {name: all, paths: [/]}
plugins:
- name: datakit
  config:
    nodes:
    - {name: A, type: jq, jq: '{"X-Q": .q}', input: request.query, output: service_request.headers}
`
	g := kongdevtest.Start(t, kongdevtest.Options{
		Config: config, Plugins: map[string]string{"datakit": kongdevtest.Self}, Workers: 1,
		Hosts: map[string]http.Handler{"stream.test": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			opened <- struct{}{}
			<-finish
		})},
	})
	request, err := http.NewRequestWithContext(t.Context(), "GET", g.URL()+"/", nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	first := make([]byte, 9)
	_, err = io.ReadFull(answer.Body, first)
	require.NoError(t, err)
	assert.Equal(t, "data: 1\n\n", string(first), "while the upstream has not ended")
	<-opened
	close(finish)
}

func TestSecretsStayOut(t *testing.T) {
	g := startGateway(t, nil, map[string]string{
		"trace": `
debug: true
resources: {vault: {key: top-secret-value}}
nodes:
- {name: A, type: jq, jq: '{"X-Made": ("made of " + .k), Authorization: "bearer-of-the-client"}', inputs: {k: vault.key}, output: service_request.headers}
- {name: B, type: jq, jq: '.', input: request.headers}
- {name: C, type: jq, jq: 'error(.k)', inputs: {k: vault.key, wait: B, go: request.query.fail}}
`,
		"empty": "debug: true\nresources: {vault: {key: \"\"}}\nnodes:\n- {name: A, type: jq, jq: '.', inputs: {k: vault.key}}",
	})
	r := g.Send("GET", "/trace/ok?fail=1", "", "Authorization", "Bearer client-token", "X-DataKit-Debug-Trace", "on")
	assert.Equal(t, 500, r.Status)
	assert.NotContains(t, r.Body, "top-secret")
	assert.NotContains(t, r.Body, "client-token")
	assert.Contains(t, r.Body, "********")
	r = g.Send("GET", "/trace/ok?fail=1", "")
	assert.NotContains(t, r.Body, "top-secret")
	g.WaitLog("node #3 (C) failed")
	assert.NotContains(t, g.Log(), "top-secret")
	r = g.Send("GET", "/empty/ok", "")
	assert.Equal(t, 500, r.Status)
}
