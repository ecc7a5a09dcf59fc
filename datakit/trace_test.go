package datakit

import (
	"testing"

	"github.com/stretchr/testify/assert"
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
