package remote

import (
	"encoding/json"
	"fmt"
	"regexp/syntax"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// matching compiles a regex_config for sampling.
func matching(t testing.TB, regexConfig string) (match, string) {
	t.Helper()
	p := &problems{}
	m := matchReader{problems: p, status: true}
	document, err := compact([]byte(regexConfig))
	require.NoError(t, err)
	return m.read(document, "rule 1"), p.String()
}

// conditionsOf makes a regex_config of one entry from pairs of path and value.
func conditionsOf(pairs ...string) string {
	var list []map[string]string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, map[string]string{"path": pairs[i], "value": pairs[i+1]})
	}
	b, _ := json.Marshal([]any{map[string]any{"conditions": list}})
	return string(b)
}

func TestConditions(t *testing.T) {
	t.Parallel()
	header := func(name string) string { return map[string]string{"x-plan": "free"}[name] }
	orders := Request{Verb: "POST", Route: "/v2/orders", IP: "203.0.113.7", Header: header, Status: 503}
	body := func(contentType, text string) Request { return Request{ContentType: contentType, Body: []byte(text)} }
	for _, c := range []struct {
		name    string
		request Request
		config  string
		want    bool
	}{
		{"verb", orders, conditionsOf("request.verb", "POST"), true},
		{"unanchored", orders, conditionsOf("request.route", "orders"), true},
		{"anchored", orders, conditionsOf("request.route", "^orders"), false},
		{"case counts", orders, conditionsOf("request.verb", "post"), false},
		{"address", orders, conditionsOf("request.ip_address", `^203\.0\.113\.`), true},
		{"address, the other name", orders, conditionsOf("request.ip", `\.7$`), true},
		{"header", orders, conditionsOf("request.headers.X-Plan", "^free$"), true},
		{"header that is not there", orders, conditionsOf("request.headers.X-Other", ".*"), false},
		{"no headers at all", Request{}, conditionsOf("request.headers.X-Plan", ".*"), false},
		{"status as text", orders, conditionsOf("response.status", "^5..$"), true},
		{"status not known", Request{}, conditionsOf("response.status", ".*"), false},
		{"status out of range", Request{Status: 42}, conditionsOf("response.status", ".*"), false},
		{"no value", Request{}, conditionsOf("request.verb", ".*"), false},
		{"empty expression on a value", orders, conditionsOf("request.verb", ""), true},
		{"unknown path", orders, conditionsOf("request.cookies", ".*"), false},
		{"path without a name", orders, conditionsOf("request.headers.", ".*"), false},

		{"AND", orders, conditionsOf("request.verb", "POST", "request.route", "^/v2"), true},
		{"AND, one fails", orders, conditionsOf("request.verb", "POST", "request.route", "^/v3"), false},
		{"two on one path", orders, conditionsOf("request.route", "^/v2", "request.route", "orders$"), true},
		{"two on one path, the first fails", orders, conditionsOf("request.route", "^/v3", "request.route", "orders$"), false},
		{"two on one path, the last fails", orders, conditionsOf("request.route", "^/v2", "request.route", "users$"), false},
		{"OR", orders, `[{"conditions":[{"path":"request.verb","value":"GET"}]},{"conditions":[{"path":"request.verb","value":"POST"}]}]`, true},
		{"OR, none", orders, `[{"conditions":[{"path":"request.verb","value":"GET"}]},{"conditions":[{"path":"request.verb","value":"PUT"}]}]`, false},

		{"GraphQL text", body("application/graphql", "query { a }"), conditionsOf("request.body.query", "query"), true},
		{"GraphQL text has no other member", body("application/graphql", "query { a }"), conditionsOf("request.body.operationName", "query"), false},
		{"GraphQL text, empty", body("application/graphql", ""), conditionsOf("request.body.query", ""), false},
		{"GraphQL in JSON", body("application/json", ` {"query":"{ a }"}`), conditionsOf("request.body.query", "a"), true},
		{"operation", body("application/json", `{"operationName":"Export"}`), conditionsOf("request.body.operationName", "^Export$"), true},
		{"escapes are undone", body("application/json", `{"query":"\u0061\n"}`), conditionsOf("request.body.query", "^a\n$"), true},
		{"byte order mark", body("application/json", "\xef\xbb\xbf{\"query\":\"a\"}"), conditionsOf("request.body.query", "a"), true},
		{"number keeps its digits", body("application/json", `{"n":12345678901234567890.0}`), conditionsOf("request.body.n", `^12345678901234567890\.0$`), true},
		{"boolean", body("application/json", `{"n":false}`), conditionsOf("request.body.n", `^false$`), true},
		{"null is no value", body("application/json", `{"n":null}`), conditionsOf("request.body.n", ``), false},
		{"object is no value", body("application/json", `{"n":{"a":1}}`), conditionsOf("request.body.n", ``), false},
		{"nested", body("application/json", `{"n":{"a":{"b":"x"}}}`), conditionsOf("request.body.n.a.b", `x`), true},
		{"a name with a dot first", body("application/json", `{"n.a":"y","n":{"a":"x"}}`), conditionsOf("request.body.n.a", `x`), false},
		{"of two the last", body("application/json", `{"query":"a","query":"b"}`), conditionsOf("request.body.query", `b`), true},
		{"not the first of two", body("application/json", `{"query":"a","query":"b"}`), conditionsOf("request.body.query", `a`), false},
		{"a batch hides nothing", body("application/json", `[1,{"query":"a"},{"query":"b"}]`), conditionsOf("request.body.query", `b`), true},
		{"a batch without it", body("application/json", `[{"query":"a"}]`), conditionsOf("request.body.query", `b`), false},
		{"another media type", body("text/plain", `{"query":"a"}`), conditionsOf("request.body.query", `a`), false},
		{"deeper than an event may be", body("application/json", `{"query":"a","x":`+strings.Repeat(`[`, 9000)+strings.Repeat("]", 9000)+`}`), conditionsOf("request.body.query", `a`), true},
		{"beside bytes that are not UTF-8", body("application/json", "{\"query\":\"a\",\"x\":\"\xff\"}"), conditionsOf("request.body.query", `a`), true},
		{"among bytes that are not UTF-8", body("application/json", "{\"query\":\"\xffa\xff\"}"), conditionsOf("request.body.query", `a`), true},
		{"too deep to be JSON", body("application/json", `{"a":1,"x":`+strings.Repeat(`[`, 10000)+strings.Repeat("]", 10000)+`}`), conditionsOf("request.body.a", ``), false},
	} {
		m, problem := matching(t, c.config)
		r := c.request
		want := no
		if c.want {
			want = yes
		}
		assert.Equal(t, want, m.holds(&r, false), c.name)
		if !strings.Contains(c.name, "path") || strings.Contains(c.name, "one path") {
			assert.Empty(t, problem, c.name)
		}
	}
}

