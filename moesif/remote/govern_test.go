package remote

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// snapshot is what these two documents say; "" is one that was never fetched.
func snapshot(t testing.TB, configDocument, rulesDocument string) *Snapshot {
	t.Helper()
	var c *config
	var r *rules
	var err error
	if configDocument != "" {
		c, _, err = parseConfig([]byte(configDocument))
		require.NoError(t, err)
	}
	if rulesDocument != "" {
		r, _, err = parseRules([]byte(rulesDocument))
		require.NoError(t, err)
	}
	return newSnapshot(c, r)
}

const (
	exampleConfig = `{ "org_id": "1:2", "app_id": "3:4", "sample_rate": 80, "block_bot_traffic": false,
		"user_sample_rate": { "u-42": 10 }, "company_sample_rate": { "c-7": 50 },
		"user_rules":    { "u-42": [ { "rules": "rule-a", "values": { "0": "free", "1": "1000" } } ] },
		"company_rules": { "c-7":  [ { "rules": "rule-b" } ] },
		"regex_config": [ { "conditions": [ { "path": "request.route", "value": "^/ping" } ], "sample_rate": 5 } ],
		"ip_addresses_blocked_by_name": {}, "billing_config_jsons": {} }`
	exampleRules = `[ { "_id": "rule-a", "name": "Free plan exceeded", "type": "user", "block": true,
		"applied_to": "matching", "applied_to_unidentified": false,
		"regex_config": [ { "conditions": [ { "path": "request.verb", "value": "POST" },
		                                    { "path": "request.route", "value": "^/v2/orders" } ] } ],
		"variables": [ { "name": "0", "path": "body.plan_name" }, { "name": "1", "path": "body.quota" } ],
		"response": { "status": 429, "headers": { "X-Quota": "{{1}}" },
		              "body": { "error": "quota", "message": "Plan {{0}} allows {{1}} calls" } },
		"org_id": "1:2", "app_id": "3:4", "created_at": "2026-01-01T00:00:00.000" } ]`
)

func TestGovernAnswersTheExample(t *testing.T) {
	t.Parallel()
	s := snapshot(t, exampleConfig, exampleRules)
	want := Decision{Blocked: true, RuleID: "rule-a", Headers: []Header{{"X-Quota", "1000"}}, Status: 429,
		ContentType: "application/json; charset=utf-8", Body: []byte(`{"error":"quota","message":"Plan free allows 1000 calls"}`)}
	assert.Equal(t, want, s.Govern(&Request{User: "u-42", Verb: "POST", Route: "/v2/orders/1"}))
	for name, r := range map[string]Request{
		"another verb":     {User: "u-42", Verb: "GET", Route: "/v2/orders/1"},
		"another route":    {User: "u-42", Verb: "POST", Route: "/v3/orders/1"},
		"another user":     {User: "u-43", Verb: "POST", Route: "/v2/orders/1"},
		"nobody":           {Verb: "POST", Route: "/v2/orders/1"},
		"a company's name": {Company: "u-42", Verb: "POST", Route: "/v2/orders/1"},
	} {
		assert.Equal(t, Decision{}, s.Govern(&r), name)
	}
}

