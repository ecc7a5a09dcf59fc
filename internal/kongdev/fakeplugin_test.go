package kongdev

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"kong-go-plugins/internal/kongdev/external"
)

// A fakePlugin is a plugin server in the test: it starts instances by itself
// and leaves events to a function.
type fakePlugin struct {
	t       testing.TB
	l       *net.UnixListener
	onEvent func(c *fakeConn, phase string, instance int32)
	onStart func(c *fakeConn, config map[string]any) bool // false: do not answer
	onClose func(c *fakeConn) bool                        // the same for closing an instance

	mu     sync.Mutex
	conns  map[*fakeConn]bool
	starts []map[string]any // configurations, in order
	closes []int32          // instances
}

// A fakeConn is one of its connections. A function that closes it, or sets
// mute, gets no end of event sent after it.
type fakeConn struct {
	net.Conn
	p    *fakePlugin
	mute bool
}

// startFakePlugin listens where the gateway looks for the plugin.
func startFakePlugin(t testing.TB, prefix string, onEvent func(c *fakeConn, phase string, instance int32)) *fakePlugin {
	t.Helper()
	p := &fakePlugin{t: t, onEvent: onEvent, conns: map[*fakeConn]bool{}}
	p.listen(filepath.Join(prefix, "tplug.socket"))
	t.Cleanup(p.kill)
	return p
}

func (p *fakePlugin) listen(socket string) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	require.NoError(p.t, err)
	p.l = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c := &fakeConn{Conn: conn, p: p}
			p.mu.Lock()
			p.conns[c] = true
			p.mu.Unlock()
			go c.serve()
		}
	}()
}

// kill ends the listener and every connection.
func (p *fakePlugin) kill() {
	_ = p.l.Close()
	p.closeConns()
}

func (p *fakePlugin) closeConns() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *fakePlugin) started() []map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]map[string]any(nil), p.starts...)
}

func (c *fakeConn) serve() {
	defer func() { _ = c.Close() }()
	for {
		frame, err := readPlainFrame(c)
		if err != nil {
			return
		}
		var call kong_plugin_protocol.RpcCall
		if proto.Unmarshal(frame, &call) != nil {
			return
		}
		ret := &kong_plugin_protocol.RpcReturn{Sequence: call.Sequence}
		switch {
		case call.GetCmdStartInstance() != nil:
			var config map[string]any
			if json.Unmarshal(call.GetCmdStartInstance().Config, &config) != nil {
				return
			}
			c.p.mu.Lock()
			c.p.starts = append(c.p.starts, config)
			c.p.mu.Unlock()
			if c.p.onStart != nil && !c.p.onStart(c, config) {
				return
			}
			ret.Return = &kong_plugin_protocol.RpcReturn_InstanceStatus{InstanceStatus: &kong_plugin_protocol.InstanceStatus{
				Name: "tplug", InstanceId: int32(config["__seq__"].(float64)),
			}}
		case call.GetCmdCloseInstance() != nil:
			c.p.mu.Lock()
			c.p.closes = append(c.p.closes, call.GetCmdCloseInstance().InstanceId)
			c.p.mu.Unlock()
			if c.p.onClose != nil && !c.p.onClose(c) {
				return
			}
		case call.GetCmdHandleEvent() != nil:
			c.mute = false
			c.p.onEvent(c, call.GetCmdHandleEvent().EventName, call.GetCmdHandleEvent().InstanceId)
			if c.mute {
				continue
			}
			c.send(nil)
		}
		out, _ := proto.Marshal(ret)
		c.send(out)
	}
}

func (c *fakeConn) send(frame []byte) {
	_, _ = c.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(frame))), frame...))
}

// ask makes one PDK call and returns the reply; nil when the connection ended.
func (c *fakeConn) ask(method string, args proto.Message) []byte {
	var data []byte
	if args != nil {
		data, _ = proto.Marshal(args)
	}
	c.send([]byte(method))
	c.send(data)
	reply, err := readPlainFrame(c)
	if err != nil {
		c.mute = true
		return nil
	}
	return reply
}

func (c *fakeConn) text(method string, args proto.Message) string {
	var s kong_plugin_protocol.ByteString
	_ = proto.Unmarshal(c.ask(method, args), &s)
	return string(s.V)
}

func str(s string) proto.Message { return &kong_plugin_protocol.String{V: s} }

func readPlainFrame(c net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := readFull(c, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.LittleEndian.Uint32(head[:]))
	_, err := readFull(c, b)
	return b, err
}

func readFull(c net.Conn, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := c.Read(b[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// dumpedPlugin is a plugin server run by somebody else, whose dump is a file.
func dumpedPlugin(t *testing.T, name string, phases string) func(*Options) {
	t.Helper()
	dump := filepath.Join(t.TempDir(), "dump.json")
	text := fmt.Sprintf(`{"Protocol":"ProtoBuf:1","Plugins":[{"Name":%q,"Phases":[%s],"Version":"0.1.0","Priority":1500,"Schema":{"name":%q,"fields":[]}}]}`, name, phases, name)
	require.NoError(t, os.WriteFile(dump, []byte(text), 0o600))
	return func(o *Options) {
		o.Plugins = []external.Server{{Name: name, QueryCmd: "cat " + dump}}
	}
}
