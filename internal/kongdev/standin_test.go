package kongdev

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/echo"
)

// startFile starts a gateway with a configuration as a file has it, whose
// plugins are stand-ins, and with "tplug" as a function of the test beside them
// when onEvent is set.
func startFile(t *testing.T, config string, onEvent func(c *fakeConn, phase string, instance int32), changes ...func(*Options)) *bench {
	t.Helper()
	d, err := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\n"+config))
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "kd")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := Options{Config: d, Prefix: dir, LogLevel: "debug", Hosts: map[string]http.Handler{"echo.kongdev": echo.New()}}
	b := &bench{t: t, log: &syncBuffer{}}
	o.Log = b.log
	if onEvent != nil {
		dumpedPlugin(t, "tplug", `"access","log"`)(&o)
		o.Plugins[0].QueryCmd += " | sed s/1500/700/" // behind authentication
	}
	for _, change := range changes {
		change(&o)
	}
	_, schemas, err := Schemas(context.Background(), o.Plugins)
	require.NoError(t, err)
	require.NoError(t, d.CompletePlugins(schemas))
	b.Gateway, err = Start(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	if onEvent != nil {
		startFakePlugin(t, b.Prefix(), onEvent)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, b.Ready(ctx), "a plugin inside needs no socket")
	return b
}

const echoService = `
services: [{name: up, url: "http://echo.kongdev", routes: [{name: all, paths: [/], strip_path: false}]}]
`

func TestTerminate(t *testing.T) {
	for config, want := range map[string]struct {
		status      int
		contentType string
		body        string
	}{
		`{}`: {503, "application/json; charset=utf-8", `{"message":"Service unavailable"}`},
		`{status_code: 418, message: "a \"pot\""}`:                       {418, "application/json; charset=utf-8", `{"message":"a \"pot\""}`},
		`{status_code: 403, body: "<b>no</b>", content_type: text/html}`: {403, "text/html", "<b>no</b>"},
		`{status_code: 204}`: {204, "", ""},
		`{trigger: x-stop}`:  {200, "application/json", `"method":"GET"`},
	} {
		b := startFile(t, echoService+"plugins: [{name: kongdev-terminate, config: "+config+"}]", nil)
		r := b.get("/x")
		assert.Equal(t, want.status, r.StatusCode, config)
		assert.Equal(t, want.contentType, r.Header.Get("Content-Type"), config)
		assert.Contains(t, r.body, want.body, config)
	}
	b := startFile(t, echoService+"plugins: [{name: kongdev-terminate, config: {trigger: x-stop}}]", nil)
	assert.Equal(t, 503, b.get("/", "X-Stop", "1").StatusCode)
	assert.Equal(t, 503, b.get("/?x-stop=1").StatusCode)
	assert.Zero(t, b.Stats().Failed)
}

// Headers are set on the way to the upstream and after everything else on the
// way back, also on answers that are Kong's or a plugin's.
func TestHeadersStandIn(t *testing.T) {
	b := startFile(t, echoService+`
plugins:
- name: kongdev-headers
  config: {request: {X-To-Up: hello, Host: other.example}, remove_request: [X-Gone], response: {X-Back: "yes", Server: mine}, remove_response: [Content-Type]}
`, func(c *fakeConn, phase string, _ int32) {
		if phase == "access" && c.text("kong.request.get_header", str("x-stop")) != "" {
			c.ask("kong.response.set_header", mustKV("X-Plugin", "1"))
		}
	}, func(o *Options) {
		o.Config.Plugins = append(o.Config.Plugins, &declarative.Plugin{ID: declarative.UUIDv5(declarative.EntityNamespace, "t"), Name: "tplug", Enabled: true, Config: map[string]any{}})
	})
	r := b.get("/echo", "X-Gone", "1")
	assert.Contains(t, r.body, `"x-to-up":"hello"`)
	assert.Contains(t, r.body, `"host":"other.example"`)
	assert.NotContains(t, r.body, "x-gone")
	assert.Equal(t, []string{"yes", ""}, []string{r.Header.Get("X-Back"), r.Header.Get("Content-Type")})
	assert.Equal(t, "mine", r.Header.Get("Server"))
	assert.Equal(t, "1", b.get("/", "X-Stop", "1").Header.Get("X-Plugin"))

	b = startFile(t, `
services: [{name: up, url: "http://echo.kongdev", routes: [{paths: [/known]}]}]
plugins: [{name: kongdev-headers, config: {response: {X-Back: "yes"}}}]`, nil)
	r = b.get("/unknown")
	assert.Equal(t, []any{404, "yes"}, []any{r.StatusCode, r.Header.Get("X-Back")}, "a global one sees requests without a route")
}

const authFile = echoService + `
consumers:
- username: bob
  custom_id: bob-1
  keyauth_credentials: [{id: 11111111-1111-4111-8111-111111111111, key: sekret}]
- username: nobody
`

