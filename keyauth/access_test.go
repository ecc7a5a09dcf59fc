package keyauth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/keyauth/key"
)

// An echo is what the upstream says that it got.
type echo struct {
	Method  string
	URI     string
	Headers map[string]any
	BodyLen int `json:"body_len"`
}

func echoOf(t testing.TB, r *kongdevtest.Response) (e echo) {
	t.Helper()
	require.Equal(t, 200, r.Status, r.Body)
	require.NoError(t, json.Unmarshal([]byte(r.Body), &e))
	return e
}

// TestFlights holds the request path to its budget: round trips to Kong, the event itself included.
func TestFlights(t *testing.T) {
	body := []string{"key_in_body: true"}
	hide := []string{"hide_credentials: true"}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for _, c := range []struct {
		name    string
		config  []string
		method  string
		target  string
		body    string
		headers []string
		status  int
		want    int
	}{
		{"header", nil, "GET", "/", "", []string{"apikey", bobsKey}, 200, 2},
		{"header, hidden", hide, "GET", "/?apikey=x", "", []string{"apikey", bobsKey}, 200, 2},
		{"header, anonymous set", []string{"anonymous: anon"}, "GET", "/", "", []string{"apikey", bobsKey}, 200, 2},
		{"header, preflight off", []string{"run_on_preflight: false"}, "GET", "/", "", []string{"apikey", bobsKey}, 200, 2},
		{"header, body searched", body, "POST", "/", "a=b", append(form, "apikey", bobsKey), 200, 2},
		{"header, everything set", slices.Concat(body, hide, []string{"anonymous: anon", "run_on_preflight: false"}), "GET", "/", "", []string{"apikey", bobsKey}, 200, 2},
		{"header, throttle set", []string{"throttle: {failures: 10}"}, "GET", "/", "", []string{"apikey", bobsKey}, 200, 2},
		{"header with a comma", nil, "GET", "/", "", []string{"apikey", "a,b"}, 401, 3},
		{"query", nil, "GET", "/?apikey=" + bobsKey, "", nil, 200, 3},
		{"query only", []string{"key_in_header: false"}, "GET", "/?apikey=" + bobsKey, "", nil, 200, 2},
		{"form", body, "POST", "/", "apikey=" + bobsKey, form, 200, 3},
		{"form, hidden", append(body, hide...), "POST", "/", "apikey=" + bobsKey, form, 200, 4},
		{"unknown key", nil, "GET", "/", "", []string{"apikey", "x"}, 401, 2},
		{"no key", nil, "GET", "/", "", nil, 401, 3},
		{"no key, header only", []string{"key_in_query: false"}, "GET", "/", "", nil, 401, 2},
		{"OPTIONS", []string{"run_on_preflight: false"}, "OPTIONS", "/", "", nil, 200, 3},
		{"no place to look", []string{"key_in_query: false", "key_in_header: false"}, "GET", "/", "", nil, 401, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := startGateway(t, builtPlugin, route{"/", c.config})
			for i := range 3 { // the first one loads the consumer
				r := g.Send(c.method, c.target, c.body, c.headers...)
				assert.Equal(t, c.status, r.Status)
				if i > 0 {
					assert.Equal(t, c.want, g.Flights(r, "keyauth"), "%v", g.Calls(r))
				}
			}
		})
	}
}

