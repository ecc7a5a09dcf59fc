package remote

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blocked answers a request that a rule with this response blocks, with these values of its variables 0, 1 and name.
func blocked(t testing.TB, response string, values map[string]string) (Decision, string) {
	t.Helper()
	v, err := json.Marshal(values)
	require.NoError(t, err)
	c, _, err := parseConfig([]byte(`{"user_rules":{"u":[{"rules":"r","values":` + string(v) + `}]}}`))
	require.NoError(t, err)
	r, p, err := parseRules([]byte(`[{"_id":"r","type":"user","block":true,"variables":[{"name":"0"},{"name":1},{"name":"name","path":7}],"response":` + response + `}]`))
	require.NoError(t, err)
	d := newSnapshot(c, r).Govern(&Request{User: "u"})
	require.True(t, d.Blocked)
	return d, p.String()
}

func TestStatusOfAnAnswer(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int{
		"429": 429, "200": 200, "599": 599, "403.0": 403, `"402"`: 402, "4.29e2": 429,
		"600": 429, "99": 429, "0": 429, "-1": 429, "403.5": 429, "1e300": 429, "1e999": 429, `"x"`: 429, `""`: 429, "true": 429, "{}": 429, "null": 429,
		"100": 429, "101": 429, "199": 429, // never the last answer to a request
	} {
		d, problem := blocked(t, `{"status":`+status+`,"body":"b"}`, nil)
		assert.Equal(t, want, d.Status, status)
		assert.Equal(t, "b", string(d.Body), status)
		if want == 429 && status != "429" && status != "4.29e2" && status != "null" {
			assert.Contains(t, problem, "response.status", status)
		}
	}
	for _, status := range []string{"204", "205", "304"} {
		d, _ := blocked(t, `{"status":`+status+`,"body":{"a":1}}`, nil)
		assert.Equal(t, status, fmt.Sprint(d.Status))
		assert.Empty(t, d.Body, "HTTP gives it none")
		assert.Empty(t, d.ContentType)
	}
	for _, response := range []string{"null", "{}", "[]", `"x"`, "7"} {
		d, _ := blocked(t, response, nil)
		assert.Equal(t, Decision{Blocked: true, RuleID: "r", Status: 429}, d, response)
	}
}

func TestBodyOfAnAnswer(t *testing.T) {
	t.Parallel()
	values := map[string]string{"0": "free", "1": `a"b\` + "\n<", "name": "{{0}}"}
	for _, c := range []struct{ body, want, contentType string }{
		{`{"error":"quota"}`, `{"error":"quota"}`, jsonContentType},
		{`{ "b" : 1.50, "a" : [ ] }`, `{"b":1.50,"a":[]}`, jsonContentType},
		{`["{{0}}"]`, `["free"]`, jsonContentType},
		{`{}`, `{}`, jsonContentType},
		{`{"m":"Plan {{0}} of {{0}}"}`, `{"m":"Plan free of free"}`, jsonContentType},
		{`{"deep":[{"er":["{{0}}"]}]}`, `{"deep":[{"er":["free"]}]}`, jsonContentType},
		{`{"v":"{{1}}"}`, `{"v":"a\"b\\\n<"}`, jsonContentType},
		{`{"v":"{{name}}"}`, `{"v":"{{0}}"}`, jsonContentType},
		{`{"v":"{{2}} {{x|y}} {{ 0 }}"}`, `{"v":"{{2}} {{x|y}} {{ 0 }}"}`, jsonContentType},
		{`{"{{0}}":"{{0}}"}`, `{"{{0}}":"free"}`, jsonContentType},
		{`{"v":"\u007b\u007b0}} \u00e9 \"q\""}`, "{\"v\":\"free é \\\"q\\\"\"}", jsonContentType},
		{`{"v":"\u00e9 {{9}}"}`, `{"v":"\u00e9 {{9}}"}`, jsonContentType},
		{`"Plan {{0}}"`, `Plan free`, ""},
		{`"raw {{1}}"`, "raw a\"b\\\n<", ""},
		{`"{\"v\": \"{{1}}\"}"`, `{"v": "a\"b\\\n<"}`, ""},
		{`"{not json {{1}}"`, "{not json a\"b\\\n<", ""},
		{`7`, `7`, ""},
		{`true`, `true`, ""},
		{`null`, ``, ""},
		{`""`, ``, ""},
	} {
		d, problem := blocked(t, `{"body":`+c.body+`}`, values)
		assert.Equal(t, c.want, string(d.Body), c.body)
		assert.Equal(t, c.contentType, d.ContentType, c.body)
		assert.Empty(t, problem)
	}
	d, _ := blocked(t, `{"body":{"a":"{{0}} {{1|none}} {{name|}}|{{0|\"}}"}}`, nil)
	assert.JSONEq(t, `{"a":"UNKNOWN none |\""}`, string(d.Body), "declared, without a value")
}

func TestHeadersOfAnAnswer(t *testing.T) {
	t.Parallel()
	values := map[string]string{"0": "1000", "1": "a\r\nSet-Cookie: x=1\x00\x7f\tb\u0085"}
	d, problem := blocked(t, `{"headers":{"X-Quota":"{{0}}","X-Number":12.50,"X-Bool":true,"X-Evil":"{{1}}","X-Blank":" {{9}} ","X-Quota ":"a","":"b","X:Y":"c",
		"X\r\nY":"d","é":"e","x-quota":"second","X-List":["f"],"X-Null":null,"Content-Length":"5","transfer-encoding":"chunked","Connection":"close"}}`, values)
	assert.Equal(t, []Header{{"X-Quota", "1000"}, {"X-Number", "12.50"}, {"X-Bool", "true"}, {"X-Evil", "aSet-Cookie: x=1b"}, {"X-Blank", "{{9}}"}}, d.Headers)
	assert.Contains(t, problem, "rule 1: a header's name is invalid; it is left out")
	assert.Contains(t, problem, "(and 9 more)")

	for contentType, want := range map[string]string{
		`"Content-Type":"text/plain"`:                  "text/plain",
		`"content-type":"application/problem+json"`:    "application/problem+json",
		`"Content-Type":"text/{{0}}\r\n"`:              "text/1000",
		`"Content-Type":"\r\n"`:                        jsonContentType,
		`"Content-Type":"` + strings.Repeat("a", 9000): jsonContentType,
	} {
		if !strings.HasSuffix(contentType, `"`) {
			contentType += `"`
		}
		d, _ := blocked(t, `{"headers":{`+contentType+`},"body":{}}`, values)
		assert.Equal(t, want, d.ContentType, contentType)
		assert.Empty(t, d.Headers, "it is not among the others")
	}
	d, problem = blocked(t, `{"headers":"x"}`, nil)
	assert.Empty(t, d.Headers)
	assert.Contains(t, problem, "response.headers are not an object")
}

