package kongdev

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"kong-go-plugins/internal/kongdev/lua"
)

// newFakeBench is a gateway whose plugin is a function of the test.
func newFakeBench(t *testing.T, phases string, onEvent func(c *fakeConn, phase string, instance int32), changes ...func(*Options)) (*bench, *fakePlugin) {
	t.Helper()
	b := newBench(t, func(o *Options) {
		dumpedPlugin(t, "tplug", phases)(o)
		for _, change := range changes {
			change(o)
		}
	})
	return b, startFakePlugin(t, b.Prefix(), onEvent)
}

func ignore(*fakeConn, string, int32) {}

func (b *bench) failure(r reply) Failure {
	b.t.Helper()
	f, ok := b.Failure(r.Header.Get("X-Kong-Request-Id"))
	require.True(b.t, ok, "no failure noted")
	return f
}

// A server that closes the connection gets the event again, after a reset of
// the plugin's instances.
func TestClosedIsRepeated(t *testing.T) {
	var events atomic.Int64
	b, p := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		if events.Add(1) == 1 {
			_ = c.Close()
		}
	})
	assert.Equal(t, 200, b.get("/").StatusCode)
	assert.EqualValues(t, 2, events.Load())
	assert.EqualValues(t, 1, b.Stats().Retries)
	assert.Len(t, p.started(), 2)
	assert.Zero(t, b.Stats().Failed)
}

// Kong repeats for ever; kongdev stops and says so.
func TestEndlessRepeatsAreBounded(t *testing.T) {
	b, p := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) { _ = c.Close() })
	r := b.get("/")
	assert.Equal(t, 500, r.StatusCode)
	assert.Len(t, p.started(), maxRepeats+1)
	assert.Equal(t, "endless repeats", b.failure(r).Reason)
	assert.Contains(t, b.failure(r).Text, "Kong would repeat it without end")
}

// Anything but "closed" is a 500 at once.
func TestOtherSocketErrors(t *testing.T) {
	t.Run("no socket", func(t *testing.T) {
		b := newBench(t, dumpedPlugin(t, "tplug", `"access"`))
		r := b.get("/")
		assert.Equal(t, 500, r.StatusCode)
		assert.Equal(t, "start instance: no such file or directory", b.failure(r).Reason)
		assert.EqualValues(t, 1, b.Stats().Refused)
	})
	t.Run("refused", func(t *testing.T) {
		b, p := newFakeBench(t, `"access"`, ignore)
		require.Equal(t, 200, b.get("/").StatusCode)
		p.l.SetUnlinkOnClose(false)
		p.kill()
		require.Eventually(t, func() bool { return b.idle() == 0 }, time.Minute, time.Millisecond)
		r := b.get("/")
		assert.Equal(t, 500, r.StatusCode)
		assert.Equal(t, "connection refused", b.failure(r).Reason)
	})
	t.Run("reset", func(t *testing.T) {
		b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
			// A process that dies with unread bytes from Kong in its socket.
			c.send([]byte("kong.request.get_header"))
			c.send([]byte{0x0a, 1, 'x'})
			assert.Eventually(c.p.t, func() bool { return unread(c) > 0 }, time.Minute, time.Millisecond) // the reply is an empty frame: one send
			_ = c.Close()
		})
		r := b.get("/")
		assert.Equal(t, 500, r.StatusCode)
		assert.Equal(t, "connection reset by peer", b.failure(r).Reason)
		assert.Zero(t, b.Stats().Retries)
	})
	t.Run("closed while the instance starts", func(t *testing.T) {
		b, p := newFakeBench(t, `"access"`, ignore)
		p.onStart = func(*fakeConn, map[string]any) bool { return false }
		r := b.get("/")
		assert.Equal(t, 500, r.StatusCode)
		assert.Equal(t, "start instance: closed", b.failure(r).Reason)
		assert.Len(t, p.started(), 1)
	})
	t.Run("wrong sequence", func(t *testing.T) {
		b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
			c.send(nil)
			out, _ := proto.Marshal(&kong_plugin_protocol.RpcReturn{Sequence: 999})
			c.send(out)
			c.mute = true
		})
		r := b.get("/")
		assert.Equal(t, 500, r.StatusCode)
		assert.Equal(t, "lua error", b.failure(r).Reason)
	})
}

