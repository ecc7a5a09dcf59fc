package kongdev

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

// AwaitWorkers is AwaitWorker for the servers of all plugins.
func (g *Gateway) AwaitWorkers(ctx context.Context) {
	for _, p := range g.gen.Load().plugins {
		if p.socket != "" && len(p.Phases) > 0 {
			AwaitWorker(ctx, p.socket, p.Name)
		}
	}
}

// AwaitWorker waits until a plugin server takes events, or ctx ends. This project's own server takes connections before it
// has a worker, and answers by the plugin's policy when that takes long, on a busy machine. It has no phases then; one that
// does not say so is taken as it is.
func AwaitWorker(ctx context.Context, socket, plugin string) {
	for ctx.Err() == nil && answersByPolicy(ctx, socket, plugin) {
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
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
	answer, err := io.ReadAll(io.LimitReader(conn, int64(binary.LittleEndian.Uint32(size[:]))))
	var result kong_plugin_protocol.RpcReturn
	if err != nil || proto.Unmarshal(answer, &result) != nil {
		return false
	}
	info := result.GetPluginInfo()
	return info != nil && len(info.GetPhases()) == 0
}
