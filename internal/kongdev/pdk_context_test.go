package kongdev

import (
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-go-plugins/internal/kongdev/declarative"
)

// What Kong keeps in the request's context can be read there, each thing from
// the phase on in which Kong sets it; what plugins set comes back with Lua's losses.
func TestContext(t *testing.T) {
	type answers map[string]any
	got := map[string]answers{}
	done := make(chan struct{}, 1)
	keys := []string{"host_port", "request_uri", "scheme", "balancer_data", "delay_response", "KONG_PROXIED", "KONG_WAITING_TIME", "KONG_RECEIVE_TIME", "buffered_status", "route", "workspace", "mine", "no"}
	read := func(c *fakeConn, phase string) {
		a := answers{}
		for _, key := range keys {
			var v structpb.Value
			_ = proto.Unmarshal(c.ask("kong.nginx.get_ctx", str(key)), &v)
			a[key] = v.AsInterface()
		}
		got[phase] = a
	}
	b, _ := newFakeBench(t, `"rewrite","access","response","log"`, func(c *fakeConn, phase string, _ int32) {
		if phase == "rewrite" {
			for key, v := range map[string]any{"mine": []any{"a", 1}, "no": false} {
				value, err := structpb.NewValue(v)
				require.NoError(c.p.t, err)
				c.ask("kong.nginx.set_ctx", &kong_plugin_protocol.KV{K: key, V: value})
			}
		}
		read(c, phase)
		if phase == "log" {
			done <- struct{}{}
		}
	}, func(o *Options) {
		o.Config.Plugins = o.Config.Plugins[:1]
		o.Config.Plugins[0].Route = nil
	})
	require.Equal(t, 200, b.get("/x?a=1").StatusCode)
	<-done
	for _, phase := range []string{"rewrite", "access", "response", "log"} {
		a := got[phase]
		assert.NotNil(t, a["host_port"], phase)
		assert.Equal(t, []any{"a", 1.0}, a["mine"], phase)
		assert.Nil(t, a["no"], phase)
		assert.Equal(t, declarative.WorkspaceID, a["workspace"], phase)
		if phase == "rewrite" {
			assert.Nil(t, a["route"])
			assert.Nil(t, a["balancer_data"])
			assert.Nil(t, a["request_uri"])
			continue
		}
		assert.Equal(t, "/x?a=1", a["request_uri"], phase)
		assert.Equal(t, "http", a["scheme"], phase)
		assert.Equal(t, "r", a["route"].(map[string]any)["name"], phase)
		data := a["balancer_data"].(map[string]any)
		assert.Equal(t, "ipv4", data["type"], phase)
		assert.Equal(t, "127.0.0.1", data["host"], phase)
		assert.Equal(t, 5.0, data["retries"], phase)
	}
	assert.Equal(t, true, got["access"]["delay_response"])
	assert.Nil(t, got["response"]["delay_response"])
	assert.Nil(t, got["access"]["KONG_PROXIED"])
	assert.Equal(t, true, got["response"]["KONG_PROXIED"])
	assert.Nil(t, got["access"]["KONG_WAITING_TIME"])
	assert.NotNil(t, got["response"]["KONG_WAITING_TIME"])
	assert.Nil(t, got["response"]["KONG_RECEIVE_TIME"])
	assert.NotNil(t, got["log"]["KONG_RECEIVE_TIME"])
	assert.Equal(t, 200.0, got["response"]["buffered_status"])
}
