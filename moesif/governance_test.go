package moesif

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// What a collector says of two users and a company, and the rules for them.
const (
	cohorts = `{"sample_rate":100,
		"user_rules":{"over":[{"rules":"quota","values":{"0":"free \"plan\"","1":"1000"}}],"paid":[{"rules":"paid"}]},
		"company_rules":{"c-over":[{"rules":"company-quota"}]}}`
	ruleList = `[
		{"_id":"quota","type":"user","block":true,"applied_to":"matching","variables":[{"name":"0","path":"body.plan"},{"name":"1","path":"body.n"}],
			"regex_config":[{"conditions":[{"path":"request.verb","value":"POST"},{"path":"request.route","value":"^/v2/"}]}],
			"response":{"status":429,"headers":{"X-Quota":"{{1}}"},"body":{"error":"Plan {{0}} allows {{1}} calls"}}},
		{"_id":"company-quota","type":"company","block":true,"response":{"status":402,"body":"pay"}},
		{"_id":"paid","type":"user","block":true,"applied_to":"not_matching",
			"regex_config":[{"conditions":[{"path":"request.route","value":"^/paid"}]}],"response":{"status":403,"body":{"error":"paid only"}}},
		{"_id":"hint","type":"regex","block":false,"response":{"headers":{"X-Hint":"upgrade"}}},
		{"_id":"graphql","type":"regex","block":true,"regex_config":[{"conditions":[{"path":"request.body.operationName","value":"^Expensive$"}]}],
			"response":{"status":429,"body":{"errors":[]}}}]`
)

// knownRules sends requests until the plugin has its rules: until one is answered with the status.
func (g testGateway) knownRules(t *testing.T, status int, method, path, body string, headers ...string) (r *kongdevtest.Response) {
	t.Helper()
	require.Eventually(t, func() bool {
		r = g.send(method, path, body, headers...)
		return r.Status == status
	}, time.Minute, 10*time.Millisecond)
	return r
}

// D23, D24, D25: who is over quota is answered in the place of the upstream, and the event says by which rule.
func TestGovernanceD23D24D25(t *testing.T) {
	for name, program := range programs() {
		for mode, flags := range map[string][]string{"full": nil, "access,log": {"-phases", "access,log"}} {
			if name == "go-pdk" && mode != "full" {
				continue // it has no such flag
			}
			t.Run(name+" "+mode, func(t *testing.T) {
				g := startGateway(t, program, flags, "user_id_header: x-user", "company_id_header: x-company")
				g.Collector.SetConfig(cohorts, "c-2")
				g.Collector.SetRules(ruleList, "r-2")
				over := []string{"X-User", "over", "Content-Type", "application/json"}
				blocked := g.knownRules(t, 429, "POST", "/v2/first", `{"q":1}`, over...)
				assert.JSONEq(t, `{"error":"Plan free \"plan\" allows 1000 calls"}`, blocked.Body)
				assert.Equal(t, "1000", blocked.Header.Get("X-Quota"))
				assert.Equal(t, "upgrade", blocked.Header.Get("X-Hint"), "rules that do not block add their headers")
				assert.Equal(t, "application/json; charset=utf-8", blocked.Header.Get("Content-Type"))
				assert.Len(t, blocked.Header.Get("X-Moesif-Transaction-Id"), 36)

				for _, c := range []struct {
					method, path, body, user, company string
					status                            int
					rule                              string
				}{
					{"POST", "/v2/a", `{"q":1}`, "over", "", 429, "quota"},
					{"GET", "/v2/b", "", "over", "", 200, ""},
					{"POST", "/v1/c", `{}`, "over", "", 200, ""},
					{"POST", "/v2/d", `{}`, "other", "", 200, ""},
					{"POST", "/v2/e", `{}`, "", "", 200, ""},
					{"GET", "/f", "", "", "c-over", 402, "company-quota"},
					{"POST", "/v2/g", "{}", "over", "c-over", 429, "quota"},
					{"GET", "/paid/h", "", "other", "", 403, "paid"},
					{"GET", "/paid/i", "", "paid", "", 200, ""},
					{"POST", "/j", `{"operationName":"Expensive","query":"{a}"}`, "", "", 429, "graphql"},
					{"POST", "/k", `{"operationName":"Cheap","query":"{a}"}`, "", "", 200, ""},
				} {
					r := g.send(c.method, c.path, c.body, "X-User", c.user, "X-Company", c.company, "Content-Type", "application/json; charset=utf-8")
					assert.Equal(t, c.status, r.Status, c.path)
				}
				e := g.eventsOf(t, "/v2/a", "/v2/b", "/v1/c", "/v2/d", "/v2/e", "/f", "/v2/g", "/paid/h", "/paid/i", "/j", "/k")
				for path, rule := range map[string]string{"/v2/a": "quota", "/v2/b": "", "/f": "company-quota", "/paid/h": "paid", "/j": "graphql", "/k": ""} {
					assert.Equal(t, rule, e[path].BlockedBy, path)
					assert.Equal(t, 1, e[path].Weight)
				}
				assert.JSONEq(t, `{"q":1}`, string(e["/v2/a"].Request.Body), "the body of a blocked request is in its event")
				assert.JSONEq(t, `{"error":"Plan free \"plan\" allows 1000 calls"}`, string(e["/v2/a"].Response.Body))
				assert.Equal(t, "over", e["/v2/a"].UserID)
				assert.Equal(t, 429, e["/v2/a"].Response.Status)
				assert.JSONEq(t, `{"operationName":"Cheap","query":"{a}"}`, string(e["/k"].Request.Body), "read once, for the rules and the event")
				for _, r := range g.Upstream.Requests() {
					assert.NotContains(t, []string{"/v2/a", "/f", "/v2/g", "/paid/h", "/j"}, r.URI, "never reaches the upstream")
				}
				assert.Zero(t, g.Stats().LostLogEvents)
			})
		}
	}
}

