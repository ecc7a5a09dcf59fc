package datakit

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func jsonMessage(body string) Message {
	return Message{Body: []byte(body), Size: int64(len(body)), Header: map[string][]string{"content-type": {"application/json"}, "x-one": {"1"}}, RawQuery: "q=1"}
}

// echo answers with what it got, as JSON.
func echo(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		out := map[string]any{"method": r.Method, "path": r.URL.Path, "query": r.URL.RawQuery, "multi": anyList(r.Header.Values("X-Multi")), "type": r.Header.Get("Content-Type"), "host": r.Host, "parent": r.Header.Get("Traceparent")}
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		text, _ := encodeJSON(out)
		_, _ = w.Write(text)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestSnippets are the behaviours that Kong documents in passing. OUT is what counts, or what is written to the service.
func TestSnippets(t *testing.T) {
	t.Parallel()
	url := echo(t)
	for name, c := range map[string]struct {
		nodes   string
		out     string // of OUT, as JSON
		body    string // to the service
		headers []Header
		set     []string
		failure string
	}{
		"a property by its output": {nodes: `
- {name: P, type: property, property: kong.client.ip, output: OUT}
- {name: OUT, type: jq, jq: "."}`, out: `"10.0.0.1"`},
		"two properties in one program": {nodes: `
- {name: A, type: property, property: kong.client.ip}
- {name: B, type: property, property: kong.router.route}
- {name: OUT, type: jq, jq: "{ip: .a, route: .b.name}", inputs: {a: A, b: B}}`, out: `{"ip":"10.0.0.1","route":"r"}`},
		"one output to two inputs": {nodes: `
- {name: A, type: jq, jq: "1"}
- {name: B, type: jq, jq: ". + 1", input: A}
- {name: OUT, type: jq, jq: "[.a, .b]", inputs: {a: A, b: B}}`, out: `[1,2]`},
		"request to service_request": {nodes: `
- {name: OUT, type: jq, jq: ".headers |= {\"X-One\"} | .", input: request, output: service_request}`, body: `{"a":1}`,
			headers: []Header{{"X-One", []string{"1"}}, {"Content-Type", []string{"application/json"}}}},
		"the whole request kept": {nodes: `
- {name: S, type: property, property: kong.ctx.shared.request, input: request.query}`, set: []string{"kong.ctx.shared.request=map[q:1]"}},
		"a body made an object": {nodes: `
- {name: OUT, type: jq, jq: "if type == \"object\" then . else {data: .} end", input: request.body, output: service_request.body}`, out: `{"a":1}`, body: `{"a":1}`,
			headers: []Header{{"Content-Type", []string{"application/json"}}}},
		"a default for a header in any case": {nodes: `
- {name: OUT, type: jq, jq: "with_entries(.key |= ascii_downcase) | .\"x-one\" // \"none\"", input: request.headers}`, out: `"1"`},
		"headers merged": {nodes: `
- {name: S, type: static, values: {h: {X-Two: 2, X-Three: true}}}
- {name: OUT, type: jq, jq: ".s * {\"X-Four\": null}", inputs: {s: S.h}, output: service_request.headers}`,
			out: `{"X-Two":2,"X-Three":true,"X-Four":null}`, headers: []Header{{"X-Four", nil}, {"X-Three", []string{"true"}}, {"X-Two", []string{"2"}}}},
		"a static object into a call": {nodes: `
- {name: S, type: static, values: {headers: {X-Multi: [a, b], X-None: null}, query: {n: 1, b: true, l: [x, y]}, body: {k: v}}}
- {name: C, type: call, url: "URL/p?gone=1", method: POST, input: S}
- {name: OUT, type: jq, jq: ".multi, .query, .type | tostring", input: C.body}
- {name: EXIT, type: jq, jq: "[.multi, .query, .type, .method]", input: C.body, output: service_request.body}`, out: `"[\"a\",\"b\"]"`,
			body: `[["a","b"],"b=true&l=x&l=y&n=1","application/json","POST"]`, headers: []Header{{"Content-Type", []string{"application/json"}}}},
		"a call that is refused": {nodes: `
- {name: C, type: call, url: "URL/missing"}`, failure: `node #1 (C) failed with error: "non-2XX response code: 404"`},
		"a status that is accepted": {nodes: `
- {name: C, type: call, url: "URL/missing", accept_status: ["200-299", 404]}
- {name: OUT, type: jq, jq: ".", input: C.status}`, out: `404`},
		"an error that goes on": {nodes: `
- {name: C, type: call, url: "http://127.0.0.1:1/", on_error: continue}
- {name: D, type: call, url: "URL/missing", on_error: continue}
- {name: OUT, type: jq, jq: "[(.c.error | length > 0), .c.status, .d.error, .d.status]", inputs: {c: C, d: D}}`, out: `[true,null,"non-2XX response code: 404",404]`},
		"a dynamic URL inside": {nodes: `
- {name: U, type: jq, jq: "\"http://169.254.169.254/latest\""}
- {name: C, type: call, inputs: {url: U}}`, failure: `169.254.169.254`},
		"a dynamic URL to the node's own host": {nodes: `
- {name: U, type: jq, jq: "\"URL/other\""}
- {name: C, type: call, url: "URL/", inputs: {url: U}}
- {name: OUT, type: jq, jq: ".path", input: C.body}`, out: `"/other"`},
		"non_nil": {nodes: `
- {name: P, type: property, property: kong.ctx.shared.none, non_nil: true}`, failure: `node #1 (P) failed with error: "kong.ctx.shared.none is null (non_nil)"`},
		"a missing property is null": {nodes: `
- {name: P, type: property, property: kong.ctx.shared.none}
- {name: OUT, type: jq, jq: ". == null", input: P}`, out: `true`},
		"JSON in a property": {nodes: `
- {name: A, type: jq, jq: "{a: 1}"}
- {name: S, type: property, property: kong.ctx.shared.j, content_type: application/json, input: A}
- {name: W, type: jq, jq: "true", input: S}
- {name: B, type: branch, input: W, then: [G]}
- {name: G, type: property, property: kong.ctx.shared.j, content_type: application/json}
- {name: OUT, type: jq, jq: ".a", input: G}`, out: `1`, set: []string{`kong.ctx.shared.j={"a":1}`}},
		"types of jq": {nodes: `
- {name: OUT, type: jq, jq: "[(1|type), (\"a\"|type), (true|type), ({}|type), ([]|type), (null|type)]"}`, out: `["number","string","boolean","object","array","null"]`},
		"headers that are none": {nodes: `
- {name: A, type: jq, jq: "[1]", output: service_request.headers}`, failure: `expected map, got array`},
		"vault values together": {nodes: `
- {name: OUT, type: jq, jq: "(.a + .b) | length", inputs: {a: vault.one, b: vault.two}}`, out: `"********"`},
		"no output is null": {nodes: `
- {name: A, type: jq, jq: "empty"}
- {name: OUT, type: jq, jq: "[.]", input: A}`, out: `[null]`},
		"the first of several outputs": {nodes: `
- {name: OUT, type: jq, jq: "1, 2"}`, out: `1`},
		"endless jq": {nodes: `
- {name: A, type: jq, jq: "def f: f; f"}`, failure: `the program ran longer than 1s`},
		"a result too large": {nodes: `
- {name: A, type: jq, jq: "\"x\" * 10000000"}`, failure: `larger than 8388608 bytes`},
		"a key that is null": {nodes: `
- {name: A, type: jq, jq: "{a: 1}[.id] // \"none\"", input: request.query}`, failure: `give the key a default first`},
		"functions of jq that the library lacks": {nodes: `
- {name: OUT, type: jq, jq: "[({b: 1, a: 2} | keys_unsorted), ([5] | keys_unsorted), (1 | toarray), (65 | ascii), (1 | debug), (2 | debug(\"m\")), have_literal_numbers]"}`,
			out: `[["a","b"],[0],[1],"A",1,2,true]`},
		"traceparent": {nodes: `
- {name: C, type: call, url: "URL/"}
- {name: OUT, type: jq, jq: ".parent", input: C.body}`, out: `"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`},
		"binary bodies": {nodes: `
- {name: A, type: jq, jq: "\"a\"", input: request.body}
- {name: OUT, type: jq, jq: ".", input: A}`, out: `"a"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustCompile(t, "resources: {vault: {one: first-secret, two: second-secret}}\nnodes:"+strings.ReplaceAll(c.nodes, "URL", url))
			h := &testHost{request: jsonMessage(`{"a":1}`), properties: map[string]any{"kong.client.ip": "10.0.0.1", "kong.router.route": map[string]any{"name": "r"}}}
			h.request.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
			o := p.Access(t.Context(), h, true)
			if c.failure != "" {
				require.NotNil(t, o.Failure)
				assert.Contains(t, o.Failure.Error(), c.failure)
				return
			}
			require.Nil(t, o.Failure, "%v", o.Failure)
			if c.out != "" {
				found := false
				for _, e := range o.Trace.Events() {
					if e.Name == "OUT" && e.Action == "complete" {
						text, err := encodeJSON(e.Value.Value)
						require.NoError(t, err)
						assert.JSONEq(t, c.out, string(text))
						found = true
					}
				}
				assert.True(t, found, "OUT has run")
			}
			if c.body != "" {
				assert.JSONEq(t, c.body, string(o.Service.Body))
			}
			if c.headers != nil {
				assert.Equal(t, c.headers, o.Service.Headers)
			}
			assert.Equal(t, c.set, h.set)
		})
	}
}