// unread is the number of bytes in the connection's receive buffer.
func unread(c *fakeConn) int {
	raw, err := c.Conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}

// idle counts the pooled connections of all workers.
func (b *bench) idle() int {
	n := 0
	for _, w := range b.gen.Load().workers {
		for _, p := range w.pools {
			p.mu.Lock()
			n += len(p.free)
			p.mu.Unlock()
		}
	}
	return n
}

// blind takes the idle connections from the watcher: what happens to them goes
// unnoticed, as within one turn of Kong's event loop.
func (b *bench) blind() {
	for _, w := range b.gen.Load().workers {
		for _, p := range w.pools {
			for _, c := range p.free {
				require.NoError(b.t, unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, c.fd, nil))
			}
		}
	}
}

func TestDeadPooledConnection(t *testing.T) {
	t.Run("noticed in time", func(t *testing.T) {
		b, p := newFakeBench(t, `"access"`, ignore)
		require.Equal(t, 200, b.get("/").StatusCode)
		require.Equal(t, 1, b.idle())
		p.closeConns()
		require.Eventually(t, func() bool { return b.idle() == 0 }, time.Minute, time.Millisecond)
		assert.Equal(t, 200, b.get("/").StatusCode)
		assert.Zero(t, b.Stats().Retries)
	})
	t.Run("not noticed yet: the send fails, 500 without a repeat", func(t *testing.T) {
		b, p := newFakeBench(t, `"access"`, ignore)
		require.Equal(t, 200, b.get("/").StatusCode)
		b.blind()
		p.closeConns()
		r := b.get("/")
		assert.Equal(t, 500, r.StatusCode)
		assert.Equal(t, "send: broken pipe", b.failure(r).Reason)
		assert.Zero(t, b.Stats().Retries)
	})
	t.Run("half-closed: a clean closed, repeated", func(t *testing.T) {
		b, p := newFakeBench(t, `"access"`, ignore)
		require.Equal(t, 200, b.get("/").StatusCode)
		b.blind()
		p.mu.Lock()
		for c := range p.conns {
			require.NoError(t, c.Conn.(*net.UnixConn).CloseWrite())
		}
		p.mu.Unlock()
		assert.Equal(t, 200, b.get("/").StatusCode)
		assert.EqualValues(t, 1, b.Stats().Retries)
	})
	t.Run("unasked bytes end an idle connection", func(t *testing.T) {
		b, p := newFakeBench(t, `"access"`, ignore)
		require.Equal(t, 200, b.get("/").StatusCode)
		p.mu.Lock()
		for c := range p.conns {
			c.send([]byte("kong.request.get_method"))
		}
		p.mu.Unlock()
		require.Eventually(t, func() bool { return b.idle() == 0 }, time.Minute, time.Millisecond)
	})
}

// A send that fails while an instance starts leaves the claim, and the next
// request waits (ten seconds) for it in vain: Kong does that too.
func TestLostClaim(t *testing.T) {
	b, p := newFakeBench(t, `"access"`, ignore)
	b.claimWait = 300 * time.Millisecond
	require.Equal(t, 200, b.get("/").StatusCode)
	b.gen.Load().reset("tplug")
	b.blind()
	p.closeConns()
	r := b.get("/")
	assert.Equal(t, 500, r.StatusCode)
	assert.Equal(t, "send: broken pipe", b.failure(r).Reason)
	start := time.Now()
	r = b.get("/")
	assert.Equal(t, 500, r.StatusCode)
	assert.Equal(t, "claim", b.failure(r).Reason)
	assert.GreaterOrEqual(t, time.Since(start), b.claimWait)
	assert.Equal(t, 200, b.get("/").StatusCode)
}

