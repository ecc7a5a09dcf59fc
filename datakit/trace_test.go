package datakit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A trace can be drawn by itself: it has each node's phase, branch and links.
func TestTraceHasTheGraph(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `
nodes:
- {name: IS, type: jq, jq: ". == 1", input: request.query.a}
- {name: IF, type: branch, input: IS, then: [YES]}
- {name: YES, type: jq, jq: ".", inputs: {q: request.query}}
- {name: LATE, type: jq, jq: "{}", inputs: {yes: YES, status: service_response.status}, output: response.headers}`)
	o := p.Access(t.Context(), &testHost{}, true)
	got := map[string]TraceNode{}
	for _, n := range o.Trace.Nodes() {
		n.Type, n.Status = "", ""
		got[n.Name] = n
	}
	assert.Equal(t, TraceNode{Name: "IS", Phase: "access", Links: []TraceLink{{From: "request", Out: "query.a"}}}, got["IS"])
	assert.Equal(t, TraceNode{Name: "YES", Phase: "access", Branch: "IF", Links: []TraceLink{{From: "request", Out: "query", In: "q"}}}, got["YES"])
	assert.Equal(t, TraceNode{Name: "LATE", Phase: "response", Links: []TraceLink{{From: "service_response", Out: "status", In: "status"}, {From: "YES", In: "yes"}}}, got["LATE"])
	assert.Equal(t, TraceNode{Name: "response", Phase: "response", Links: []TraceLink{{From: "LATE", In: "headers"}}}, got["response"])
}

// Each node's way is told: a call's steps, and what a branch has decided about those that it skips.
func TestTraceActions(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(service.Close)
	p := mustCompile(t, `
- {name: IS, type: jq, jq: "false"}
- {name: IF, type: branch, input: IS, then: [INNER, A], else: [B]}
- {name: INNER, type: branch, input: IS, then: [DEEP]}
- {name: DEEP, type: static, values: {a: 1}}
- {name: A, type: jq, jq: "1"}
- {name: AFTER, type: jq, jq: ".", input: A}
- {name: B, type: call, url: "`+service.URL+`"}
- {name: C, type: call, url: "`+service.URL+`/no", inputs: {query: B.headers}}
- {name: D, type: jq, jq: ".", input: C.body}`)
	o := p.Access(t.Context(), &testHost{}, true)
	require.NotNil(t, o.Failure)
	got := map[string][]string{}
	for _, e := range o.Trace.Events() {
		text := e.Action
		if e.Action == "skip" && e.Value != nil {
			text += fmt.Sprint(" ", e.Value.Value)
		}
		got[e.Name] = append(got[e.Name], text)
	}
	delete(got, "request")
	assert.Equal(t, map[string][]string{
		"IS": {"run", "complete"}, "IF": {"run", "complete"}, "INNER": {"skip false"}, "DEEP": {"skip"}, "A": {"skip false"}, "AFTER": {"skip"},
		"B": {"schedule", "dispatch", "resume", "complete"}, "C": {"schedule", "dispatch", "resume", "fail"}, "D": {"cancel"},
	}, got)
}

// A header that no trace shows is not shown either where a link takes it out of its headers.
func TestTracesHideHeaders(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `
- {name: A, type: jq, jq: "1", inputs: {token: request.headers.authorization, x: request.headers.X-Other}}
- {name: B, type: jq, jq: "2", input: request.headers.cookie}
- {name: C, type: jq, jq: "3", input: request.headers}`)
	o := p.Access(t.Context(), &testHost{request: Message{Header: map[string][]string{"authorization": {"zebra-1"}, "cookie": {"zebra-2"}, "x-other": {"seen"}}}}, true)
	require.Nil(t, o.Failure)
	text, err := o.Trace.MarshalJSON()
	require.NoError(t, err)
	assert.NotContains(t, string(text), "zebra")
	assert.Contains(t, string(text), `"token":{"type":"string","value":"********"}`)
	assert.Contains(t, string(text), `"x":{"type":"string","value":"seen"}`)
}

// Errors of nodes that handle secrets are hidden when they may quote them; the operator is told the others.
func TestErrorsBesideSecrets(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(service.Close)
	for nodes, want := range map[string]string{
		`- {name: H, type: jq, jq: '{headers: {"X-Api-Key": .}}', input: vault.k}
- {name: A, type: call, url: "` + service.URL + `", inputs: {headers: H.headers}}`: "non-2XX response code: 403",
		`- {name: H, type: jq, jq: '{"X-Api-Key": .}', input: vault.k}
- {name: A, type: call, url: "http://127.0.0.1:1", inputs: {headers: H}}`: "no connection to 127.0.0.1:1: connection refused",
		`- {name: A, type: jwt_verify, inputs: {token: request.method, key: vault.k}}`: "token: does not have three parts with dots between them",
		`- {name: A, type: jq, jq: '[.] | until(false; .)', input: vault.k}`:           "the program ran longer than 1s",
		`- {name: A, type: jq, jq: 'error(.)', input: vault.k}`:                        hidden,
		`- {name: A, type: call, inputs: {url: vault.k}}`:                              hidden,
		`- {name: H, type: jq, jq: '{url: ("http://" + . + ".invalid")}', input: vault.k}
- {name: A, type: call, input: H}`: hidden,
		`- {name: H, type: jq, jq: '{(.): 1}', input: vault.k}
- {name: A, type: call, url: "` + service.URL + `", inputs: {headers: H}}`: hidden,
	} {
		p := mustCompile(t, "resources: {vault: {k: \"the secret\"}}\nnodes:\n"+nodes)
		o := p.Access(t.Context(), &testHost{request: Message{Method: "GET"}}, true)
		require.NotNil(t, o.Failure, nodes)
		assert.Equal(t, want, p.errorText(o.Failure), nodes)
		text, err := o.Trace.MarshalJSON()
		require.NoError(t, err)
		assert.NotContains(t, string(text), "the secret")
	}
}