// A body may come after the rest of a request.
func TestBodyThatComesLater(t *testing.T) {
	t.Parallel()
	m, _ := matching(t, conditionsOf("request.body.query", "a"))
	r := Request{ContentType: "application/json"}
	assert.Equal(t, no, m.holds(&r, false))
	assert.Equal(t, maybe, m.holds(&r, true))
	r.Body = []byte(`{"query":"a"}`)
	assert.Equal(t, yes, m.holds(&r, false))
	assert.Equal(t, yes, m.holds(&r, true))
}

// A rule that cannot be read does not apply to everybody.
func TestConditionsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	every := Request{Verb: "GET", Route: "/", IP: "::1", Status: 200}
	for name, c := range map[string]struct {
		config, problem string
		want            verdict
	}{
		"missing":                   {"null", "", yes},
		"empty":                     {"[]", "", yes},
		"entry without conditions":  {"[{}]", "", yes},
		"entry with empty ones":     {`[{"conditions":[]}]`, "", yes},
		"a text":                    {`"x"`, "regex_config is not an array", no},
		"an object":                 {`{"conditions":[]}`, "regex_config is not an array", no},
		"entry that is none":        {`[1]`, "an entry of regex_config is not an object", no},
		"conditions of a type":      {`[{"conditions":"x"}]`, "an entry of regex_config is not an object", no},
		"condition that is none":    {`[{"conditions":[7]}]`, "no path or no value", no},
		"without a path":            {`[{"conditions":[{"value":""}]}]`, "no path or no value", no},
		"without a value":           {`[{"conditions":[{"path":"request.verb"}]}]`, "no path or no value", no},
		"value of a type":           {`[{"conditions":[{"path":"request.verb","value":[""]}]}]`, "no path or no value", no},
		"a number as value":         {`[{"conditions":[{"path":"response.status","value":200}]}]`, "", yes},
		"invalid expression":        {conditionsOf("request.verb", "("), "invalid (RE2 syntax)", no},
		"look-ahead":                {conditionsOf("request.verb", "(?=G)"), "invalid (RE2 syntax)", no},
		"invalid beside a good one": {`[{"conditions":[{"path":"request.verb","value":"("}]},{"conditions":[{"path":"request.verb","value":"G"}]}]`, "invalid", yes},
		"long expression":           {conditionsOf("request.verb", strings.Repeat("a", 5000)), "too large", no},
		"large expression":          {conditionsOf("request.verb", "(a{1000}){1000}"), "invalid", no},
		"path of a type":            {`[{"conditions":[{"path":{},"value":"x"}]}]`, "no path or no value", no},
		"one of two is unreadable":  {`[{"conditions":[{"path":"request.verb","value":"GET"},{"path":7}]}]`, "no path or no value", no},
	} {
		m, problem := matching(t, c.config)
		r := every
		assert.Equal(t, c.want, m.holds(&r, false), name)
		if c.problem == "" {
			assert.Empty(t, problem, name)
		} else {
			assert.Contains(t, problem, c.problem, name)
		}
	}
}

