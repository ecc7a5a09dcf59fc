package kongdev

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"kong-go-plugins/internal/kongdev/external"
)

// A change of the configuration gives every configuration a new number, the
// changed and the others: the next event of each starts an instance, then closes
// the old one, on the connections that are there.
func TestReconfigure(t *testing.T) {
	var mu sync.Mutex
	var commands []string
	b, p := newFakeBench(t, `"access"`, ignore, func(o *Options) {
		o.OnFrame = func(f Frame) {
			var call kong_plugin_protocol.RpcCall
			if f.Kind != "RpcCall" || proto.Unmarshal(f.Data, &call) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case call.GetCmdStartInstance() != nil:
				commands = append(commands, "start")
			case call.GetCmdCloseInstance() != nil:
				commands = append(commands, "close")
			default:
				commands = append(commands, "event")
			}
		}
	})
	require.Equal(t, 200, b.get("/").StatusCode)
	require.Equal(t, 200, b.get("/items/1").StatusCode)
	require.Len(t, p.started(), 2)

	next := recordedConfig(b.upstream.URL)
	next.Plugins[0].Config["message"] = "changed"
	require.NoError(t, b.Reconfigure(next))
	require.Equal(t, 200, b.get("/").StatusCode)
	require.Equal(t, 200, b.get("/").StatusCode)
	require.Equal(t, 200, b.get("/items/1").StatusCode)

	starts := p.started()
	require.Len(t, starts, 4)
	assert.Equal(t, "changed", starts[2]["message"])
	assert.Equal(t, "second", starts[3]["message"], "all instances are started again")
	for _, i := range []int{2, 3} {
		assert.Equal(t, starts[i-2]["__plugin_id"], starts[i]["__plugin_id"])
		assert.Greater(t, starts[i]["__seq__"], starts[i-2]["__seq__"])
	}
	p.mu.Lock()
	closes := p.closes
	p.mu.Unlock()
	assert.Equal(t, []int32{int32(starts[0]["__seq__"].(float64)), int32(starts[1]["__seq__"].(float64))}, closes)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, strings.Fields("start event start event start close event event start close event"), commands)
	assert.EqualValues(t, 1, b.Stats().Connections)

	next.Plugins[0].Name = "nobody"
	require.ErrorContains(t, b.Reconfigure(next), "plugin 'nobody' not enabled")
	require.NoError(t, b.Close())
	require.Error(t, b.Reconfigure(recordedConfig(b.upstream.URL)))
}

// A server that refuses to close an instance changes nothing.
func TestCloseInstanceErrorsAreIgnored(t *testing.T) {
	b, p := newFakeBench(t, `"access"`, ignore)
	p.onClose = func(c *fakeConn) bool { return false }
	require.Equal(t, 200, b.get("/").StatusCode)
	require.NoError(t, b.Reconfigure(b.Config()))
	require.Equal(t, 200, b.get("/").StatusCode)
	assert.Len(t, p.started(), 2)
	assert.Zero(t, b.Stats().Failed)
}

// Kong runs the query commands again when it is reloaded.
func TestReloadQueriesAgain(t *testing.T) {
	dump := filepath.Join(t.TempDir(), "dump.json")
	write := func(text string) { require.NoError(t, os.WriteFile(dump, []byte(text), 0o600)) }
	write(`{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"tplug","Phases":["access"],"Version":"1","Priority":1,"Schema":{"name":"tplug","fields":[]}}]}`)
	var phases []string
	b, _ := newFakeBench(t, `"access"`, func(_ *fakeConn, phase string, _ int32) { phases = append(phases, phase) }, func(o *Options) {
		o.Plugins = []external.Server{{Name: "tplug", QueryCmd: "cat " + dump}}
	})
	require.Equal(t, 200, b.get("/").StatusCode)

	write(`{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"tplug","Phases":["rewrite","access"],"Version":"2","Priority":1,"Schema":{"name":"tplug","fields":[]}}]}`)
	global := recordedConfig(b.upstream.URL)
	global.Plugins[0].Route = nil
	require.NoError(t, b.Reload(global))
	require.Equal(t, 200, b.get("/").StatusCode)
	assert.Equal(t, []string{"access", "rewrite", "access"}, phases)
	assert.Equal(t, "2", b.Infos()["tplug"].Version)

	write("nonsense")
	require.ErrorContains(t, b.Reload(global), "failed decoding plugin info")
	require.Equal(t, 200, b.get("/").StatusCode, "the old workers go on")
}