// The answers and headers are those that a live key-auth gave; see
// transcripts/keyauth-lua-reference.txt for the first ones.
func TestAuthStandIn(t *testing.T) {
	type seen struct{ credential, credentialConsumer, consumer, log string }
	events := make(chan seen, 100)
	b := startFile(t, authFile+`
plugins:
- {name: kongdev-auth, config: {key_names: [apikey, x-key], realm: shop}}
`, func(c *fakeConn, phase string, _ int32) {
		s := seen{credential: string(c.ask("kong.client.get_credential", nil)), consumer: string(c.ask("kong.client.get_consumer", nil))}
		if phase == "access" {
			s.credentialConsumer = string(c.ask("kong.nginx.get_ctx", str("authenticated_credential")))
		} else {
			s.log = c.text("kong.log.serialize", nil)
		}
		events <- s
	}, func(o *Options) {
		o.Config.Plugins = append(o.Config.Plugins, &declarative.Plugin{ID: declarative.UUIDv5(declarative.EntityNamespace, "t"), Name: "tplug", Enabled: true, Config: map[string]any{}})
	})
	for _, tc := range []struct {
		name, path string
		headers    []string
		message    string // "" = let through
	}{
		{"no key", "/echo", nil, "No API key found in request"},
		{"wrong key", "/echo", []string{"Apikey", "wrong"}, "Unauthorized"},
		{"two keys", "/echo", []string{"Apikey", "sekret", "Apikey", "other"}, "Duplicate API key found"},
		{"two arguments", "/echo?apikey=sekret&apikey=x", nil, "Duplicate API key found"},
		{"empty key", "/echo", []string{"Apikey", ""}, "No API key found in request"},
		{"header", "/echo", []string{"Apikey", "sekret", "X-Anonymous-Consumer", "true", "X-Consumer-ID", "forged"}, ""},
		{"second name", "/echo", []string{"X-Key", "sekret"}, ""},
		{"argument", "/echo?apikey=sekret&z=1", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := b.get(tc.path, tc.headers...)
			if tc.message != "" {
				assert.Equal(t, 401, r.StatusCode)
				assert.Equal(t, `Key realm="shop"`, r.Header.Get("WWW-Authenticate"))
				assert.Equal(t, "{\n  \"message\":\""+tc.message+"\",\n  \"request_id\":\""+r.Header.Get("X-Kong-Request-Id")+"\"\n}", r.body)
				log := <-events // access of later plugins is skipped, log is not
				assert.NotContains(t, log.log, "authenticated_entity")
				return
			}
			require.Equal(t, 200, r.StatusCode, r.body)
			for _, want := range []string{`"x-consumer-username":"bob"`, `"x-consumer-custom-id":"bob-1"`, `"x-credential-identifier":"11111111-1111-4111-8111-111111111111"`} {
				assert.Contains(t, r.body, want)
			}
			assert.NotContains(t, r.body, "x-anonymous-consumer")
			assert.NotContains(t, r.body, "forged")
			access := <-events
			assert.Equal(t, "\x0a\x2411111111-1111-4111-8111-111111111111", access.credential, "only the id: Kong's credentials have no consumer_id")
			assert.Contains(t, access.consumer, "bob-1")
			assert.Contains(t, access.credentialConsumer, "consumer", "the credential in the context names its consumer")
			log := <-events
			assert.Contains(t, log.log, `"authenticated_entity":{"id":"11111111-1111-4111-8111-111111111111"}`)
			assert.Contains(t, log.log, `"username":"bob"`)
		})
	}
}

func TestAuthStandInOptions(t *testing.T) {
	b := startFile(t, authFile+`plugins: [{name: kongdev-auth, config: {anonymous: nobody, hide_credentials: true, key_in_header: false, run_on_preflight: false}}]`, nil)
	r := b.get("/echo?apikey=sekret&z=1")
	assert.Contains(t, r.body, `"uri":"/echo?z=1"`)
	assert.Contains(t, r.body, `"x-consumer-username":"bob"`)
	r = b.get("/echo", "Apikey", "sekret")
	assert.Contains(t, r.body, `"x-consumer-username":"nobody"`, "a header is not looked at")
	assert.Contains(t, r.body, `"x-anonymous-consumer":"true"`)
	assert.NotContains(t, r.body, "x-credential-identifier")
	r = b.do("OPTIONS", "/echo", "")
	assert.Equal(t, 200, r.StatusCode)
	assert.NotContains(t, r.body, "x-consumer-username")
}

// A plugin configured for a consumer runs for that consumer only, because the
// one that knows the consumer runs before it.
func TestConsumerScope(t *testing.T) {
	b := startFile(t, authFile+`
plugins:
- {name: kongdev-auth, config: {anonymous: nobody}}
- {name: kongdev-headers, config: {response: {X-For: everybody}}}
- {name: kongdev-headers, consumer: bob, config: {response: {X-For: bob}}}
- {name: kongdev-terminate, consumer: nobody, config: {status_code: 451}}
`, nil)
	r := b.get("/echo", "Apikey", "sekret")
	assert.Equal(t, []any{200, "bob"}, []any{r.StatusCode, r.Header.Get("X-For")})
	r = b.get("/echo")
	assert.Equal(t, []any{451, "everybody"}, []any{r.StatusCode, r.Header.Get("X-For")})
}