// What a client says of itself never reaches the upstream.
func TestSpoofedHeaders(t *testing.T) {
	spoof := []string{"X-Consumer-ID", "spoof", "X-Consumer-Custom-ID", "spoof", "X-Consumer-Username", "spoof", "X-Credential-Identifier", "spoof",
		"X-Anonymous-Consumer", "spoof", "X-Credential-Username", "spoof", "x_consumer_id", "other"}
	bob := map[string]any{"x-consumer-id": bobsID, "x-consumer-custom-id": "bob-1", "x-consumer-username": "bob", "x-credential-identifier": bobsCredential}
	anon := map[string]any{"x-consumer-id": anonsID, "x-consumer-username": "anon", "x-anonymous-consumer": "true"}
	for name, program := range programs() {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, program, route{"/plain", []string{"run_on_preflight: false"}}, route{"/anon", []string{"anonymous: " + anonsID}})
			for _, c := range []struct {
				method, target string
				headers        []string
				want           map[string]any
			}{
				{"GET", "/plain", []string{"apikey", bobsKey}, bob},
				{"GET", "/anon", []string{"apikey", bobsKey}, bob},
				{"GET", "/anon", []string{"apikey", "wrong"}, anon},
				{"GET", "/anon", nil, anon},
				{"OPTIONS", "/plain", nil, map[string]any{}},
			} {
				e := echoOf(t, g.Send(c.method, c.target, "", append(c.headers, spoof...)...))
				got := map[string]any{}
				for name, v := range e.Headers {
					if strings.HasPrefix(name, "x-con") || strings.HasPrefix(name, "x-cred") || strings.HasPrefix(name, "x-anon") {
						got[name] = v
					}
				}
				assert.Equal(t, c.want, got, "%s %s %v", c.method, c.target, c.headers)
			}
		})
	}
}

// Why a known key is refused is counted and not told.
func TestRefusedEntries(t *testing.T) {
	entry := func(rest string) string {
		return "credentials: [{digest: \"" + digestOf(t, bobsKey) + "\", consumer: bob, " + rest + "}]"
	}
	now := time.Now().Unix()
	metrics := metricsSocket(t)
	refused := map[string]string{ // path: result
		"/expired":  "expired",
		"/early":    "not_yet_valid",
		"/disabled": "disabled",
		"/address":  "address",
		"/method":   "scope",
		"/route":    "scope",
		"/service":  "scope",
		"/orphan":   "no_consumer",
		"/unknown":  "unknown",
	}
	g := startWith(t, kongdevtest.Options{Flags: map[string][]string{"keyauth": {"-metrics", "unix:" + metrics}}, Config: gatewayConfig(t,
		route{"/expired", []string{entry(fmt.Sprintf("expires_at: %d", now-1))}},
		route{"/early", []string{entry(fmt.Sprintf("not_before: %d", now+1000))}},
		route{"/disabled", []string{entry("disabled: true")}},
		route{"/address", []string{entry("cidrs: [10.0.0.0/8]")}},
		route{"/method", []string{entry("scopes: [method:POST]")}},
		route{"/route", []string{entry("scopes: [method:GET, route:other]")}},
		route{"/service", []string{entry("scopes: [route:r-service, service:other]")}},
		route{"/orphan", []string{"credentials: [{digest: \"" + digestOf(t, bobsKey) + "\", consumer: nobody}]"}},
		route{"/unknown", []string{"credentials: []"}},
		route{"/fine", []string{entry(fmt.Sprintf("expires_at: %d, not_before: %d, cidrs: [127.0.0.1, \"::1/128\"], scopes: [method:get, method:PUT, route:r-fine, service:echo]", now+1000, now-1000))}},
		route{"/anonymous", []string{"anonymous: anon", entry("disabled: true")}},
	)})
	for range 2 {
		for path := range refused {
			r := g.Send("GET", path, "", "apikey", bobsKey)
			assert.Equal(t, 401, r.Status, path)
			assert.Equal(t, "Key", r.Header.Get("WWW-Authenticate"), path)
			assert.Contains(t, r.Body, `"message":"Unauthorized"`, path)
		}
		echoOf(t, g.Send("GET", "/fine", "", "apikey", bobsKey))
		assert.Equal(t, "true", echoOf(t, g.Send("GET", "/anonymous", "", "apikey", bobsKey)).Headers["x-anonymous-consumer"])
	}
	want := map[string]int{"accepted": 2, "anonymous": 2}
	for _, result := range refused {
		want[result] += 2
	}
	assert.Equal(t, want, requestCounts(t, metrics))
	assert.NotContains(t, g.Log(), bobsKey)
	assert.NotContains(t, g.Log(), strings.TrimPrefix(digestOf(t, bobsKey), "sha256::"))
}

