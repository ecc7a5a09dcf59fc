package datakit

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func newTestEngine(t testing.TB) *Engine {
	e := NewEngine(func(_, text string) { t.Log(text) })
	t.Cleanup(func() { _ = e.Close(t.Context()) })
	return e
}

// compileText compiles a configuration that is written as YAML: a list of nodes, or an object with nodes and more.
func compileText(t testing.TB, text string) (*Plan, error) {
	t.Helper()
	return compileWith(t, newTestEngine(t), text)
}

func compileWith(t testing.TB, e *Engine, text string) (*Plan, error) {
	t.Helper()
	var v any
	require.NoError(t, yaml.Unmarshal([]byte(text), &v))
	if _, isList := v.([]any); isList {
		v = map[string]any{"nodes": v}
	}
	config, err := json.Marshal(v)
	require.NoError(t, err)
	return e.Compile(config)
}

func mustCompile(t testing.TB, text string) *Plan {
	t.Helper()
	p, err := compileText(t, text)
	require.NoError(t, err)
	return p
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string
		want   []string
	}{
		"two sources on one input": {`
- {name: A, type: jq, jq: ".", output: T}
- {name: B, type: jq, jq: ".", output: T}
- {name: T, type: jq, jq: "."}`,
			[]string{`invalid connection ("B" -> "T"): conflicts with existing connection ("A" -> "T")`}},
		"two sources on one field": {`
- {name: A, type: jq, jq: ".", output: response.body}
- {name: B, type: jq, jq: ".", output: response.body}`,
			[]string{`invalid connection ("B" -> "response.body"): conflicts with existing connection ("A" -> "response.body")`}},
		"a whole value and a field": {`
- {name: A, type: jq, jq: ".", output: response}
- {name: B, type: jq, jq: ".", output: response.body}`,
			[]string{`invalid connection ("B" -> "response.body"): conflicts with existing connection ("A" -> "response")`}},
		"object to map": {`
- {name: A, type: call, url: "http://x/", output: service_request.headers}`,
			[]string{`invalid connection ("A" -> "service_request.headers"): type mismatch: object -> map`}},
		"scalar to map": {`
- {name: A, type: static, values: {a: text}, outputs: {a: service_request.headers}}`,
			[]string{`invalid connection ("A.a" -> "service_request.headers"): type mismatch: string -> map`}},
		"a static literal that cannot be a header": {`
- {name: A, type: static, values: {h: {X-A: {deep: 1}}}, outputs: {h: service_request.headers}}`,
			[]string{`invalid connection ("A.h" -> "service_request.headers"): headers: X-A: expected a string, number, boolean, list of such, or null, got object`}},
		"cycle through the upstream": {`
- {name: CALL, type: call, url: "http://x/", inputs: {body: service_response.body}, outputs: {body: service_request.body}}`,
			[]string{`invalid dependency (node #1 (CALL) -> node service_response): circular dependency (CALL → service_request → service_response → CALL)`}},
		"cycle": {`
- {name: Z, type: jq, jq: ".", input: B}
- {name: A, type: jq, jq: ".", input: Z}
- {name: B, type: jq, jq: ".", input: A}`,
			[]string{`invalid dependency (node #1 (Z) -> node #3 (B)): circular dependency (Z → A → B → Z)`}},
		"cycle through a branch": {`
- {name: B, type: branch, input: J, then: [J]}
- {name: J, type: jq, jq: "true"}`,
			[]string{`invalid dependency (node #1 (B) -> node #2 (J)): circular dependency (B → J → B)`}},
		"declared on both sides": {`
- {name: A, type: jq, jq: ".", output: B}
- {name: B, type: jq, jq: ".", input: A}`,
			[]string{`invalid connection ("A" -> "B"): conflicts with existing connection ("A" -> "B"); the link is declared twice, specify one side`}},
		"all at once": {`
- {name: A, type: jq, jq: ".a[", input: REQUEST.headers}
- {name: A, type: jq, jq: "."}
- {name: request, type: jq, jq: "."}
- {name: "1x", type: jq, jq: "."}
- {type: jq, jq: "."}
- {name: B, type: jqq}
- {name: C, type: call, method: get, bogus: 1, timeout: 1.5}
- {name: D, type: exit, status: 199, output: A}
- {name: E, type: jq, jq: ".", input: E}
- {name: F, type: jq, jq: ".", input: service_request.headers}
- {name: G, type: jq, jq: ".", output: request.headers}
- {name: H, type: jq, jq: ".", input: A, inputs: {a: A}}
- {name: I, type: jq, jq: ".", outputs: {x: response.body}}
- {name: J, type: jq, jq: ".", input: request.boddy}
- {name: K, type: jq, jq: ".", inputs: {k: vault.none}}
- {name: L, type: property, property: kong.client.conumer}
- {name: M, type: property, property: kong.service.target}
- {name: N, type: property, property: kong.client.ip, input: A}
- {name: O, type: branch, then: [O, X, request, P, P]}
- {name: P, type: static, input: A}
- {name: Q, type: property, inputs: {a: request.body}, property: kong.client.ip}
- 7`,
			[]string{
				`nodes[0].input (A): "REQUEST.headers": there is no node REQUEST; did you mean request?`,
				`nodes[0].jq (A): does not compile: line 1, character 4: unexpected EOF`,
				`nodes[1].name: "A" is also the name of nodes[0]; names are unique`,
				`nodes[2].name: "request" is the name of an implicit node; take another one`,
				`nodes[3].name: "1x" is no name: it begins with a letter or _, then letters, digits, _ and -, 255 at most`,
				`nodes[4].name: required; it names the node in links`,
				`nodes[5].type (B): "jqq" is no type of node; it is one of branch, cache, call, exit, jq, json_to_xml, jwt_decode, jwt_sign, jwt_verify, property, static, xml_to_json; did you mean jq?`,
				`nodes[6].url (C): required, unless the input url is connected`,
				`nodes[6].method (C): "get" is no method: upper-case letters only, as in POST`,
				`nodes[6].timeout (C): 1.5 is not a whole number from 0 to 2147483646`,
				`nodes[6].bogus (C): unknown field; a node of type call has no such option`,
				`nodes[7].output (D): a node of type exit has no output`,
				`nodes[7].status (D): 199 is not a whole number from 200 to 599`,
				`nodes[8].input (E): links the node to itself`,
				`nodes[9].input (F): "service_request.headers": nothing can be taken from service_request, which is written only`,
				`nodes[10].output (G): nothing can be connected to request, which is read only`,
				`nodes[11].inputs (H): input and inputs exclude each other; use one of them`,
				`nodes[12].outputs.x (I): a node of type jq has one output, its whole value; use output`,
				`nodes[13].input (J): "request.boddy": there is no field boddy; the fields of request are headers, query, body, path, raw_path, port, method, scheme, version; did you mean body?`,
				`nodes[14].inputs.k (K): "vault.none": there is no field none; resources.vault has no such key`,
				`nodes[15].property (L): there is no property kong.client.conumer; did you mean kong.client.consumer?`,
				`nodes[16].property (M): kong.service.target is written only; connect the value to write to this node's input`,
				`nodes[17].property (N): kong.client.ip is read only; nothing can be connected to this node's input`,
				`nodes[18].then[0] (O): a branch cannot be a member of itself`,
				`nodes[18].then[1] (O): there is no node "X"`,
				`nodes[18].then[2] (O): request is an implicit node, which no branch can skip`,
				`nodes[18].then[4] (O): P is a member of the branch O already`,
				`nodes[18].input (O): required for a node of type branch`,
				`nodes[19].values (P): required: an object with the values`,
				`nodes[19].input (P): a node of type static has no input`,
				`nodes[20].inputs.a (Q): Q has no input a; a node of type property takes one whole value: use input`,
				`nodes[21]: expected a node, which is an object with name and type, got number`,
			}},
		"shell quotes": {`
- {name: A, type: jq, jq: "{ 'X-Api-Key': (.a // 'none') }"}`,
			[]string{`nodes[0].jq (A): strings of jq stand in double quotes: write "text" for 'text'; single quotes are a shell's`}},
		"an apostrophe in a string is none": {`
- {name: A, type: jq, jq: "\"it's\" + "}`,
			[]string{`nodes[0].jq (A): does not compile: line 1, character 10: unexpected EOF`}},
		"an unknown variable": {`
- {name: A, type: jq, jq: "$x", inputs: {y: request.body}}`,
			[]string{`nodes[0].jq (A): does not compile: variable not defined: $x`}},
		"late property written": {`
- {name: A, type: property, property: kong.service.target, input: service_response.body}`,
			[]string{`nodes[0].property (A): kong.service.target can be set before the request is proxied only, and this node runs in the response phase, because it depends on service_response`}},
		"no nodes":         {`{nodes: []}`, []string{`nodes: is empty; a workflow has 1 to 64 nodes`}},
		"nodes as a table": {`{nodes: {}}`, []string{`nodes: is empty; a workflow has 1 to 64 nodes`}},
		"a field that Kong's type has not": {`
- {name: A, type: jq, jq: ".", url: "http://x"}`,
			[]string{`nodes[0].url (A): unknown field; a node of type jq has no such option`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compileText(t, c.config)
			require.Error(t, err)
			var got []string
			for _, p := range Problems(err) {
				got = append(got, p.Error())
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string
		late   []string
		needs  bool
	}{
		"access only": {`
- {name: A, type: jq, jq: ".", input: request.body, output: service_request.body}`, nil, false},
		"early work for the response": {`
- {name: A, type: jq, jq: ".", input: request.body, output: response.body}`, nil, true},
		"late by data and by branch": {`
- {name: A, type: jq, jq: ".", input: service_response.body}
- {name: B, type: branch, input: A, then: [C, D]}
- {name: C, type: property, property: kong.ctx.shared.x}
- {name: D, type: static, values: {a: 1}}
- {name: E, type: static, values: {a: 1}}`, []string{"A", "B", "C", "D"}, true},
		"late property": {`
- {name: A, type: property, property: kong.response.source}`, []string{"A"}, true},
		"the status of the response": {`
- {name: A, type: property, property: kong.response.status, input: request.headers.status}`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustCompile(t, c.config)
			var late []string
			for _, s := range p.steps {
				if s.late && s.index > 0 {
					late = append(late, s.name)
				}
			}
			assert.Equal(t, c.late, late)
			assert.Equal(t, c.needs, p.NeedsResponse())
		})
	}
}

func TestParseLabel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]label{
		"A": {"A", ""}, " A . b ": {"A", "b"}, "A.$self": {"A", ""}, "request.headers.authorization": {"request", "headers.authorization"},
	} {
		got, err := parseLabel(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", ".", "A.", ".a", "A..b", "A.b.", "1A", "A b", "A-\x00"} {
		_, err := parseLabel(text)
		assert.Error(t, err, "%q", text)
	}
}