// Groups are the consumer's acls. Those that a plugin leaves in the context are in examples/keyauth/groups.
func TestACL(t *testing.T) {
	file := strings.Replace(authFile, "  keyauth_credentials:", "  acls: [{group: gold}, {group: eu}]\n  keyauth_credentials:", 1)
	require.NotEqual(t, authFile, file)
	for _, tc := range []struct {
		name, config, key string
		status            int
		want              string // in what the upstream gets, or in the refusal
	}{
		{"allowed", "{allow: [gold]}", "sekret", 200, `"x-consumer-groups":"gold, eu"`},
		{"not allowed", "{allow: [silver]}", "sekret", 403, "You cannot consume this service"},
		{"denied", "{deny: [eu]}", "sekret", 403, "You cannot consume this service"},
		{"hidden", "{deny: [us], hide_groups_header: true}", "sekret", 200, `"x-consumer-username":"bob"`},
		{"anonymous", "{allow: [gold]}", "", 403, "You cannot consume this service"},
		{"nothing left", "{allow: [gold], always_use_authenticated_groups: true}", "sekret", 200, `"x-consumer-groups":"gold, eu"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := startFile(t, file+"plugins: [{name: kongdev-auth, config: {anonymous: nobody}}, {name: kongdev-acl, config: "+tc.config+"}]\n", nil)
			r := b.get("/echo", "Apikey", tc.key, "X-Consumer-Groups", "forged")
			assert.Equal(t, tc.status, r.StatusCode)
			assert.Contains(t, r.body, tc.want)
			assert.NotContains(t, r.body, "forged")
		})
	}
	b := startFile(t, file+"plugins: [{name: kongdev-acl, config: {allow: [gold]}}]\n", nil)
	assert.Equal(t, 401, b.get("/echo").StatusCode, "nobody has authenticated the request")
	d, err := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\nplugins: [{name: kongdev-acl}]\n"))
	require.NoError(t, err)
	require.NoError(t, d.CompletePlugins(declarative.Schemas{Inside: standInSchemas()}))
	_, err = Start(context.Background(), Options{Config: d})
	require.ErrorContains(t, err, "allow, deny: want one of them")
}

func TestStandInMistakes(t *testing.T) {
	for config, want := range map[string]string{
		"{name: kongdev-acl, config: {allow: x}}":              "plugins[0].config.allow: expected an array",
		"{name: kongdev-auth, config: {key_names: x}}":         "kong.yml:3: plugins[0].config.key_names: expected an array",
		"{name: kongdev-headers, config: {reqest: {}}}":        "plugins[0].config.reqest: unknown field (did you mean request?)",
		"{name: kongdev-terminate, config: {status_code: 99}}": "plugins[0].config.status_code: value should be between 100 and 599",
		"{name: kongdev-terminat}":                             `did you mean "kongdev-terminate"?`,
		"{name: kongdev-x}":                                    "kongdev's own are kongdev-acl, kongdev-auth, kongdev-headers, kongdev-terminate",
	} {
		d, err := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\nplugins:\n- "+config+"\n"))
		require.NoError(t, err)
		assert.ErrorContains(t, d.CompletePlugins(declarative.Schemas{Inside: standInSchemas()}), want)
	}
	d, err := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\nplugins: [{name: kongdev-auth, config: {anonymous: ghost}}]\n"))
	require.NoError(t, err)
	require.NoError(t, d.CompletePlugins(declarative.Schemas{Inside: standInSchemas()}))
	_, err = Start(context.Background(), Options{Config: d})
	require.ErrorContains(t, err, `kong.yml:2: plugin "kongdev-auth": anonymous: no consumer "ghost"`)
}

// A stand-in is in the trace of a request, and at its place in the order.
func TestStandInTrace(t *testing.T) {
	var k traceKeeper
	b := startFile(t, authFile+`plugins: [{name: kongdev-terminate}, {name: kongdev-auth}, {name: kongdev-headers, config: {response: {A: b}}}]`, nil, k.options)
	require.Equal(t, 503, b.get("/", "Apikey", "sekret").StatusCode)
	tr := k.done(t, 1)
	var order []string
	for _, e := range tr.Events {
		order = append(order, e.Phase+" "+e.Plugin)
		assert.Positive(t, e.End)
	}
	assert.Equal(t, "access kongdev-auth, access kongdev-headers, access kongdev-terminate, header_filter kongdev-headers", strings.Join(order, ", "))
	assert.Equal(t, 503, tr.Events[2].Exit)
	assert.Equal(t, "bob", tr.Consumer)
}

// The configuration that docs/kongdev.md shows.
func TestStandInsOfTheDocumentation(t *testing.T) {
	file, err := os.ReadFile("testdata/standins.yml")
	require.NoError(t, err)
	b := startFile(t, strings.TrimPrefix(string(file), "_format_version: \"3.0\"\n"), nil)
	r := b.get("/", "Apikey", "for-tests-only")
	assert.Equal(t, []any{200, "gold"}, []any{r.StatusCode, r.Header.Get("X-Plan")})
	r = b.get("/")
	assert.Equal(t, []any{403, `{"message":"members only"}`}, []any{r.StatusCode, r.body})
}