// Rules without a block only speak when they are asked to.
func TestRuleHeadersD23(t *testing.T) {
	for config, want := range map[string]string{"rule_headers: true": "upgrade", "rule_headers: false": ""} {
		g := startGateway(t, builtPlugin, nil, config)
		g.Collector.SetRules(strings.Replace(ruleList, `"block":true,"regex_config":[{"conditions":[{"path":"request.body`, `"block":false,"regex_config":[{"conditions":[{"path":"request.body`, 1), "r-2")
		g.Collector.SetConfig(cohorts, "c-2")
		g.knownRules(t, 403, "GET", "/paid", "", "as", "ann")
		r := g.send("GET", "/hello", "")
		assert.Equal(t, 200, r.Status)
		assert.Equal(t, want, r.Header.Get("X-Hint"), config)
	}
}

// With governance_fail_open off nothing passes until the rules are known; then everything does that they allow.
func TestFailClosed(t *testing.T) {
	c := configOf(t, newTestCapture(t), `{"application_id":"a","api_endpoint":"http://127.0.0.1:1","governance_fail_open":false}`)
	k := newFakeKong(t)
	k.run("access", c.Access)
	delayed, ok := k.context["delayed_response"].(map[string]any)
	require.True(t, ok, "%v", k.calls)
	assert.Equal(t, 503.0, delayed["status_code"])

	g := startGateway(t, builtPlugin, nil, "governance_fail_open: false")
	g.knownRules(t, 200, "GET", "/hello", "")

	g = startGateway(t, builtPlugin, nil, "governance_fail_open: false", "api_endpoint: http://127.0.0.1:1")
	for range 3 {
		r := g.send("GET", "/hello", "")
		assert.Equal(t, 503, r.Status)
		assert.True(t, json.Valid([]byte(r.Body)), r.Body)
		assert.Equal(t, "5", r.Header.Get("Retry-After"))
	}
	assert.Empty(t, g.Upstream.Requests())
}

// A dry run asks no collector, so there is nothing to wait for.
func TestFailClosedDryRun(t *testing.T) {
	c := configOf(t, newTestCapture(t), fmt.Sprintf(`{"application_id":"a","api_endpoint":"file://%s/events","governance_fail_open":false}`, t.TempDir()))
	k := newFakeKong(t)
	k.run("access", c.Access)
	assert.NotContains(t, k.context, "delayed_response")
	require.NoError(t, c.capture.Close(t.Context()))
}

// What access asks of Kong grows with what the rules look at, and only with that.
func TestAccessAsksWhatRulesNeed(t *testing.T) {
	rule := func(kind, path string) string {
		return fmt.Sprintf(`[{"_id":"r","type":%q,"block":true,"regex_config":[{"conditions":[{"path":%q,"value":"never"}]}],"response":{"status":429}}]`, kind, path)
	}
	const method, id = "access nginx.get_var request_method", "access nginx.get_var kong_request_id"
	for _, c := range []struct {
		name, rules, remote string
		want                []string
	}{
		{"nothing loaded", `[]`, `{}`, nil},
		{"verb", rule("regex", "request.verb"), `{}`, []string{method}},
		{"route", rule("regex", "request.route"), `{}`, []string{"access request.get_path"}},
		{"address", rule("regex", "request.ip_address"), `{}`, []string{"access request.get_headers", "access client.get_ip"}},
		{"user", rule("user", "request.verb"), `{}`, []string{method, "access request.get_headers", "access client.get_consumer"}},
		{"GraphQL", rule("regex", "request.body.query"), `{}`, []string{"access nginx.get_var http_content_type", "access request.get_raw_body",
			"access nginx.get_var http_content_encoding", id}},
		{"a user's rate", `[]`, `{"user_sample_rate":{"ann":10}}`, []string{id, "access request.get_headers", "access client.get_consumer"}},
		{"the application's rate", `[]`, `{"sample_rate":99}`, []string{id}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, _ := governed(t, `,"disable_transaction_id":true`, c.remote, c.rules, "-buffer", "always")
			k := newFakeKong(t)
			k.vars["http_content_type"] = "application/json"
			k.run("access", config.Access)
			assert.Equal(t, c.want, k.calls)
		})
	}
}

