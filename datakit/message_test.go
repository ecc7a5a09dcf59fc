package datakit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQueryValues(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]map[string]any{
		"":                    {},
		"a=1&b=x+y&c":         {"a": "1", "b": "x y", "c": true},
		"a=1&a=2&a":           {"a": []any{"1", "2", true}},
		"%61=%20&b=%zz&c=%ff": {"a": " ", "b": "%zz", "c": "\uFFFD"},
		"&&a=":                {"a": ""},
	} {
		assert.Equal(t, want, queryValues(raw), raw)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		body, contentType string
		want              any
	}{
		{"", "application/json", nil},
		{`{"a":1}`, "application/json", map[string]any{"a": json.Number("1")}},
		{`{"a":1}`, "Application/JSON; charset=utf-8", map[string]any{"a": json.Number("1")}},
		{"\xef\xbb\xbf[]", "application/problem+json", []any{}},
		{`{"a":1}`, "text/plain", `{"a":1}`},
		{`{"a":1}`, "", `{"a":1}`},
		{"a=1", "application/x-www-form-urlencoded", "a=1"},
	} {
		got, err := bodyValue([]byte(c.body), c.contentType)
		require.NoError(t, err)
		assert.Equal(t, c.want, got, c.body)
	}
	for _, body := range []string{"{", "{} {}", "\xff", "nul"} {
		_, err := bodyValue([]byte(body), "application/json")
		assert.ErrorContains(t, err, "not JSON", body)
	}
}

func TestCodingsOfAResponse(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, "- {name: A, type: jq, jq: '.', input: service_response.body, output: response.body}")
	answer := func(coding, body string) *Outcome {
		h := &testHost{response: Message{Header: map[string][]string{"content-type": {"application/json"}, "content-encoding": {coding}}, Body: []byte(body), Size: int64(len(body))}}
		return p.Response(t.Context(), h, nil)
	}
	assert.Equal(t, "{}", string(answer("identity", "{}").Response.Body))
	assert.ErrorContains(t, answer("br", "\x0b\x00").Failure, "the response's body: is labelled br, which is not unpacked; have the upstream send gzip, deflate, or no coding")
	assert.ErrorContains(t, answer("gzip", "{}").Failure, "is labelled gzip and is not")
	assert.ErrorContains(t, answer("identity", "{").Failure, "the response's body: not JSON")
}

func TestHeaderNames(t *testing.T) {
	t.Parallel()
	received := map[string][]string{"x-extra": {"1"}, "authorization": {"t"}, "path": {"/a"}, "set-cookie": {"a", "b"}, "x-bad": {"\xff"}}
	for programs, want := range map[string]map[string]any{
		`.Authorization`:                   {"Authorization": "t", "X-Extra": "1", "Path": "/a"},
		`.authorization`:                   {"authorization": "t", "Authorization": nil},
		`.authorization // .Authorization`: {"Authorization": "t", "authorization": nil},
		`.headers["x-extra"]`:              {"x-extra": "1", "X-Extra": nil},
		`.path`:                            {"path": "/a", "Path": nil},
		`has("set-cookie")`:                {"set-cookie": []any{"a", "b"}},
		`.["X-Bad"]`:                       {"X-Bad": "\uFFFD"},
	} {
		p := mustCompile(t, "- {name: A, type: jq, input: request.headers, jq: '"+programs+"'}")
		got := p.names.headerValues(received)
		for name, v := range want {
			assert.Equal(t, v, got[name], "%s: %s", programs, name)
		}
	}
	assert.Equal(t, "1", caser{lower: true}.headerValues(received)["x-extra"])
}