// Concurrent first events share one StartInstance.
func TestConcurrentFirstEvents(t *testing.T) {
	b, p := newFakeBench(t, `"access"`, ignore)
	release := make(chan struct{})
	p.onStart = func(*fakeConn, map[string]any) bool { <-release; return true }
	var wg sync.WaitGroup
	var ok atomic.Int64
	for range 8 {
		wg.Go(func() {
			if b.get("/").StatusCode == 200 {
				ok.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return len(p.started()) == 1 }, time.Minute, time.Millisecond)
	close(release)
	wg.Wait()
	assert.EqualValues(t, 8, ok.Load())
	assert.Len(t, p.started(), 1)
}

// Each worker has its own instances with its own numbers, and its own connections.
func TestTwoWorkers(t *testing.T) {
	b, p := newFakeBench(t, `"access"`, ignore, func(o *Options) { o.Workers = 2 })
	for range 6 {
		require.Equal(t, 200, b.get("/").StatusCode)
	}
	starts := p.started()
	require.Len(t, starts, 2)
	assert.NotEqual(t, starts[0]["__seq__"], starts[1]["__seq__"])
	assert.Equal(t, starts[0]["__plugin_id"], starts[1]["__plugin_id"])
	assert.Equal(t, 2, b.idle())

	// The death of the server, seen by one worker, is known to all.
	p.closeConns()
	require.Eventually(t, func() bool { return b.idle() == 0 }, time.Minute, time.Millisecond)
	b.gen.Load().reset("tplug")
	for range 2 {
		require.Equal(t, 200, b.get("/").StatusCode)
	}
	assert.Len(t, p.started(), 4)
}

// Calls that Kong does not have, or that its checks refuse, end the event.
func TestRefusedCalls(t *testing.T) {
	tests := []struct {
		name, method string
		args         proto.Message
		reason, text string
	}{
		{"unknown", "kong.request.get_body", nil, "unknown method", `pluginserver error: method "kong.request.get_body" not found`},
		{"phase", "kong.log.serialize", nil, "lua error", "function cannot be called in access phase (only in: log)"},
		{"max too small", "kong.request.get_headers", &kong_plugin_protocol.Int{}, "lua error", "max_headers must be >= 1"},
		{"max too large", "kong.request.get_query", &kong_plugin_protocol.Int{V: 1001}, "lua error", "max_args must be <= 1000"},
		{"argument without =", "kong.request.get_query_arg", str("flag"), "lua error", "bad argument #2 to 'encode' (string expected for field 'v', got boolean)"},
		{"method", "kong.service.request.set_method", str("BREW"), "lua error", "invalid method: BREW"},
		{"path", "kong.service.request.set_path", str("x"), "lua error", "path must start with /"},
		{"status", "kong.response.set_status", &kong_plugin_protocol.Int{V: 99}, "lua error", "code must be a number between 100 and 599"},
		{"exit status", "kong.response.exit", &kong_plugin_protocol.ExitArgs{}, "lua error", "code must be a number between 100 and 599"},
		{"consumer id", "kong.client.load_consumer", &kong_plugin_protocol.ConsumerSpec{Id: "bob"}, "lua error", "cannot load a consumer with an id that is not a uuid"},
		{"nobody", "kong.client.authenticate", &kong_plugin_protocol.AuthenticateArgs{}, "lua error", "either credential or consumer must be provided"},
		{"unbuffered body", "kong.nginx.set_ctx", nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) { c.ask(tt.method, tt.args) })
			r := b.get("/?flag")
			if tt.reason == "" {
				assert.Equal(t, 200, r.StatusCode)
				return
			}
			assert.Equal(t, 500, r.StatusCode)
			f := b.failure(r)
			assert.Equal(t, Failure{"access", "tplug", tt.reason, tt.text}, f)
			assert.Contains(t, r.body, unexpectedError)
			assert.Equal(t, 0, b.idle(), "the connection is not used again")
		})
	}
}

