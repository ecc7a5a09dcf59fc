package kongdev

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/router"
)

// newTestEvent is an event of a request that no gateway serves.
func newTestEvent(t testing.TB, p phase) *event {
	t.Helper()
	d := recordedConfig("http://127.0.0.1:1")
	log, err := errorlog.New(nil, "")
	require.NoError(t, err)
	g := &Gateway{log: log, counters: newCounters()}
	g.buffers.New = func() any { return new([16 << 10]byte) }
	gen := &generation{gw: g, config: d, balancers: map[string]*balancer{}}
	gen.workers = []*worker{{gen: gen}}
	q := newRequest(g, gen, httptest.NewRecorder(), httptest.NewRequest("POST", "/x?a=1&flag", strings.NewReader("body")))
	q.phase = p
	q.match = router.Match{Route: d.Routes[0], Service: d.Services[0], UpstreamPath: "/x"}
	q.upstreamPath, q.ctx.hasBalancerData = "/x", true
	q.logOnce = &serialized{base: q.snapshot()}
	return &event{req: q, conf: &pluginConfig{entity: d.Plugins[0], plugin: &plugin{Info: external.Info{Name: "tplug"}}}}
}

// Whatever bytes a plugin sends as arguments, in whatever phase, a call answers
// or raises; it never panics, and a request that it left can be logged.
func FuzzCall(f *testing.F) {
	names := slices.Sorted(maps.Keys(pdkMethods))
	phases := []phase{phaseRewrite, phaseAccess, phaseResponse, phaseLog}
	for i := range names {
		f.Add(uint8(i), uint8(1), []byte("\n\x01a\x12\x03\x1a\x01b"))
	}
	f.Fuzz(func(t *testing.T, method, at uint8, args []byte) {
		name := names[int(method)%len(names)]
		ev := newTestEvent(t, phases[int(at)%len(phases)])
		_, err := ev.call(name, pdkMethods[name], args)
		var raised *lua.Error
		var exit *exitSignal
		if err != nil && !errors.As(err, &raised) && !errors.As(err, &exit) {
			t.Fatalf("%s: %T %v", name, err, err)
		}
		if serialized, err := ev.req.serialize(); err == nil {
			_ = lua.AppendJSON(nil, serialized)
		}
		_, _ = ev.req.delayedReply()
	})
}

// Every method of Kong's protocol file is known, and nothing else.
func TestMethodList(t *testing.T) {
	service := kong_plugin_protocol.File_server_kong_plugin_protocol_pluginsocket_proto.Services().ByName("Kong")
	require.NotNil(t, service)
	var want []string
	for i := range service.Methods().Len() {
		name := "kong." + string(service.Methods().Get(i).Name())
		switch name { // the two whose names the file overrides
		case "kong.Ctx_SetShared":
			name = "kong.ctx.shared.set"
		case "kong.Ctx_GetShared":
			name = "kong.ctx.shared.get"
		}
		name = regexp.MustCompile(`([a-z]\d*)([A-Z])`).ReplaceAllString(strings.ReplaceAll(name, "_", "."), "${1}_$2")
		want = append(want, strings.ToLower(name))
	}
	assert.ElementsMatch(t, want, slices.Collect(maps.Keys(pdkMethods)))
}

