package kongdevtest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// WaitReady waits until every plugin server takes events, for instance after one was killed.
func (g *Gateway) WaitReady() {
	g.t.Helper()
	ctx, cancel := g.patience()
	defer cancel()
	require.NoError(g.t, g.Ready(ctx))
	for plugin, pid := range g.Stats().PluginPIDs {
		if pid != 0 {
			require.NoError(g.t, WaitWorker(ctx, filepath.Join(g.prefix, plugin+".socket"), plugin))
		}
	}
}

// WaitWorker waits until the plugin server, which listens on the socket, does not answer by its plugin's policy any
// more. This project's own server takes connections before it has a worker, and answers so when that takes long, on a
// busy machine. The error is ctx's.
func WaitWorker(ctx context.Context, socket, plugin string) error {
	for answersByPolicy(ctx, socket, plugin) {
		time.Sleep(5 * time.Millisecond)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("plugin %s has no worker: %w", plugin, context.Cause(ctx))
	}
	return nil
}

// answersByPolicy reports whether a plugin's server says that it has no phases, for want of a worker.
func answersByPolicy(ctx context.Context, socket, plugin string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	call, err := proto.Marshal(&kong_plugin_protocol.RpcCall{Sequence: 1, Call: &kong_plugin_protocol.RpcCall_CmdGetPluginInfo{
		CmdGetPluginInfo: &kong_plugin_protocol.CmdGetPluginInfo{Name: plugin}}})
	if err != nil {
		return false
	}
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