func FuzzParseLabel(f *testing.F) {
	for _, s := range []string{"A", "A.b", " A . b", "A.$self", "a.b.c", ".", "A..", "ä.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := parseLabel(s)
		if err != nil {
			return
		}
		again, err := parseLabel(l.String())
		require.NoError(t, err)
		assert.Equal(t, l, again, "what a label is printed as is the same label")
		assert.True(t, isNodeName(l.node))
	})
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`{"nodes":[{"name":"A","type":"jq","jq":".","input":"request.body","output":"service_request.body"}]}`,
		`{"nodes":[{"name":"A","type":"branch","input":"B","then":["C"],"else":["D"]},{"name":"B","type":"jq","jq":"true"},{"name":"C","type":"exit"},{"name":"D","type":"static","values":{"a":[1,{}],"headers":{"X":null}},"output":"E"},{"name":"E","type":"call","url":"http://x","inputs":{"https_proxy":"http://p:1"}}]}`,
		`{"nodes":{},"resources":{"vault":{}},"debug":true,"timeout_ms":1.0e3}`,
		`{"nodes":[{"name":"A","type":"property","property":"kong.ctx.shared.a","input":"vault.k"}],"resources":{"vault":{"k":"s"}}}`,
		`{"nodes":[{"name":"A","type":"jq","jq":".","input":"B"},{"name":"B","type":"jq","jq":".","input":"A"}]}`,
	} {
		f.Add([]byte(s))
	}
	engine := NewEngine(func(string, string) {})
	f.Fuzz(func(t *testing.T, config []byte) {
		c := New(engine)
		require.NoError(t, c.UnmarshalJSON(config))
		if c.decoded != nil {
			return
		}
		p, err := engine.compile(c)
		if err != nil {
			require.NotEmpty(t, Problems(err))
			return
		}
		over := make([]bool, len(p.steps)) // every node comes to its turn
		for left := len(p.steps); left > 0; {
			before := left
			for i, s := range p.steps {
				ready := !over[i]
				for _, from := range s.waits {
					ready = ready && over[from]
				}
				if ready {
					over[i] = true
					left--
				}
			}
			require.Less(t, left, before, "nodes wait for each other")
		}
		again, err := engine.compile(c)
		require.NoError(t, err)
		assert.Equal(t, len(p.steps), len(again.steps))
	})
}