// The other plugins see who the key is of; their results and ours go together as those of Kong's own plugins do.
func TestOtherPlugins(t *testing.T) {
	config := gatewayConfig(t,
		route{"/and", []string{"credentials: [{digest: \"" + digestOf(t, bobsKey) + "\", consumer: bob, id: " + bobsCredential + ", groups: [gold, silver]}]"}},
		route{"/or", []string{"anonymous: anon"}}) + "plugins:\n- name: testearly\n- name: testlate\n"
	for name, program := range programs() {
		t.Run(name, func(t *testing.T) {
			g := startWith(t, kongdevtest.Options{Config: config, Plugins: map[string]string{"keyauth": program, "testearly": kongdevtest.Self, "testlate": kongdevtest.Self}})
			for _, c := range []struct {
				target   string
				headers  []string
				status   int
				late     string
				upstream any
			}{
				{"/and", []string{"apikey", bobsKey}, 200, "bob|bob-1|" + bobsCredential + "|[gold silver]", "bob"},
				{"/and", []string{"apikey", bobsKey, "early", "ann"}, 200, "bob|bob-1|" + bobsCredential + "|[gold silver]", "bob"},
				{"/and", []string{"early", "ann"}, 401, "", nil},
				{"/or", []string{"apikey", "wrong", "early", "ann"}, 200, "ann||early|<nil>", "ann"},
				{"/or", []string{"apikey", bobsKey, "early", "ann"}, 200, "ann||early|<nil>", "ann"},
				{"/or", []string{"apikey", bobsKey, "early", "anonymous"}, 200, "bob|bob-1|" + bobsCredential + "|<nil>", "bob"},
				{"/or", []string{"early", "anonymous"}, 200, "anon|||<nil>", "anon"},
				{"/or", nil, 200, "anon|||<nil>", "anon"},
			} {
				r := g.Send("GET", c.target, "", c.headers...)
				require.Equal(t, c.status, r.Status, "%s %v", c.target, c.headers)
				assert.Equal(t, c.late, r.Header.Get("Late"), "%s %v", c.target, c.headers)
				if c.status == 200 {
					assert.Equal(t, c.upstream, echoOf(t, r).Headers["x-consumer-username"])
				}
			}
		})
	}
}

// A store that fails is never "wrong key" and never the anonymous consumer.
func TestStoreFailure(t *testing.T) {
	g := startGateway(t, builtPlugin,
		route{"/failing", []string{"file: /nowhere/kong.yml", "anonymous: anon", "credentials: []"}},
		route{"/closed", []string{"stores: [postgres]", "postgres: {dsn: 'postgres://kong:topsecret@127.0.0.1:1/kong'}", "anonymous: anon", "credentials: []"}},
		route{"/nobody", []string{"anonymous: nobody"}})
	for _, path := range []string{"/failing", "/closed"} {
		r := g.Send("GET", path, "", "apikey", bobsKey)
		assert.Equal(t, 500, r.Status)
		assert.Contains(t, r.Body, `"message":"An unexpected error occurred"`)
		assert.Empty(t, r.Header.Get("WWW-Authenticate"))
		assert.Equal(t, "anon", echoOf(t, g.Send("GET", path, "")).Headers["x-consumer-username"], "nothing is looked up without a key")
	}
	g.WaitLog("/nowhere/kong.yml: the file does not exist")
	g.WaitLog("requests are answered with 500: store postgres: ")
	assert.NotContains(t, g.Log(), "topsecret")
	r := g.Send("GET", "/nobody", "")
	assert.Equal(t, 500, r.Status)
	assert.Contains(t, r.Body, `"message":"anonymous consumer nobody is configured but doesn't exist"`)
	echoOf(t, g.Send("GET", "/nobody", "", "apikey", bobsKey))
}

