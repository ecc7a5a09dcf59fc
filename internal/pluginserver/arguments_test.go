package pluginserver

import (
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"
)

// Each call is answered at once when Kong is certain to take it, and waits for Kong's answer in every other case.
func TestOnlyCallsThatKongIsCertainToTakeAreAnsweredLocally(t *testing.T) {
	for _, c := range []struct {
		name  string
		waits bool
		call  func(*pdk.PDK) error
	}{
		{"header", false, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("x-a", "") }},
		{"header added", false, func(k *pdk.PDK) error { return k.ServiceRequest.AddHeader("x-a", "1") }},
		{"header cleared", false, func(k *pdk.PDK) error { return k.Response.ClearHeader("Content-Length") }},
		{"headers", false, func(k *pdk.PDK) error {
			return k.ServiceRequest.SetHeaders(map[string][]string{"x-a": {"1", ""}, "x-b": {}})
		}},
		{"pseudo header", true, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader(":authority", "h") }},
		{"no name", true, func(k *pdk.PDK) error { return k.Response.SetHeader("", "v") }},
		{"length of a request", true, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("content-length", "many") }},
		{"length of a response", true, func(k *pdk.PDK) error { return k.Response.SetHeader("Content_Length", "many") }},
		{"length among headers", true, func(k *pdk.PDK) error {
			return k.Response.SetHeaders(map[string][]string{"Content-Length": {"many"}})
		}},
		{"status", false, func(k *pdk.PDK) error { return k.Response.SetStatus(599) }},
		{"status too large", true, func(k *pdk.PDK) error { return k.Response.SetStatus(600) }},
		{"status negative", true, func(k *pdk.PDK) error { return k.Response.SetStatus(-200) }},
		{"no status", true, func(k *pdk.PDK) error { return k.Response.SetStatus(0) }},
		{"target", false, func(k *pdk.PDK) error { return k.Service.SetTarget("h", 65535) }},
		{"target's port", true, func(k *pdk.PDK) error { return k.Service.SetTarget("h", 65536) }},
		{"target's port negative", true, func(k *pdk.PDK) error { return k.Service.SetTarget("h", -1) }},
		{"no target", true, func(k *pdk.PDK) error { return k.Service.SetTarget("", 80) }},
		{"scheme", false, func(k *pdk.PDK) error { return k.ServiceRequest.SetScheme("https") }},
		{"scheme in capitals", true, func(k *pdk.PDK) error { return k.ServiceRequest.SetScheme("HTTPS") }},
		{"scheme of gRPC", true, func(k *pdk.PDK) error { return k.ServiceRequest.SetScheme("grpc") }},
		{"path", false, func(k *pdk.PDK) error { return k.ServiceRequest.SetPath("/a b/../é") }},
		{"path without slash", true, func(k *pdk.PDK) error { return k.ServiceRequest.SetPath("a") }},
		{"no path", true, func(k *pdk.PDK) error { return k.ServiceRequest.SetPath("") }},
		{"query", false, func(k *pdk.PDK) error { return k.ServiceRequest.SetRawQuery("") }},
		{"method", false, func(k *pdk.PDK) error { return k.ServiceRequest.SetMethod("PATCH") }},
		{"unknown method", true, func(k *pdk.PDK) error { return k.ServiceRequest.SetMethod("BREW") }},
		{"consumer", false, func(k *pdk.PDK) error {
			return k.Client.Authenticate(&entities.Consumer{Id: "c"}, &client.AuthenticatedCredential{Id: "k"})
		}},
		{"shared", false, func(k *pdk.PDK) error { return k.Ctx.SetShared("k", nil) }},
		{"shared without a key", true, func(k *pdk.PDK) error { return k.Ctx.SetShared("", 1) }},
		{"context", false, func(k *pdk.PDK) error { return k.Nginx.SetCtx("k", false) }},
		{"line", false, func(k *pdk.PDK) error { return k.Log.Err("a", false, nil, 1.5) }},
		{"line of nil", false, func(k *pdk.PDK) error { return k.Log.Err(nil) }},
		{"line of an empty text", false, func(k *pdk.PDK) error { return k.Log.Err("") }},
		{"empty line", true, func(k *pdk.PDK) error { return k.Log.Err() }},
		{"line of what Kong loses", true, func(k *pdk.PDK) error { return k.Log.Err(false, "a") }},
		{"line of no value", true, func(k *pdk.PDK) error {
			return k.Log.Ask("kong.log.err", &structpb.ListValue{Values: []*structpb.Value{{}}}, nil)
		}},
		{"upstream", true, func(k *pdk.PDK) error { return k.Service.SetUpstream("u") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var waited bool
			r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
				before := eventOf(kong).srv.counts.flights[2].Load()
				require.NoError(t, c.call(kong))
				waited = eventOf(kong).srv.counts.flights[2].Load() > before
			}})
			p := r.dial()
			calls, err := p.run(p.start(nil), "access", noAnswer)
			require.NoError(t, err)
			require.Len(t, calls, 1, "the call reaches Kong in any case")
			require.Equal(t, c.waits, waited)
		})
	}
}

// In log, what Kong would refuse for its arguments stays here as well.
func TestLogChecksArguments(t *testing.T) {
	const id = "b6b7e5a4-1c1f-4c0c-9d5d-0d3a8f6f8a11"
	var refused []error
	r := newRig(t, testHandlers{log: func(_ *testConfig, kong *pdk.PDK) {
		refuse := func(err error) { refused = append(refused, err) }
		refuse(kong.Log.Err())
		refuse(kong.Log.Warn(false))
		refuse(kong.Ctx.SetShared("", 1))
		_, err := kong.Client.LoadConsumer("ann", false)
		refuse(err)
		_, err = kong.Client.LoadConsumer(id+"0", false)
		refuse(err)
		for _, byName := range []string{id, "ann"} {
			_, err = kong.Client.LoadConsumer(byName, byName == "ann")
			require.NoError(t, err)
		}
		require.NoError(t, kong.Log.Err("a"))
	}})
	p := r.dial()
	calls, err := p.run(p.start(nil), "log", noAnswer)
	require.NoError(t, err)
	require.Equal(t, []string{"kong.client.load_consumer", "kong.client.load_consumer", "kong.log.err"}, methodsOf(calls))
	for _, err := range refused {
		require.ErrorContains(t, err, "cannot be called in log with these arguments")
	}
}

func TestSettersDropTheAnswersThatTheyChange(t *testing.T) {
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		Prefetch(kong, AskShared("k"), AskMethod())
		_, err := kong.Ctx.GetSharedString("k")
		require.NoError(t, err)
		require.NoError(t, kong.Ctx.SetShared("k", "new"))
		_, err = kong.Request.GetMethod() // cannot have changed
		require.NoError(t, err)
		_, err = kong.Ctx.GetSharedString("k") // Kong is asked again
		require.NoError(t, err)
		Prefetch(kong, AskShared("k"))
		require.NoError(t, kong.Ctx.SetShared("k", "newer")) // before the answer is there
		_, err = kong.Ctx.GetSharedString("k")
		require.NoError(t, err)
	}})
	p := r.dial()
	calls, err := p.run(p.start(nil), "access", func(c pdkCall) ([]byte, bool) {
		if c.method == "kong.ctx.shared.get" {
			return appendBytesField(nil, valueString, "v"), true
		}
		return nil, true
	})
	require.NoError(t, err)
	const get, set = "kong.ctx.shared.get", "kong.ctx.shared.set"
	require.Equal(t, []string{get, "kong.request.get_method", set, get, get, set, get}, methodsOf(calls))
}