// Who is hit: regex AND (id known ? in cohort == (applied_to is matching) : applied_to_unidentified).
func TestGovernHits(t *testing.T) {
	t.Parallel()
	const in, out, nobody = "in", "out", ""
	for _, c := range []struct {
		rule string
		hit  map[string]bool
	}{
		{`"type":"user"`, map[string]bool{in: true, out: false, nobody: false}},
		{`"type":"user","applied_to":"matching"`, map[string]bool{in: true, out: false, nobody: false}},
		{`"type":"user","applied_to":null`, map[string]bool{in: true, out: false, nobody: false}},
		{`"type":"user","applied_to":"not_matching"`, map[string]bool{in: false, out: true, nobody: false}},
		{`"type":"user","applied_to":"matching","applied_to_unidentified":true`, map[string]bool{in: true, out: false, nobody: true}},
		{`"type":"user","applied_to":"not_matching","applied_to_unidentified":true`, map[string]bool{in: false, out: true, nobody: true}},
		{`"type":"company"`, map[string]bool{in: true, out: false, nobody: false}},
		{`"type":"company","applied_to":"not_matching"`, map[string]bool{in: false, out: true, nobody: false}},
		{`"type":"company","applied_to":"not_matching","applied_to_unidentified":true`, map[string]bool{in: false, out: true, nobody: true}},
		{`"type":"regex"`, map[string]bool{in: true, out: true, nobody: true}},
		{`"type":"regex","applied_to":"not_matching"`, map[string]bool{in: true, out: true, nobody: true}},
		{`"type":"regex","regex_config":[{"conditions":[{"path":"request.verb","value":"PUT"}]}]`, map[string]bool{in: false, out: false, nobody: false}},
		{`"type":"user","applied_to_unidentified":true,"regex_config":[{"conditions":[{"path":"request.verb","value":"PUT"}]}]`, map[string]bool{in: false, out: false, nobody: false}},
		{`"type":"tag"`, map[string]bool{in: false, out: false, nobody: false}},
		{`"type":"User"`, map[string]bool{in: false, out: false, nobody: false}},
	} {
		s := snapshot(t, `{"user_rules":{"in":[{"rules":"r"}],"out":[{"rules":"other"}]},"company_rules":{"in":[{"rules":"r"}],"out":[]}}`,
			`[{"_id":"r","block":true,`+c.rule+`}]`)
		for name, want := range c.hit {
			d := s.Govern(&Request{User: name, Company: name, Verb: "GET"})
			assert.Equal(t, want, d.Blocked, "%s: %q", c.rule, name)
		}
	}
}

// rulesOf makes a document of rules that block with their id in the body and in a header of their own.
func rulesOf(kinds ...string) string {
	all := ""
	for i, kind := range kinds {
		all += fmt.Sprintf(`,{"_id":"%d","type":%q,"block":true,"applied_to_unidentified":true,
			"response":{"status":%d,"headers":{"X-First":"%d","X-%d":"yes"},"body":"%d"}}`, i, kind, 400+i, i, i, i)
	}
	return "[" + all[1:] + "]"
}

// Order: users', companies', the others'; inside a group the document's. First block wins, first header wins.
func TestGovernOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kinds []string
		want  string // id of the rule that blocks
		order []string
	}{
		{[]string{"regex", "company", "user"}, "2", []string{"2", "1", "0"}},
		{[]string{"regex", "user", "company", "user"}, "1", []string{"1", "3", "2", "0"}},
		{[]string{"regex", "company", "regex"}, "1", []string{"1", "0", "2"}},
		{[]string{"regex", "regex"}, "0", []string{"0", "1"}},
	} {
		d := snapshot(t, "{}", rulesOf(c.kinds...)).Govern(&Request{})
		assert.Equal(t, c.want, d.RuleID, c.kinds)
		assert.Equal(t, c.want, string(d.Body))
		assert.Equal(t, "4"+"0"+c.want, fmt.Sprint(d.Status))
		want := []Header{{"X-First", c.order[0]}}
		for _, id := range c.order {
			want = append(want, Header{"X-" + id, "yes"})
		}
		assert.Equal(t, want, d.Headers, c.kinds)
	}
}