// In log Kong works with what it saved; everything else ends the event, and
// nobody but the error log learns of it.
func TestLogPhase(t *testing.T) {
	results := make(chan string, 1)
	b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
		if phase == "access" {
			c.ask("kong.log.set_serialize_value", &kong_plugin_protocol.KV{K: "my.value"})
			c.ask("kong.service.request.set_header", mustKV("Authorization", "Bearer x"))
			return
		}
		results <- c.text("kong.request.get_header", str("authorization")) + " " + c.text("kong.response.get_header", str("X-UP")) + " " + c.text("kong.log.serialize", nil)
		c.ask("kong.request.get_method", nil) // raises
	})
	require.Equal(t, 200, b.get("/").StatusCode)
	text := <-results
	assert.True(t, strings.HasPrefix(text, "Bearer x yes {"), text)
	assert.Contains(t, text, `"authorization":"REDACTED"`)
	b.waitLog("API disabled in the context of ngx.timer")
	require.Eventually(t, func() bool { return b.Stats().LostLogEvents == 1 }, time.Minute, time.Millisecond)
	assert.Zero(t, b.Stats().Failed)
}

// Global configurations log requests that no route took.
func TestLogWithoutRoute(t *testing.T) {
	logged := make(chan string, 1)
	b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
		logged <- phase + " " + c.text("kong.log.serialize", nil)
	}, func(o *Options) {
		o.Config.Routes = o.Config.Routes[1:]
		o.Config.Plugins = o.Config.Plugins[:1]
		o.Config.Plugins[0].Route = nil
	})
	r := b.get("/nowhere")
	assert.Equal(t, 404, r.StatusCode)
	assert.Contains(t, r.body, "no Route matched with those values")
	text := <-logged
	assert.True(t, strings.HasPrefix(text, "log {"), text)
	assert.NotContains(t, text, `"route"`)
	assert.NotContains(t, text, `"tries"`)
}

// Reload brings new instance numbers and a second process; the old one lives on for a while, and requests go on.
func TestReload(t *testing.T) {
	reload := func(t *testing.T, wait time.Duration) (b *bench, first int) {
		t.Helper()
		b = newBench(t, func(o *Options) {
			withTplug(t)(o)
			o.ReloadWait = wait
		})
		b.ready()
		require.Equal(t, 200, b.get("/").StatusCode)
		first = b.PluginPID("tplug")
		require.NoError(t, b.Reload(b.Config()))
		require.Eventually(t, func() bool { return b.PluginPID("tplug") != 0 }, time.Minute, time.Millisecond)
		assert.NotEqual(t, first, b.PluginPID("tplug"))
		return b, first
	}
	t.Run("before the wait is over", func(t *testing.T) {
		b, first := reload(t, time.Hour)
		require.Eventually(t, func() bool { return b.get("/").StatusCode == 200 }, time.Minute, time.Millisecond)
		assert.DirExists(t, procDir(first))
		require.NoError(t, b.Close())
		assert.NoDirExists(t, procDir(first))
	})
	t.Run("after it", func(t *testing.T) {
		b, first := reload(t, time.Millisecond)
		require.Eventually(t, func() bool { _, err := os.Stat(procDir(first)); return err != nil }, time.Minute, 5*time.Millisecond)
		require.Eventually(t, func() bool { return b.get("/").StatusCode == 200 }, time.Minute, time.Millisecond)
	})
}

func procDir(pid int) string { return filepath.Join("/proc", lua.FormatNumber(float64(pid), 10)) }

func mustKV(k, v string) proto.Message {
	kv := &kong_plugin_protocol.KV{}
	_ = proto.Unmarshal(append(appendText(nil, 1, k), append([]byte{0x12, byte(len(v) + 2), 0x1a, byte(len(v))}, v...)...), kv)
	return kv
}
