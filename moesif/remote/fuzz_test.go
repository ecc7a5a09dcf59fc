package remote

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/moesif/rawjson"
)

// fuzzRequests are requests that a document is tried on.
func fuzzRequests() []*Request {
	header := func(string) string { return "h" }
	return []*Request{
		{},
		{User: "u", Company: "c", Verb: "POST", Route: "/v2/orders", IP: "::1", Header: header, ContentType: "application/json", Body: []byte(`{"query":"q","operationName":"o"}`), Status: 200},
		{User: "u-42", Company: "c-7", Verb: "GET", Route: "/ping", ContentType: "application/graphql", Body: []byte("query")},
	}
}

// checkDecision asserts what holds of every answer: a sender can use it as it is.
func checkDecision(t *testing.T, d Decision) {
	t.Helper()
	for _, h := range d.Headers {
		assert.True(t, validName(h.Name), "%q", h.Name)
		assert.False(t, framing[strings.ToLower(h.Name)], h.Name)
		assert.NotEqual(t, "content-type", strings.ToLower(h.Name))
		checkHeaderValue(t, h.Value)
	}
	checkHeaderValue(t, d.ContentType)
	assert.LessOrEqual(t, len(d.Headers), maxHeaders)
	assert.LessOrEqual(t, len(d.Body), maxBodyBytes)
	if !d.Blocked {
		assert.Equal(t, Decision{Headers: d.Headers}, d)
		return
	}
	assert.NotEmpty(t, d.RuleID)
	assert.True(t, d.Status >= 200 && d.Status <= 599, "%d", d.Status)
	assert.True(t, d.Status != 204 && d.Status != 205 && d.Status != 304 || len(d.Body) == 0)
	assert.True(t, utf8.Valid(d.Body))
}

func checkHeaderValue(t *testing.T, v string) {
	t.Helper()
	assert.True(t, utf8.ValidString(v))
	assert.LessOrEqual(t, len(v), maxHeaderBytes)
	assert.NotContains(t, v, "\n")
	assert.NotContains(t, v, "\r")
	assert.NotContains(t, v, "\x00")
}

// FuzzConfig: a configuration is refused as a whole, or gives rates from 0 to 100 that MaxRate bounds, and hits nobody
// whom it does not name.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(exampleConfig))
	f.Add([]byte(`{"sample_rate":"1e2","user_sample_rate":{"u":-5,"\ud800":1},"user_rules":{"u":[{"rules":"r","values":{"0":1}},7]},"company_rules":[]}`))
	f.Add([]byte(`{"regex_config":[{"conditions":[{"path":"response.status","value":"^2"},{"path":"request.body.query","value":"q"}],"sample_rate":0.1}]}`))
	f.Add([]byte("{\"user_rules\":{\"\xff\":[]}}"))
	f.Add([]byte(`[[[[[[`))
	r, _, err := parseRules([]byte(`[{"_id":"r","type":"user","block":true,"variables":[{"name":"0"}],"response":{"body":{"a":"{{0}}"},"headers":{"X":"{{0}}"}}},
		{"_id":"rule-b","type":"company","block":true,"applied_to":"not_matching","response":{"body":["{{0}}"]}}]`))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, document []byte) {
		c, p, err := parseConfig(document)
		if err != nil {
			assert.Nil(t, c)
			return
		}
		_ = p.String()
		s := newSnapshot(c, r)
		for _, q := range fuzzRequests() {
			rate := s.Rate(q)
			assert.True(t, rate >= 0 && rate <= 100, "%v", rate)
			early := *q
			early.Status, early.Body = 0, nil
			assert.LessOrEqual(t, rate, s.MaxRate(&early))
			assert.Positive(t, Weight(rate))
			d := s.Govern(q)
			checkDecision(t, d)
			if d.Blocked {
				assert.True(t, json.Valid(d.Body))
			}
		}
		for name := range c.userRules {
			assert.True(t, id(name))
		}
		d := s.Govern(&Request{User: "nobody whom a fuzzer would name", Verb: "GET"})
		assert.False(t, d.Blocked)
	})
}

// FuzzRules: rules are refused as a whole, or give answers that can be sent.
func FuzzRules(f *testing.F) {
	f.Add([]byte(exampleRules))
	f.Add([]byte(manyRules(3)))
	f.Add([]byte(rulesOf("user", "company", "regex")))
	f.Add([]byte(`[{"_id":"a","type":"regex","block":true,"response":{"status":304,"headers":{"Content-Type":"application/json; charset=utf-8","X\n":"a\nb"},"body":"{\"a\":\"{{0}}\"}"},"variables":[{"name":0}]}]`))
	f.Add([]byte(`[{"_id":"a","type":"regex","block":true,"regex_config":[{"conditions":[{"path":"request.body.a.b","value":"(a{1000}){9}"}]}],"response":[]}]`))
	c, _, err := parseConfig([]byte(`{"user_rules":{"u":[{"rules":"rule-a","values":{"0":"a\r\nb\"\\"}},{"rules":"a"},{"rules":"0"}]},"company_rules":{"c":[{"rules":"1"}]}}`))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, document []byte) {
		r, p, err := parseRules(document)
		if err != nil {
			assert.Nil(t, r)
			return
		}
		_ = p.String()
		for _, s := range []*Snapshot{newSnapshot(c, r), newSnapshot(nil, r)} {
			for _, q := range fuzzRequests() {
				checkDecision(t, s.Govern(q))
			}
		}
		n := 0
		for _, count := range r.count {
			n += count
		}
		assert.Len(t, r.list, n)
	})
}

