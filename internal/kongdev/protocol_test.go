package kongdev

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/lua"
)

// Each wait on a plugin server's socket ends after 60 seconds, as a time-out.
func TestSocketTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _, _ = near.Close(), far.Close() }()
		c := newPluginConn(near, socketTimeout)
		start := time.Now()
		_, err := c.readFrame()
		assert.Equal(t, &rpcError{text: "timeout"}, err, "returned, not raised")
		assert.Equal(t, time.Minute, time.Since(start))

		go func() { // slow, but never silent for a minute
			for _, b := range []byte{3, 0, 0, 0, 'a', 'b', 'c'} {
				time.Sleep(50 * time.Second)
				_, _ = far.Write([]byte{b})
			}
		}()
		frame, err := c.readFrame()
		require.NoError(t, err)
		assert.Equal(t, "abc", string(frame))

		start = time.Now()
		err = c.writeFrame("step_reply", "kong.x", []byte("abc"))
		assert.Equal(t, &lua.Error{Text: "timeout"}, err, "Kong asserts that a send succeeds")
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

// pools are those of all workers.
func (b *bench) pools() (pools []*pool) {
	for _, w := range b.gen.Load().workers {
		for _, p := range w.pools {
			pools = append(pools, p)
		}
	}
	return pools
}

// impatient makes the next wait for bytes on a connection short, and no other. It is called by who owns the connection.
func (b *bench) impatient(conn int64) {
	for _, p := range b.pools() {
		p.mu.Lock()
		for c := range p.all {
			if c.id == conn {
				c.wait, c.readRenew, c.writeRenew = time.Millisecond, time.Time{}, time.Now().Add(time.Hour)
			}
		}
		p.mu.Unlock()
	}
}

// A handler that is silent too long is a 500; Kong does not repeat the event.
func TestSilentHandler(t *testing.T) {
	hang := make(chan struct{})
	var b *bench
	b, _ = newFakeBench(t, `"access"`, func(*fakeConn, string, int32) { <-hang }, func(o *Options) {
		o.OnFrame = func(f Frame) {
			var call kong_plugin_protocol.RpcCall
			if f.Kind == "RpcCall" && proto.Unmarshal(f.Data, &call) == nil && call.GetCmdHandleEvent() != nil {
				b.impatient(f.Conn)
			}
		}
	})
	defer close(hang)
	r := b.get("/")
	assert.Equal(t, 500, r.StatusCode)
	assert.Equal(t, Failure{"access", "tplug", "timeout", "pluginserver error: timeout"}, b.failure(r))
	assert.Contains(t, r.body, unexpectedError)
	assert.Zero(t, b.Stats().Retries)
	assert.Zero(t, b.idle())
}

// A connection is closed when it has been idle too long, not before.
func TestIdleConnectionsEnd(t *testing.T) {
	dir, err := os.MkdirTemp("", "kd") // short: socket paths are limited
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	startFakePlugin(t, dir, ignore)
	log, err := errorlog.New(nil, "")
	require.NoError(t, err)
	const idle = 100 * time.Millisecond
	p, err := newPool(poolOptions{socket: filepath.Join(dir, "tplug.socket"), idle: idle, ids: new(atomic.Int64), counters: newCounters(), log: log})
	require.NoError(t, err)
	defer p.close()
	free := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.free)
	}
	for range 2 { // the watcher goes on
		c, _, err := p.get()
		require.NoError(t, err)
		start := time.Now()
		p.put(c)
		require.Eventually(t, func() bool { return free() == 0 }, time.Minute, time.Millisecond)
		assert.GreaterOrEqual(t, time.Since(start), idle)
		require.Eventually(t, func() bool { return errors.Is(c.SetDeadline(time.Time{}), net.ErrClosed) }, time.Minute, time.Millisecond)
	}
}