func TestHeadersOfRulesThatDoNotBlock(t *testing.T) {
	t.Parallel()
	const hint = `{"_id":"hint","type":"user","block":false,"response":{"status":402,"headers":{"X-Hint":"{{0}}","Content-Type":"text/hint"},"body":"no"},"variables":[{"name":"0"}]}`
	const wall = `{"_id":"wall","type":"regex","block":true,"regex_config":[{"conditions":[{"path":"request.verb","value":"^POST$"}]}],
		"response":{"status":403,"headers":{"x-hint":"second","X-Wall":"1"},"body":{}}}`
	s := snapshot(t, `{"user_rules":{"u":[{"rules":"hint","values":{"0":"soon"}}]}}`, "["+wall+","+hint+"]")

	assert.Equal(t, Decision{Headers: []Header{{"X-Hint", "soon"}}}, s.Govern(&Request{User: "u", Verb: "GET"}), "for a response that passes")
	assert.Equal(t, Decision{Blocked: true, RuleID: "wall", Status: 403, ContentType: jsonContentType, Body: []byte("{}"),
		Headers: []Header{{"X-Hint", "soon"}, {"X-Wall", "1"}}}, s.Govern(&Request{User: "u", Verb: "POST"}), "first writer of a name wins, in any case")
}

// What the Lua plugin got wrong, one by one.
func TestDefectsOfTheLuaPlugin(t *testing.T) {
	t.Parallel()
	graphQL := `[{"_id":"g","type":"regex","block":true,"regex_config":[{"conditions":[{"path":"request.body.operationName","value":"^Export$"}]}]}]`

	t.Run("company rules are enforced", func(t *testing.T) {
		t.Parallel()
		s := snapshot(t, `{"company_rules":{"c":[{"rules":"r"}]}}`, `[{"_id":"r","type":"company","block":true}]`)
		assert.True(t, s.Govern(&Request{User: "u", Company: "c"}).Blocked)
		assert.False(t, s.Govern(&Request{User: "u", Company: "d"}).Blocked)
	})
	t.Run("a body that is no JSON object is no error", func(t *testing.T) {
		t.Parallel()
		s := snapshot(t, "{}", graphQL)
		for _, body := range []string{"", "{", "1", "null", "[]", "[1]", `"Export"`, `{"operationName":null}`, `{"operationName":{"a":1}}`, "\xff"} {
			assert.False(t, s.Govern(&Request{ContentType: "application/json", Body: []byte(body)}).Blocked, body)
		}
	})
	t.Run("a rule without conditions is unconditional", func(t *testing.T) {
		t.Parallel()
		for _, member := range []string{"", `,"regex_config":null`, `,"regex_config":[]`, `,"regex_config":[{}]`, `,"regex_config":[{"conditions":[]}]`} {
			s := snapshot(t, "{}", `[{"_id":"r","type":"regex","block":true`+member+`}]`)
			assert.True(t, s.Govern(&Request{}).Blocked, member)
		}
	})
	t.Run("parameters of the media type do not matter", func(t *testing.T) {
		t.Parallel()
		s := snapshot(t, "{}", graphQL)
		for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON ;charset=x", "application/vnd.api+json",
			"application/json, application/json", "text/plain;a=b, application/json;c=d"} {
			assert.True(t, s.Govern(&Request{ContentType: contentType, Body: []byte(`{"operationName":"Export"}`)}).Blocked, contentType)
		}
		for _, contentType := range []string{"", "text/plain", "application/jsonx", "application/graphql"} {
			assert.False(t, s.Govern(&Request{ContentType: contentType, Body: []byte(`{"operationName":"Export"}`)}).Blocked, contentType)
		}
	})
	t.Run("an error document wipes nothing", func(t *testing.T) {
		t.Parallel()
		_, _, err := parseConfig([]byte(`{"error":"internal"}`))
		require.ErrorIs(t, err, errNotConfig)
		_, _, err = parseRules([]byte(`{"error":"internal"}`))
		require.ErrorIs(t, err, errNotRules)
	})
	t.Run("rules see bodies that were not captured", func(t *testing.T) {
		t.Parallel()
		assert.True(t, snapshot(t, "{}", graphQL).Needs().Body, "so that the caller reads them for the rule")
	})
	t.Run("values of one request do not reach another", func(t *testing.T) {
		t.Parallel()
		s := snapshot(t, `{"user_rules":{"u":[{"rules":"r"}]},"company_rules":{"c":[{"rules":"r","values":{"0":"secret"}}]}}`,
			`[{"_id":"r","type":"user","block":true,"variables":[{"name":"0"}],"response":{"body":"{{0}}","headers":{"X":"{{0}}"}}}]`)
		first := s.Govern(&Request{User: "u", Company: "c"})
		assert.Equal(t, "secret", string(first.Body))
		copy(first.Body, "xxxxxx")
		first.Headers[0].Value = "x"
		assert.Equal(t, "UNKNOWN", string(s.Govern(&Request{User: "u"}).Body))
		again := s.Govern(&Request{User: "u", Company: "c"})
		assert.Equal(t, "secret", string(again.Body))
		assert.Equal(t, "secret", again.Headers[0].Value)
	})
	t.Run("|, \\d and counts are regular expressions", func(t *testing.T) {
		t.Parallel()
		for _, expression := range []string{`GET|POST`, `G\\w{2}`, `^(?i)get$`, `E+?T`} {
			s := snapshot(t, "{}", `[{"_id":"r","type":"regex","block":true,"regex_config":[{"conditions":[{"path":"request.verb","value":"`+expression+`"}]}]}]`)
			assert.True(t, s.Govern(&Request{Verb: "GET"}).Blocked, expression)
		}
	})
}