// Which call works in which phase, as seen on a real gateway.
func TestPhases(t *testing.T) {
	const r, a, p, l = phaseRewrite, phaseAccess, phaseResponse, phaseLog
	tests := []struct {
		methods string
		phases  phase
	}{
		{"kong.request. get_scheme get_host get_port get_forwarded_scheme get_forwarded_host get_forwarded_port get_http_version get_method get_path get_path_with_query get_raw_query get_raw_body", r | a | p},
		{"kong.request. get_header get_uri_captures", r | a | p | l},
		{"kong.client. get_ip get_forwarded_ip get_port get_forwarded_port", r | a | p},
		{"kong.client. get_consumer get_credential", a | p | l},
		{"kong.client. get_protocol", a | p},
		{"kong.router. get_route get_service", a | p | l},
		{"kong.response. get_status get_header get_source", p | l},
		{"kong.response. clear_header", r | a | p},
		{"kong.service.request. clear_header set_raw_query set_raw_body", r | a},
		{"kong.service. set_upstream", a},
		{"kong.service.response. get_status get_header", p},
		{"kong.ctx.shared. get set", r | a | p | l},
		{"kong.nginx. get_ctx set_ctx get_subsystem req_start_time get_tls1_version_str", r | a | p | l},
		{"kong.nginx. get_var", r | a | p},
		{"kong.node. get_id get_memory_stats", r | a | p | l},
		{"kong.ip. is_trusted", r | a | p | l},
		{"kong.log. err info set_serialize_value", r | a | p | l},
		{"kong.log. serialize", l},
	}
	for _, tt := range tests {
		words := strings.Fields(tt.methods)
		for _, name := range words[1:] {
			for _, in := range []phase{r, a, p, l} {
				ev := newTestEvent(t, in)
				var args []byte
				if name == "err" || name == "info" { // a line without text is an error of its own
					args = logText(t)
				}
				_, err := ev.call(words[0]+name, pdkMethods[words[0]+name], args)
				if tt.phases&in != 0 {
					assert.NoError(t, err, "%s%s in %s", words[0], name, in.names())
				} else {
					assert.Error(t, err, "%s%s in %s", words[0], name, in.names())
				}
			}
		}
	}
}

func TestVariables(t *testing.T) {
	q := newTestEvent(t, phaseAccess).req
	q.headers.Add("api-key", "three")
	q.headers.Add("api_key", "four")
	q.headers.Add("Cookie", "a=1; b=2")
	tests := map[string]lua.Value{
		"http_api_key": "three, four", "http_API_KEY": "three, four", "http_missing": nil, "args": "a=1&flag", "arg_a": "1", "arg_flag": nil,
		"cookie_b": "2", "is_args": "?", "request_uri": "/x?a=1&flag", "uri": "/x", "request_method": "POST", "kong_request_id": q.id, "bogus_var": nil,
		"content_length": "4", "host": "example.com", "scheme": "http", "ssl_protocol": nil, "upstream_addr": nil, "upstream_uri": "/x",
	}
	for name, want := range tests {
		assert.Equal(t, want, q.variable(name), name)
	}
	assert.Regexp(t, `^[0-9a-f]{32}$`, q.variable("request_id"))
	assert.NotEqual(t, q.id, q.variable("request_id"))
}

func TestRequestHeader(t *testing.T) {
	q := newTestEvent(t, phaseAccess).req
	q.headers.Add("X-Two", "1")
	q.headers.Add("X-Two", "2")
	q.headers.Add("X-Comma", "a, b")
	for name, want := range map[string]lua.Value{"X-TWO": "1", "x_two": "1", "x-comma": "a, b", "x-none": nil, "Host": "example.com"} {
		assert.Equal(t, want, requestHeader(q, name), name)
	}
}