// A template that repeats a large value does not use up memory.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	values := map[string]string{"0": strings.Repeat("v", 100_000)}
	d, _ := blocked(t, `{"headers":{"X":"{{0}}","Y":"y"},"body":{"a":"`+strings.Repeat("{{0}}", 100_000)+`"}}`, values)
	assert.Empty(t, d.Body)
	assert.Empty(t, d.ContentType)
	assert.Equal(t, []Header{{"Y", "y"}}, d.Headers)
	d, _ = blocked(t, `{"body":{"a":"{{0}}"}}`, values)
	assert.Len(t, d.Body, 100_008)

	var headers strings.Builder
	for i := range 500 {
		fmt.Fprintf(&headers, `,"X-%d":"1"`, i)
	}
	d, _ = blocked(t, `{"headers":{`+headers.String()[1:]+`}}`, nil)
	assert.Len(t, d.Headers, maxHeaders)
}

// A user's own values come before the company's, for each variable.
func TestValuesOfUserAndCompany(t *testing.T) {
	t.Parallel()
	s := snapshot(t, `{"user_rules":{"u":[{"rules":"other","values":{"2":"wrong"}},{"rules":"r","values":{"0":"of the user"}},{"rules":"r","values":{"0":"second","3":"later"}}]},
		"company_rules":{"c":[{"rules":"r","values":{"0":"of the company","1":7,"2":null,"4":[]}}]}}`,
		`[{"_id":"r","type":"regex","block":true,"variables":[{"name":"0"},{"name":"1"},{"name":"2"},{"name":"3"},{"name":"4"}],"response":{"body":"{{0}}, {{1}}, {{2}}, {{3}}, {{4}}"}}]`)
	for want, r := range map[string]Request{
		"of the user, 7, UNKNOWN, later, UNKNOWN":       {User: "u", Company: "c"},
		"of the user, UNKNOWN, UNKNOWN, later, UNKNOWN": {User: "u"},
		"of the company, 7, UNKNOWN, UNKNOWN, UNKNOWN":  {Company: "c"},
		"UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN":   {},
	} {
		assert.Equal(t, want, string(s.Govern(&r).Body))
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{"0": true, "a b": true, "1 ": true}
	values := func(name string) (string, bool) {
		v, ok := map[string]string{"0": "V", "a b": "{{0}}"}[name]
		return v, ok
	}
	for text, want := range map[string]string{
		"": "", "plain": "plain", "{{0}}": "V", "{{0}}{{0}}": "VV", "x{{0}}y": "xVy",
		"{{0": "{{0", "0}}": "0}}", "{{}}": "{{}}", "{{1}}": "{{1}}", "{{{0}}}": "{V}", "{{{{0}}}}": "{{V}}",
		"{{1 {{0}}": "{{1 V", "{{a b}}": "{{0}}", "{{0|d}}": "V", "{{1 |d}}": "d", "{{1 |}}": "", "{{1 |a|b}}": "a|b", "{{1 }}": "UNKNOWN", "{{1|d}}": "{{1|d}}", "}}{{0}}{{": "}}V{{",
	} {
		got, ok := parseTemplate(text, declared).appendTo(nil, values, false, 1000)
		assert.True(t, ok)
		assert.Equal(t, want, string(got), text)
	}
}

// Placeholders that never end take no longer than the text.
func TestTemplatesAreLinear(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("{", 4<<20), strings.Repeat("{{0", 1<<20), strings.Repeat("{{0", 1<<19) + "}}", strings.Repeat("}", 4<<20)} {
		got, ok := parseTemplate(text, map[string]bool{"0": true}).appendTo(nil, func(string) (string, bool) { return "0", true }, false, 8<<20)
		assert.True(t, ok)
		assert.NotEmpty(t, got)
	}
}