// However many expressions a document has, memory for them ends.
func TestExpressionsAreBounded(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for i := range 400 {
		fmt.Fprintf(&all, `,{"conditions":[{"path":"request.verb","value":"%sx%d"}]}`, strings.Repeat("a{1000}", 3), i)
	}
	p := &problems{}
	m := matchReader{problems: p}
	m.read([]byte("["+all.String()[1:]+"]"), "rule 1")
	assert.Less(t, m.program, maxProgram+maxProgram/10)
	assert.Contains(t, p.String(), "too large")
	assert.Contains(t, p.String(), "more)")
}

// How large an expression is is known before it is compiled, and one that could keep a request waiting is not.
func TestLargeExpressions(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		"":    true,
		"^/a": true,
		`^/v\d+/(orders|users)/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`: true,
		"(?i)^(" + strings.Repeat(`[\pL\d_]*|`, 200) + "x)$":               true,
		strings.Repeat("x", maxExpression):                                 true,
		strings.Repeat("a?", maxExpression/2):                              true,
		"a{1000}":                                                          true,
		".{0,1000}z":                                                       true,
		strings.Repeat(".{0,1000}", 400):                                   false,
		"(a{0,100}){10,}":                                                  true,
		"((a|bc)(d|ef)*){900}":                                             false,
	} {
		parsed, err := syntax.Parse(expression, syntax.Perl)
		require.NoError(t, err)
		steps := instructions(parsed)
		assert.Equal(t, want, steps <= maxSteps, "%.40s has %d", expression, steps)
		program, err := syntax.Compile(parsed.Simplify())
		require.NoError(t, err)
		assert.LessOrEqual(t, min(len(program.Inst), maxProgram), 2*steps+3, "%.40s", expression)

		m := matchReader{problems: &problems{}}
		assert.Equal(t, want, m.compile(expression, "rule 1") != nil, "%.40s", expression)
		if !want {
			assert.Equal(t, "rule 1: a regular expression is too large; it never matches", m.problems.String())
		}
	}
}