// The answers in rewrite and response, where nothing catches an error or an Exit.
func TestOtherPhases(t *testing.T) {
	global := func(o *Options) {
		o.Config.Plugins = o.Config.Plugins[:1]
		o.Config.Plugins[0].Route = nil
	}
	type script func(c *fakeConn)
	tests := []struct {
		name, phases, phase string
		do                  script
		status              int
		body                string
	}{
		{"exit in rewrite", `"rewrite","log"`, "rewrite", func(c *fakeConn) {
			c.ask("kong.response.exit", &kong_plugin_protocol.ExitArgs{Status: 403, Body: []byte("no")})
		}, 403, "no"},
		{"error in rewrite", `"rewrite","log"`, "rewrite", func(c *fakeConn) { c.ask("kong.router.get_route", nil) }, 500, unexpectedError},
		{"unknown call in rewrite", `"rewrite","log"`, "rewrite", func(c *fakeConn) { c.ask("kong.nothing", nil) }, 500, unexpectedError},
		{"error in response", `"response","log"`, "response", func(c *fakeConn) {
			c.ask("kong.client.authenticate", &kong_plugin_protocol.AuthenticateArgs{Consumer: &kong_plugin_protocol.Consumer{Id: "x"}})
		}, 500, unexpectedError},
		{"unknown call in response", `"response","log"`, "response", func(c *fakeConn) { c.ask("kong.nothing", nil) }, 500, unexpectedError},
		{"status set in response", `"response","log"`, "response", func(c *fakeConn) {
			c.ask("kong.response.set_status", &kong_plugin_protocol.Int{V: 203})
		}, 203, `{"ok":true}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			logged := make(chan string, 1)
			b, _ := newFakeBench(t, tt.phases, func(c *fakeConn, phase string, _ int32) {
				switch phase {
				case tt.phase:
					tt.do(c)
				case "log":
					logged <- c.text("kong.log.serialize", nil)
				}
			}, global)
			r := b.get("/")
			assert.Equal(t, tt.status, r.StatusCode)
			assert.Contains(t, r.body, tt.body)
			assert.Contains(t, <-logged, `"status":`+lua.FormatNumber(float64(tt.status), 10))
		})
	}
}

// Plugins run by priority, and a configuration of a consumer applies from the
// moment the consumer is known.
func TestPluginOrder(t *testing.T) {
	d := recordedConfig("http://127.0.0.1:1")
	bob := d.Consumers[0]
	plugins := map[string]*plugin{}
	for name, priority := range map[string]int{"low": 1, "high": 9, "b": 5, "c": 5} {
		plugins[name] = &plugin{Info: external.Info{Name: name, Priority: priority}}
	}
	d.Plugins = []*declarative.Plugin{
		{ID: "1", Name: "low", Enabled: true, Config: map[string]any{"n": 1}},
		{ID: "2", Name: "low", Enabled: true, Route: d.Routes[0]},
		{ID: "3", Name: "low", Enabled: true, Consumer: bob},
		{ID: "4", Name: "low", Enabled: true, Service: d.Services[0], Consumer: bob},
		{ID: "5", Name: "high", Enabled: true}, {ID: "6", Name: "b", Enabled: true}, {ID: "7", Name: "c", Enabled: true},
		{ID: "8", Name: "high", Enabled: false, Route: d.Routes[0]}, {ID: "9", Name: "high", Enabled: true, Route: d.Routes[0], Protocols: []string{"tcp"}},
	}
	it := newIterator(d, plugins)
	var order []string
	for _, p := range it.plugins {
		order = append(order, p.Name)
	}
	assert.Equal(t, []string{"high", "c", "b", "low"}, order)
	route, service := d.Routes[0].ID, d.Services[0].ID
	assert.Equal(t, "2", it.lookup("low", route, service, "").entity.ID)
	assert.Equal(t, "4", it.lookup("low", route, service, bob.ID).entity.ID)
	assert.Equal(t, "3", it.lookup("low", route, "", bob.ID).entity.ID)
	assert.Equal(t, "1", it.lookup("low", "other", "", "").entity.ID)
	assert.Equal(t, "5", it.lookup("high", route, service, "").entity.ID)
	assert.JSONEq(t, `{"n":1,"__plugin_id":"1","__ws_id":"`+declarative.WorkspaceID+`","__key__":"plugins:low:::::`+declarative.WorkspaceID+`","__seq__":8}`, string(it.configs["low"][scope{}].json(8)))
}

// A method that is not there yet ends the event as an unknown one does, and is counted.
func TestNotInKongdevYet(t *testing.T) {
	ev := newTestEvent(t, phaseAccess)
	_, err := ev.call("kong.some.thing", pdkMethod{phases: anyPhase}, nil)
	assert.Equal(t, errNotImplemented, err)
	assert.Equal(t, map[string]int64{"kong.some.thing": 1}, ev.req.gw.counters.snapshot().NotImplemented)
	assert.Equal(t, "not in kongdev", reason(&serverError{err}))
}

func TestMemoryStats(t *testing.T) {
	ev := newTestEvent(t, phaseAccess)
	out, err := memoryStats(ev, nil)
	require.NoError(t, err)
	var stats kong_plugin_protocol.MemoryStats
	require.NoError(t, proto.Unmarshal(out, &stats))
	assert.NotZero(t, stats.LuaSharedDicts.Kong.Capacity)
	assert.NotZero(t, stats.LuaSharedDicts.KongDbCache.Capacity)
	assert.Len(t, stats.WorkersLuaVms, 1)
}

var _ http.Handler = (*Gateway)(nil)
