package kongdev

import (
	"os"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev/lua"
)

// nodeMethods are kong.node and kong.ip.
var nodeMethods = map[string]pdkMethod{ // read-only
	"kong.node.get_id":           {anyPhase, true, textCall(func(q *request) (lua.Value, error) { return q.gw.nodeID, nil })},
	"kong.node.get_memory_stats": {anyPhase, true, memoryStats},
	// Kong trusts no address unless trusted_ips is set.
	"kong.ip.is_trusted": {anyPhase, true, func(_ *event, args []byte) ([]byte, error) {
		_, err := textArg(args)
		return nil, err
	}},
}

// memoryStats tells Kong's default sizes of its two dictionaries and one Lua VM
// per worker; what is allocated is no real figure here.
func memoryStats(ev *event, _ []byte) ([]byte, error) {
	dict := func(capacity, allocated int64) []byte { return appendInt(appendInt(nil, 1, allocated), 2, capacity) }
	dicts := protowire.AppendBytes([]byte{0x0a}, dict(5<<20, 1<<16))
	dicts = protowire.AppendBytes(append(dicts, 0x12), dict(128<<20, 1<<20))
	out := protowire.AppendBytes([]byte{0x0a}, dicts)
	for id := range ev.req.gen.workers {
		vm := appendInt(appendInt(nil, 1, 32<<20), 2, int64(os.Getpid()+id))
		out = protowire.AppendBytes(append(out, 0x12), vm)
	}
	return out, nil
}