// A client cannot escape its quota by calling itself anonymous.
func TestForgedAnonymousConsumerD14(t *testing.T) {
	for name, c := range map[string]struct {
		credential map[string]any
		blocked    bool
	}{"authenticated": {map[string]any{"id": "c"}, true}, "anonymous": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			config, _ := governed(t, "", cohorts, ruleList)
			k := newFakeKong(t)
			k.path = "/v2/orders"
			k.consumer = &kong_plugin_protocol.Consumer{Id: "i", CustomId: "over"}
			k.credential = c.credential
			k.headers = map[string]any{"x-anonymous-consumer": "true"}
			k.run("access", config.Access)
			assert.Equal(t, c.blocked, k.exit != nil)
		})
	}
}

// Nor by sending more headers than Kong hands out.
func TestManyHeadersHideNobody(t *testing.T) {
	config, _ := governed(t, `,"user_id_header":"x-user"`, cohorts, ruleList)
	k := newFakeKong(t)
	k.path = "/v2/orders"
	k.headers = map[string]any{}
	for i := range maxHeaders {
		k.headers[fmt.Sprintf("x-%d", i)] = "x"
	}
	k.vars["http_x_user"] = "over"
	k.run("access", config.Access)
	assert.NotNil(t, k.exit)
}

// A request that another process has blocked is known by what it carries.
func TestBlockedByAnotherProcessD28(t *testing.T) {
	config, events := governed(t, `,"user_id_header":"x-user"`, cohorts, ruleList)
	k := newFakeKong(t)
	k.path = "/v2/orders"
	k.headers = map[string]any{"x-user": "over"}
	k.run("access", config.Access)
	require.NotNil(t, k.exit)
	assert.EqualValues(t, 429, k.exit.Status)

	other, otherEvents := governed(t, `,"user_id_header":"x-user"`, cohorts, ruleList)
	for _, c := range []*Config{config, other} {
		k.shared = map[string]any{blockedKey(c.settings()): "quota"}
		k.log = `{"request":{"id":"req-1","url":"http://h:80/v2/orders","headers":{"x-user":"over"}},"response":{"status":429,"headers":{}},"source":"kong"}`
		k.run("log", c.Log)
	}
	for _, e := range []eventJSON{events(1)[0], otherEvents(1)[0]} {
		assert.Equal(t, "quota", e.BlockedBy)
		assert.Equal(t, "over", e.UserID)
	}
	assert.Equal(t, []string{"log log.serialize", "log log.serialize", "log ctx.shared.get"}, k.calls[len(k.calls)-3:], "asked only where it is not known")
}

// A request that another plugin has answered before access could run is an event like any other.
func TestShortCircuitedD28(t *testing.T) {
	config, events := governed(t, `,"api_version":"7"`, cohorts, ruleList)
	k := newFakeKong(t)
	k.log = `{"request":{"id":"r","url":"http://h:80/","headers":{}},"response":{"status":429,"headers":{}},"source":"kong","consumer":{"id":"i","username":"ann"}}`
	k.run("log", config.Log)
	e := events(1)[0]
	assert.Equal(t, "ann", e.UserID)
	assert.Equal(t, "7", e.Request.APIVersion)
	assert.Empty(t, e.BlockedBy)
	assert.Len(t, e.TransactionID, 36)
}

// A rule's answer is bounded by what Kong takes.
func TestOddAnswersD24(t *testing.T) {
	for _, c := range []struct {
		response    string
		status      int32
		contentType string
	}{
		{`{"status":1000,"headers":{"bad name":"x","X-Ok":"a\r\nSet-Cookie: b"},"body":{"a":1}}`, 429, "application/json; charset=utf-8"},
		{`{"status":402,"headers":{"Content-Type":"text/plain"},"body":"pay"}`, 402, "text/plain"},
		{`{}`, 429, ""},
	} {
		config, _ := governed(t, "", "{}", `[{"_id":"r","type":"regex","block":true,"response":`+c.response+`}]`)
		k := newFakeKong(t)
		k.run("access", config.Access)
		require.NotNil(t, k.exit)
		assert.Equal(t, c.status, k.exit.Status)
		headers := map[string]string{}
		for name, v := range k.exit.Headers.GetFields() {
			headers[name] = v.GetListValue().GetValues()[0].GetStringValue()
			assert.False(t, strings.ContainsAny(headers[name], "\r\n"))
		}
		assert.Equal(t, c.contentType, headers["Content-Type"])
		assert.NotContains(t, headers, "bad name")
	}
}