// The pool keeps 256 connections, those used last.
func TestPoolIsBounded(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, ignore)
	p := b.pools()[0]
	var conns []*pluginConn
	for range poolSize + 2 {
		c, reused, err := p.get()
		require.NoError(t, err)
		require.False(t, reused)
		conns = append(conns, c)
	}
	for _, c := range conns {
		p.put(c)
	}
	assert.Equal(t, poolSize, b.idle())
	newest, reused, err := p.get()
	require.NoError(t, err)
	assert.True(t, reused)
	assert.Same(t, conns[len(conns)-1], newest)
	_, err = conns[0].Write([]byte{0})
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = conns[1].Write([]byte{0})
	require.ErrorIs(t, err, net.ErrClosed)
	p.put(newest)
}

// The plugin server's name, which pluginserver_names gives, decides the socket;
// the dump's name is the plugin's. Where they differ nobody listens.
//
// Kong reads server names in lower case.
func TestThreeNames(t *testing.T) {
	rename := func(o *Options) {
		o.Plugins[0].Name = "My-Server"
	}
	b, p := newFakeBench(t, `"access"`, ignore, rename) // listens on tplug.socket
	r := b.get("/")
	assert.Equal(t, 500, r.StatusCode)
	assert.Equal(t, "start instance: no such file or directory", b.failure(r).Reason)
	assert.Equal(t, "My-Server", b.Infos()["tplug"].Server)
	assert.Contains(t, b.log.String(), "[warn] start_command undefined for pluginserver My-Server; assuming external process management")

	p.listen(filepath.Join(b.Prefix(), "my-server.socket"))
	assert.Equal(t, 200, b.get("/").StatusCode)
}

func TestCertificatePhase(t *testing.T) {
	var events, fail atomic.Int64
	answers := make(chan string, 10)
	b, _ := newFakeBench(t, `"certificate","access"`, func(c *fakeConn, phase string, _ int32) {
		if phase != "certificate" {
			return
		}
		events.Add(1)
		answers <- c.text("kong.client.get_ip", nil) + " " + c.text("kong.nginx.get_var", str("ssl_server_name")) + " " + c.text("kong.nginx.get_subsystem", nil)
		c.ask("kong.log.notice", &structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("text")}})
		if fail.Load() != 0 {
			c.ask("kong.request.get_path", nil)
		}
	}, func(o *Options) {
		o.Listen = "127.0.0.1:0, 127.0.0.1:0 ssl"
		o.Config.Plugins = o.Config.Plugins[:1]
		o.Config.Plugins[0].Route = nil
	})
	url := b.URLs()[1]
	require.Contains(t, url, "https://")
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "name.example"} //nolint:gosec // its certificate is made for this run
	client := dialOne(t, url, config)
	for range 2 { // one handshake
		req, err := http.NewRequest("GET", url, nil)
		require.NoError(t, err)
		resp, err := client.RoundTrip(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		_ = resp.Body.Close()
		assert.Equal(t, 200, resp.StatusCode)
	}
	assert.EqualValues(t, 1, events.Load())
	assert.Equal(t, "127.0.0.1 name.example http", <-answers)
	assert.Equal(t, 200, b.get("/").StatusCode, "without TLS there is no handshake")
	assert.EqualValues(t, 1, events.Load())

	fail.Store(1)
	_, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), config)
	require.ErrorContains(t, err, "tls")
	b.waitLog("function cannot be called in certificate phase")
	assert.Equal(t, int64(1), b.Stats().Failures["lua error"])
}

// Kong sends the length and the bytes of a frame by two calls; an empty frame by one.
func TestTwoSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _, _ = near.Close(), far.Close() }()
		c := newPluginConn(near, socketTimeout)
		go func() {
			_ = c.writeFrame("step_reply", "kong.x", []byte("abc"))
			_ = c.writeFrame("step_reply", "kong.x", nil)
			_ = near.Close()
		}()
		var sends []string
		buf := make([]byte, 100)
		for {
			n, err := far.Read(buf)
			if err != nil {
				break
			}
			sends = append(sends, string(buf[:n]))
		}
		assert.Equal(t, []string{"\x03\x00\x00\x00", "abc", "\x00\x00\x00\x00"}, sends)
	})
}
