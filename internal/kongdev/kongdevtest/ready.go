package kongdevtest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// WaitReady waits until every plugin server takes events, for instance after one was killed. This project's own server
// takes connections before it has a worker, and answers by the plugin's policy when that takes long, on a busy machine.
func (g *Gateway) WaitReady() {
	g.t.Helper()
	ctx, cancel := g.patience()
	defer cancel()
	require.NoError(g.t, g.Ready(ctx))
	for plugin, pid := range g.Stats().PluginPIDs {
		for pid != 0 && g.answersByPolicy(ctx, plugin) {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// answersByPolicy reports whether a plugin's server says that it has no phases, for want of a worker.
func (g *Gateway) answersByPolicy(ctx context.Context, plugin string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(g.prefix, plugin+".socket"))
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	call, err := proto.Marshal(&kong_plugin_protocol.RpcCall{Sequence: 1, Call: &kong_plugin_protocol.RpcCall_CmdGetPluginInfo{
		CmdGetPluginInfo: &kong_plugin_protocol.CmdGetPluginInfo{Name: plugin}}})
	require.NoError(g.t, err)
	if _, err := conn.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(call))), call...)); err != nil {
		return false
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return false
	}
	answer := make([]byte, binary.LittleEndian.Uint32(size[:]))
	var result kong_plugin_protocol.RpcReturn
	if _, err := io.ReadFull(conn, answer); err != nil || proto.Unmarshal(answer, &result) != nil {
		return false
	}
	info := result.GetPluginInfo()
	return info != nil && len(info.GetPhases()) == 0
}