// What decides whether somebody is blocked is never guessed.
func TestGovernWithoutCohorts(t *testing.T) {
	t.Parallel()
	const allowList = `[{"_id":"r","type":"user","block":true,"applied_to":"not_matching"},{"_id":"x","type":"company","block":true,"applied_to":"not_matching"}]`
	assert.Equal(t, Decision{}, snapshot(t, "", allowList).Govern(&Request{User: "u", Company: "c"}), "the configuration was never fetched")
	assert.Equal(t, Decision{}, snapshot(t, exampleConfig, "").Govern(&Request{User: "u"}), "the rules were never fetched")
	assert.Equal(t, Decision{}, (&Snapshot{}).Govern(&Request{User: "u"}))

	s := snapshot(t, `{"user_rules":{"broken":"x","half":[{"rules":["r"]},{"rules":"q"}],"in":[{"rules":"r"}],"null":null,"empty":[],"lua":{}}}`, allowList)
	for name, blocked := range map[string]bool{"broken": false, "half": false, "in": false, "null": true, "empty": true, "lua": true, "absent": true, "\xff": true, "\ufffd": true} {
		assert.Equal(t, blocked, s.Govern(&Request{User: name}).Blocked, "%q", name)
	}
	assert.True(t, snapshot(t, "", `[{"_id":"r","type":"user","block":true,"applied_to_unidentified":true}]`).Govern(&Request{}).Blocked, "needs no cohort")
	assert.True(t, snapshot(t, "", `[{"_id":"r","type":"regex","block":true}]`).Govern(&Request{User: "u"}).Blocked, "needs no cohort")
}

// What every Moesif plugin does with rules, whatever it is written in.
func TestConformance(t *testing.T) {
	t.Parallel()
	const all = `[{"_id":"regex","type":"regex","block":true,"regex_config":[{"conditions":[{"path":"request.route","value":"^/admin"}]}],"response":{"status":403,"headers":{"X-By":"regex"}}},
		{"_id":"quota","type":"user","block":true,"response":{"status":429,"headers":{"X-By":"quota"}}},
		{"_id":"members","type":"user","block":true,"applied_to":"not_matching","regex_config":[{"conditions":[{"path":"request.route","value":"^/members"}]}]}]`
	s := snapshot(t, `{"user_rules":{"over":[{"rules":"quota"}],"member":[{"rules":"members"}],"other":[{"rules":"another"}]}}`, all)
	assert.Equal(t, [ruleTypes]int{userRule: 2, companyRule: 0, regexRule: 1}, s.rules.count, "rules are known by type")
	for _, c := range []struct {
		name string
		r    Request
		want string
	}{
		{"a regex rule, nobody identified", Request{Route: "/admin"}, "regex"},
		{"nobody identified, another route", Request{Route: "/"}, ""},
		{"a user in the cohort", Request{User: "over", Route: "/"}, "quota"},
		{"a user in another cohort, not_matching", Request{User: "other", Route: "/members"}, "members"},
		{"a user in the cohort, not_matching", Request{User: "member", Route: "/members"}, ""},
		{"two rules at once", Request{User: "over", Route: "/admin"}, "quota"},
	} {
		d := s.Govern(&c.r)
		assert.Equal(t, c.want != "", d.Blocked, c.name)
		assert.Equal(t, c.want, d.RuleID, c.name)
	}
	assert.Equal(t, []Header{{"X-By", "quota"}}, s.Govern(&Request{User: "over", Route: "/admin"}).Headers)
}