// A wrong configuration refuses everything, and the log says why.
func TestWrongConfiguration(t *testing.T) {
	config := gatewayConfig(t, route{"/right", nil}, route{"/wrong", []string{"anonymous: anon", "stores: [node, node]"}}) +
		"plugins:\n- {name: keyauth, consumer: bob, config: {realm: x}}\n- {name: testearly}\n"
	g := startWith(t, kongdevtest.Options{Config: config, Plugins: map[string]string{"keyauth": builtPlugin, "testearly": kongdevtest.Self}})
	r := g.Send("GET", "/wrong", "", "apikey", bobsKey)
	assert.Equal(t, 500, r.Status)
	assert.Contains(t, r.Body, `"message":"An unexpected error occurred"`)
	g.WaitLog("configuration: stores[1]: node is listed twice; its requests are answered with 500")
	echoOf(t, g.Send("GET", "/right", "", "apikey", bobsKey))
	assert.Equal(t, 500, g.Send("GET", "/right", "", "apikey", bobsKey, "early", "bob").Status, "the consumer that an earlier plugin found has a configuration")
	g.WaitLog("configuration: consumer: a key says who the consumer is")
}

func TestRealmIsQuoted(t *testing.T) {
	assert.Equal(t, `Key realm="a \"b\" \\ c"`, newAnswers("3.9", `a "b" \ c`).challenge["WWW-Authenticate"])
	g := startGateway(t, builtPlugin, route{"/", []string{`realm: 'a "b" \ c'`}})
	assert.Equal(t, `Key realm="a \"b\" \\ c"`, g.Send("GET", "/", "").Header.Get("WWW-Authenticate"))
}

// Refusals of older versions of Kong.
func TestCompat(t *testing.T) {
	g := startGateway(t, builtPlugin, route{"/2.8", []string{"compat: '2.8'"}}, route{"/0.x", []string{"compat: 0.x", "key_in_body: true"}})
	for _, c := range []struct {
		target, body  string
		headers       []string
		status        int
		message       string
		authenticates string
	}{
		{"/2.8", "", nil, 401, "No API key found in request", `Key realm="kong"`},
		{"/2.8", "", []string{"apikey", "wrong"}, 401, "Invalid authentication credentials", ""},
		{"/2.8?apikey=a&apikey=b", "", nil, 401, "Duplicate API key found", ""},
		{"/0.x", "", nil, 401, "No API key found in request", `Key realm="kong"`},
		{"/0.x", "", []string{"apikey", "wrong"}, 403, "Invalid authentication credentials", ""},
		{"/0.x", "{", []string{"Content-Type", "application/json"}, 400, "Cannot process request body", ""},
	} {
		r := g.Send("POST", c.target, c.body, c.headers...)
		assert.Equal(t, c.status, r.Status, c.target)
		assert.Contains(t, r.Body, `"message":"`+c.message+`"`, c.target)
		assert.Equal(t, c.authenticates, r.Header.Get("WWW-Authenticate"), c.target)
	}
}

// A scheme is taken off headers, and a key of ours that is not whole is refused without a store.
func TestSchemesAndPrefixes(t *testing.T) {
	g := startGateway(t, builtPlugin,
		route{"/bearer", []string{"key_names: [authorization]", "header_scheme: Bearer", "hide_credentials: true"}},
		route{"/prefix", []string{"key_prefixes: [shop]", "file: /nowhere/kong.yml"}})
	r := g.Send("GET", "/bearer", "", "Authorization", "bearer "+bobsKey)
	e := echoOf(t, r)
	assert.Equal(t, "bob", e.Headers["x-consumer-username"])
	assert.NotContains(t, e.Headers, "authorization")
	again := g.Send("GET", "/bearer", "", "Authorization", "Bearer "+bobsKey)
	assert.Equal(t, 2, g.Flights(again, "keyauth"))
	assert.Equal(t, 200, g.Send("GET", "/bearer", "", "Authorization", bobsKey).Status)
	assert.Equal(t, 401, g.Send("GET", "/bearer", "", "Authorization", "Basic "+bobsKey).Status)

	whole, err := key.New("shop")
	require.NoError(t, err)
	assert.Equal(t, 500, g.Send("GET", "/prefix", "", "apikey", whole).Status, "the file is not there")
	assert.Equal(t, 401, g.Send("GET", "/prefix", "", "apikey", whole[:len(whole)-1]).Status)
	assert.Equal(t, 500, g.Send("GET", "/prefix", "", "apikey", "other_"+whole).Status)
	assert.Equal(t, 200, g.Send("GET", "/prefix", "", "apikey", bobsKey).Status)
}
