package pluginserver

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// A peer is Kong's end of one connection.
type peer struct {
	t    testing.TB
	conn interface {
		net.Conn
		CloseWrite() error
	}
}

// rig is a server on a socket, with a plugin whose handlers are functions of the test.
type rig struct {
	*server
	t    testing.TB
	path string
	logs *lines
}

// lines collects a log.
type lines struct {
	mu  sync.Mutex
	all []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, p...)
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.all)
}

// testConfig runs what the test put into handlers.
type testConfig struct {
	Message  string `json:"message"`
	handlers *testHandlers
}

type testHandlers struct {
	access, response, log func(config *testConfig, kong *pdk.PDK)
	prepared, closed      func(config *testConfig)
}

func (c *testConfig) Access(kong *pdk.PDK)   { c.call(c.handlers.access, kong) }
func (c *testConfig) Response(kong *pdk.PDK) { c.call(c.handlers.response, kong) }
func (c *testConfig) Log(kong *pdk.PDK)      { c.call(c.handlers.log, kong) }
func (c *testConfig) Prepare() {
	if c.handlers.prepared != nil {
		c.handlers.prepared(c)
	}
}
func (c *testConfig) Close() {
	if c.handlers.closed != nil {
		c.handlers.closed(c)
	}
}

func (c *testConfig) call(f func(*testConfig, *pdk.PDK), kong *pdk.PDK) {
	if f != nil {
		f(c, kong)
	}
}

func rigConfig(h testHandlers, change []func(*serverConfig)) (serverConfig, *lines) {
	logs := &lines{}
	c := serverConfig{
		plugin: Plugin{Name: "test", Version: "1.2.3", Priority: 7, New: func() any { return &testConfig{handlers: &h} }},
		name:   "test",
		log:    slog.New(slog.NewTextHandler(logs, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	c.reports = NewReports()
	c.reports.configure(c.log, c.name)
	return c, logs
}

func newRig(t testing.TB, h testHandlers, change ...func(*serverConfig)) *rig {
	t.Helper()
	c, logs := rigConfig(h, change)
	dir, err := os.MkdirTemp("", "ps")
	require.NoError(t, err)
	r := &rig{server: newServer(c), t: t, path: filepath.Join(dir, "test.socket"), logs: logs}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.path, Net: "unix"})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- r.serve(l) }()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		r.shutdown()
		_ = os.RemoveAll(dir)
	})
	return r
}

func (r *rig) dial() *peer {
	r.t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.path, Net: "unix"})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() })
	return &peer{r.t, conn}
}

// send writes a frame as Kong does: length and payload by two sends.
func (p *peer) send(payload []byte) {
	p.t.Helper()
	_, err := p.conn.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(payload))))
	require.NoError(p.t, err)
	if len(payload) > 0 {
		_, err = p.conn.Write(payload)
		require.NoError(p.t, err)
	}
}

func (p *peer) tryRead() ([]byte, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Minute))
	var head [4]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return nil, err
	}
	payload := make([]byte, binary.LittleEndian.Uint32(head[:]))
	_, err := io.ReadFull(p.conn, payload)
	return payload, err
}

func (p *peer) read() []byte {
	p.t.Helper()
	payload, err := p.tryRead()
	require.NoError(p.t, err)
	return payload
}

func (p *peer) sendMessage(m proto.Message) {
	p.t.Helper()
	b, err := proto.Marshal(m)
	require.NoError(p.t, err)
	p.send(b)
}

// start starts an instance and returns its id.
func (p *peer) start(config map[string]any) int32 {
	p.t.Helper()
	b, err := json.Marshal(config)
	require.NoError(p.t, err)
	p.sendMessage(&kong_plugin_protocol.RpcCall{Sequence: 5, Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
		CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: "test", Config: b},
	}})
	return p.status(5).InstanceId
}

func (p *peer) status(sequence int64) *kong_plugin_protocol.InstanceStatus {
	p.t.Helper()
	var ret kong_plugin_protocol.RpcReturn
	require.NoError(p.t, proto.Unmarshal(p.read(), &ret))
	require.Equal(p.t, sequence, ret.Sequence)
	require.NotNil(p.t, ret.GetInstanceStatus())
	return ret.GetInstanceStatus()
}

func (p *peer) closeInstance(id int32) {
	p.t.Helper()
	p.sendMessage(&kong_plugin_protocol.RpcCall{Sequence: 6, Call: &kong_plugin_protocol.RpcCall_CmdCloseInstance{
		CmdCloseInstance: &kong_plugin_protocol.CmdCloseInstance{InstanceId: id},
	}})
	require.Equal(p.t, id, p.status(6).InstanceId)
}

func (p *peer) event(id int32, phase string) {
	p.t.Helper()
	p.sendMessage(&kong_plugin_protocol.RpcCall{Sequence: 77, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{
		CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: id, EventName: phase},
	}})
}

// A pdkCall is what Kong saw of one call.
type pdkCall struct {
	method string
	args   []byte
}

func (c pdkCall) String() string { return fmt.Sprintf("%s(%q)", c.method, c.args) }

// answers decides Kong's reply to a call; false ends the connection as a Lua error does.
type answers func(pdkCall) ([]byte, bool)

func noAnswer(pdkCall) ([]byte, bool) { return nil, true }

// run plays one event to its end and returns what Kong saw. err is non-nil when the connection ended before the event.
func (p *peer) run(id int32, phase string, answer answers) (calls []pdkCall, err error) {
	p.t.Helper()
	p.event(id, phase)
	for {
		name, err := p.tryRead()
		if err != nil {
			return calls, err
		}
		if len(name) == 0 {
			break
		}
		args, err := p.tryRead()
		if err != nil {
			return calls, err
		}
		call := pdkCall{string(name), args}
		calls = append(calls, call)
		if call.method == exitMethod { // Kong abandons the connection
			_ = p.conn.Close()
			return calls, net.ErrClosed
		}
		reply, ok := answer(call)
		if !ok {
			_ = p.conn.Close()
			return calls, net.ErrClosed
		}
		p.send(reply)
	}
	var ret kong_plugin_protocol.RpcReturn
	require.NoError(p.t, proto.Unmarshal(p.read(), &ret))
	require.Equal(p.t, int64(77), ret.Sequence)
	return calls, nil
}

func methodsOf(calls []pdkCall) []string {
	names := []string{}
	for _, c := range calls {
		names = append(names, c.method)
	}
	return names
}