func TestKnown(t *testing.T) {
	t.Parallel()
	assert.False(t, (&Snapshot{}).Known())
	assert.False(t, snapshot(t, "{}", "").Known())
	assert.False(t, snapshot(t, "", "[]").Known())
	assert.True(t, snapshot(t, "{}", "[]").Known())
}

func TestReadsBody(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{"": false, "text/plain": false, "multipart/form-data; x=application/json": false, "application/xml": false,
		"application/json": true, "APPLICATION/GraphQL ; x": true, "a/b+json": true, ",application/json": true} {
		assert.Equal(t, want, ReadsBody(contentType), contentType)
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	when := func(path string) string {
		return `"regex_config":[{"conditions":[{"path":"` + path + `","value":"x"}],"sample_rate":1}]`
	}
	rule := func(members string) string { return `[{"_id":"r","type":"regex","block":true,` + members + `}]` }
	for _, c := range []struct {
		name, config, rules string
		want                Needs
		headers             []string
	}{
		{"nothing fetched", "", "", Needs{}, nil},
		{"nothing loaded", "{}", "[]", Needs{}, nil},
		{"a global rate", `{"sample_rate":5}`, "[]", Needs{}, nil},
		{"cohorts without rules", `{"user_rules":{"u":[{"rules":"r"}]}}`, "[]", Needs{}, nil},
		{"user rates", `{"user_sample_rate":{"u":5}}`, "[]", Needs{Identity: true}, nil},
		{"company rates", `{"company_sample_rate":{"u":5}}`, "[]", Needs{Identity: true}, nil},
		{"user rules", "{}", `[{"_id":"r","type":"user"}]`, Needs{Identity: true}, nil},
		{"company rules", "{}", `[{"_id":"r","type":"company"}]`, Needs{Identity: true}, nil},
		{"rule: always", "{}", rule(`"x":1`), Needs{}, nil},
		{"rule: verb", "{}", rule(when("request.verb")), Needs{Verb: true}, nil},
		{"rule: route", "{}", rule(when("request.route")), Needs{Route: true}, nil},
		{"rule: address", "{}", rule(when("request.ip_address")), Needs{IP: true}, nil},
		{"rule: address, short", "{}", rule(when("request.ip")), Needs{IP: true}, nil},
		{"rule: header", "{}", rule(when("request.headers.X-Plan")), Needs{Headers: true}, []string{"x-plan"}},
		{"rule: body", "{}", rule(when("request.body.query")), Needs{Body: true}, nil},
		{"rule: status", "{}", rule(when("response.status")), Needs{}, nil},
		{"rule: unknown path", "{}", rule(when("request.cookies")), Needs{}, nil},
		{"rate: verb", `{` + when("request.verb") + `}`, "[]", Needs{Verb: true}, nil},
		{"rate: body", `{` + when("request.body.query") + `}`, "[]", Needs{RateBody: true}, nil},
		{"rate: status", `{` + when("response.status") + `}`, "[]", Needs{}, nil},
		{"both", `{` + when("request.headers.b") + `}`, rule(when("request.headers.a")), Needs{Headers: true}, []string{"a", "b"}},
	} {
		s := snapshot(t, c.config, c.rules)
		assert.Equal(t, c.want, s.Needs(), c.name)
		assert.Equal(t, c.headers, s.HeaderNames(), c.name)
	}
}