// A received header that a program looks up in lower case is passed on once, and is gone once the program has deleted it.
func TestHeadersArePassedOnOnce(t *testing.T) {
	t.Parallel()
	request := Message{Header: map[string][]string{"authorization": {"Bearer received"}, "cookie": {"a=1"}, "x-b": {"b"}}}
	for program, want := range map[string][]Header{
		`if .authorization then . else {} end`:             {{"Authorization", []string{"Bearer received"}}, {"Cookie", []string{"a=1"}}, {"X-B", []string{"b"}}},
		`del(.authorization, .cookie)`:                     {{"X-B", []string{"b"}}},
		`. + {authorization: "Bearer own"}`:                {{"Authorization", []string{"Bearer own"}}, {"Cookie", []string{"a=1"}}, {"X-B", []string{"b"}}},
		`. + {"Authorization": "Bearer own"}`:              {{"Authorization", []string{"Bearer own"}}, {"Cookie", []string{"a=1"}}, {"X-B", []string{"b"}}},
		`. + {cookie: null, "X-b": 1}`:                     {{"Authorization", []string{"Bearer received"}}, {"Cookie", nil}, {"X-B", []string{"b", "1"}}},
		`{authorization} | with_entries(.key |= "x-" + .)`: {{"X-Authorization", []string{"Bearer received"}}},
		`{"X-C": "is \(.authorization)"}`:                  {{"X-C", []string{"is Bearer received"}}},
		`. as {authorization: $a} | {a: $a}`:               {{"A", []string{"Bearer received"}}},
	} {
		p := mustCompile(t, "- {name: A, type: jq, input: request.headers, output: service_request.headers, jq: '"+program+"'}\n"+
			"- {name: B, type: jq, input: request.headers, jq: '.authorization'}")
		o := p.Access(t.Context(), &testHost{request: request}, false)
		require.Nil(t, o.Failure, program)
		assert.Equal(t, want, o.Service.Headers, program)
	}
}

// A label finds a header in any case, where headers are taken in and where they come through other nodes.
func TestLabelsOfHeaders(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `
- {name: A, type: jq, jq: '{headers: .headers, other: {Kind: 1}}', inputs: {headers: request.headers}}
- {name: B, type: jq, jq: '{"content-type": "text/plain"}'}
- {name: OUT, type: jq, jq: "[.a, .b, .c, .d]", inputs: {a: request.headers.Content-Type, b: A.headers.Content-Type, c: A.headers.none, d: A.other.kind}}`)
	v, failure := outputs(t, p, &testHost{request: Message{Header: map[string][]string{"content-type": {"text/html"}}}})
	require.Nil(t, failure)
	assert.Equal(t, []any{"text/html", "text/html", nil, nil}, v)
}

// Two spellings of one name have an order, whatever that of the map is.
func TestSpellingsOfAHeader(t *testing.T) {
	t.Parallel()
	for range 50 {
		got, err := caser{}.headers(map[string]any{"x-a": "3", "X-a": "2", "X-A": []any{"1", true}, "B": nil, "b": "4"})
		require.NoError(t, err)
		require.Equal(t, []Header{{"B", []string{"4"}}, {"X-A", []string{"1", "true", "2", "3"}}}, got)
	}
}

func TestConvert(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    any
		to   typ
		want any
		bad  bool
	}{
		{json.Number("1.50"), stringType, "1.50", false},
		{1.5, stringType, "1.5", false},
		{true, stringType, "true", false},
		{"12", numberType, json.Number("12"), false},
		{"x", numberType, nil, true},
		{"", numberType, nil, true},
		{"true", booleanType, nil, true},
		{nil, booleanType, nil, false},
		{[]any{}, stringType, nil, true},
		{"x", mapType, nil, true},
		{[]any{"x"}, anyType, []any{"x"}, false},
	} {
		got, err := convert(c.v, c.to)
		assert.Equal(t, c.bad, err != nil, "%v to %s: %v", c.v, c.to, err)
		assert.Equal(t, c.want, got)
	}
}

func TestSplitTarget(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"a:1": "a", "[::1]:8080": "::1", "10.0.0.1:65535": "10.0.0.1"} {
		host, port, err := splitTarget(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, host)
		assert.Positive(t, port)
	}
	for _, text := range []string{"", "a", "a:", ":1", "a:0", "a:65536", "a:1x", "::1:80", "[::1:80", "a/b:1", "a b:1", "a:99999999999999999999"} {
		_, _, err := splitTarget(text)
		assert.Error(t, err, text)
	}
}

func FuzzHeaders(f *testing.F) {
	for _, s := range []string{`{"X-A":"1","x-a":[1,true,"z"],"B":null}`, `{"":1}`, `{"a b":1}`, `{"A":{"b":1}}`, `{"A":"x\r\ny"}`, `[]`, `null`, `{"Host":"h","Content-Length":-1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := decodeJSON([]byte(text))
		if err != nil {
			return
		}
		headers, err := caser{}.headers(v)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, h := range headers {
			assert.False(t, seen[strings.ToLower(h.Name)], "each name once: %s", h.Name)
			seen[strings.ToLower(h.Name)] = true
			assert.True(t, isToken(h.Name))
			for _, s := range h.Values {
				assert.NotContains(t, s, "\r")
				assert.NotContains(t, s, "\n")
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"a=1&b", "%", "a=%ff&=x", "a&a=1", "&&=&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		m := queryValues(raw)
		_, err := queryOf(m)
		require.NoError(t, err, "what was read can be written")
	})
}