// FuzzTemplate: whatever a value is, a JSON body stays JSON with the same members, and a header stays one line.
func FuzzTemplate(f *testing.F) {
	f.Add(`{"error":"quota","message":"Plan {{0}} allows {{0|none}}","{{0}}":["{{1}}"]}`, `","admin":"yes`, "X: {{0}}")
	f.Add(`["{{0}}", "\u007b{0}}", 1e400]`, "\r\nSet-Cookie: a=b\x00\xff\u0085", "{{0}}\r\n{{0|\n}}")
	f.Add(`"{\"a\":\"{{0}}\"}"`, `"}`, "")
	f.Add(`"{{{0}}}"`, "{{0}}", "{{{{0}}}}")
	f.Fuzz(func(t *testing.T, body, value, header string) {
		declared := map[string]bool{"0": true}
		with := func(v string) func(string) (string, bool) {
			return func(name string) (string, bool) { return v, name == "0" }
		}
		if v, ok := parseTemplate(header, declared).header(with(value)); ok {
			for _, r := range v {
				assert.True(t, r >= ' ' && r != 0x7f, "%q", v)
			}
		}
		document, err := compact([]byte(body))
		if err != nil {
			return
		}
		a := answer{status: 429}
		a.readBody(document, declared)
		evil, contentType := a.render(with(value))
		harmless, _ := a.render(with("x"))
		if !a.escaped || evil == nil || harmless == nil {
			return
		}
		require.True(t, json.Valid(evil), "%q", evil)
		if a.object {
			assert.Equal(t, jsonContentType, contentType)
			assert.Equal(t, shape(document), shape(evil), "%q", evil)
		}
		assert.Equal(t, len(shape(harmless)), len(shape(evil)), "%q", evil)
	})
}

// shape returns a JSON text with every string that is no member's name emptied.
func shape(v []byte) string {
	var compacted, b bytes.Buffer
	if json.Compact(&compacted, v) != nil {
		return ""
	}
	v = compacted.Bytes()
	for i := 0; i < len(v); i++ {
		if v[i] != '"' {
			b.WriteByte(v[i])
			continue
		}
		end := rawjson.StringEnd(v, i)
		if end < len(v) && v[end] == ':' {
			b.WriteString("name")
		} else {
			b.WriteString("text")
		}
		i = end - 1
	}
	return b.String()
}

// FuzzConditions: whatever a request holds, a condition only holds of a value that is there and that the expression
// matches, and being early is never more certain.
func FuzzConditions(f *testing.F) {
	f.Add("request.body.query", "^q", "application/json; charset=utf-8", `{"query":"q"}`, "GET", 0)
	f.Add("request.body.a.b", "", "application/graphql+json", `[{"a":{"b":1e400}},{"a":"b"}]`, "", 200)
	f.Add("request.body.query", "x|y", "application/graphql", "\xff\x00", "G", -5)
	f.Add("response.status", `^\d{3}$`, "", "", "", 1000)
	f.Add("request.headers.x", `(?i)a`, "", "", "A", 404)
	f.Fuzz(func(t *testing.T, path, expression, contentType, body, fact string, status int) {
		document, err := json.Marshal([]any{map[string]any{"conditions": []any{map[string]string{"path": path, "value": expression}}}})
		require.NoError(t, err)
		p := &problems{}
		reader := matchReader{problems: p, status: true}
		m := reader.read(document, "rule 1")
		newRequest := func() *Request {
			return &Request{User: fact, Company: fact, Verb: fact, Route: fact, IP: fact, Header: func(string) string { return fact },
				ContentType: contentType, Body: []byte(body), Status: status}
		}
		r := newRequest()
		got := m.holds(r, false)
		assert.NotEqual(t, maybe, got)
		assert.Equal(t, got, m.holds(r, false), "asking twice")
		if p.count > 0 {
			assert.Equal(t, no, got)
		}
		early := newRequest()
		early.Body, early.Status = nil, 0
		if sure := m.holds(early, true); sure != maybe {
			assert.Equal(t, sure, got)
		}
		if strings.HasPrefix(path, "request.v") && fact == "" {
			assert.Equal(t, no, got)
		}
		draw := Draw(body)
		assert.False(t, math.IsNaN(draw) || draw < 0 || draw >= 100)
	})
}

// FuzzKept: a file is used only if its document is what its checksum says, and what was written is read.
func FuzzKept(f *testing.F) {
	f.Add(joinKept(fetched{body: []byte("[]"), etag: `"e"`, tag: "t"}))
	f.Add([]byte("{\"format\":1}\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if h, body, err := splitKept(content); err == nil {
			sum := sha256.Sum256(body)
			assert.Equal(t, hex.EncodeToString(sum[:]), h.SHA256)
		}
		h, body, err := splitKept(joinKept(fetched{body: content, tag: string(content)}))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(content, body))
		if utf8.Valid(content) {
			assert.Equal(t, string(content), h.Tag)
		}
	})
}
