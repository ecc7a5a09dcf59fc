package kongdev

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "tplug" { // Kong gives its plugins no environment to tell by
		runTplug()
		return
	}
	os.Exit(m.Run())
}

func TestGoPDKServer(t *testing.T) {
	b := newBench(t, withTplug(t))
	b.ready()

	t.Run("get", func(t *testing.T) {
		r := b.get("/hello?x=1&y=2&flag")
		require.Equal(t, 200, r.StatusCode)
		assert.Equal(t, `{"ok":true}`, r.body)
		assert.Equal(t, `msg=hello conf={"message":"hello","num":3,"flag":false,"list":["a","b"],"map":{"k":"v"},"sub":{"a":"x","b":[1,2]}}`, r.Header.Get("X-Go-Access"))
		assert.Equal(t, "200 <nil> src=service <nil> mark=abc <nil>", r.Header.Get("X-Go-Response"))
		assert.Equal(t, "kong/3.9.1", r.Header.Get("Server"))
		assert.Equal(t, "1.1 kong/3.9.1", r.Header.Get("Via"))
		for _, name := range []string{"X-Kong-Upstream-Latency", "X-Kong-Proxy-Latency", "X-Kong-Request-Id", "Date"} {
			assert.NotEmpty(t, r.Header.Get(name), name)
		}
		log := b.waitLog("LOG 200 abc")
		assert.Contains(t, log, `"querystring":{"flag":true,"x":"1","y":"2"}`)
	})
	t.Run("a large body comes as a file", func(t *testing.T) {
		r := b.do("POST", "/echo", strings.Repeat("x", 20011), "X-Test", "body")
		assert.Equal(t, "20011 err=<nil>", r.Header.Get("X-Body-Len"))
		assert.Contains(t, r.body, `"body_len":20011`)
		require.Eventually(t, func() bool { e, err := os.ReadDir(b.Prefix() + "/" + bodyFolder); return err == nil && len(e) == 0 }, time.Minute, time.Millisecond, "body file left behind")
	})
	t.Run("exit", func(t *testing.T) {
		r := b.get("/", "X-Test", "exit")
		assert.Equal(t, 418, r.StatusCode)
		assert.Equal(t, `{"teapot":true}`, r.body)
		assert.Equal(t, []string{"a", "b"}, r.Header["X-Multi"])
		assert.NotEmpty(t, r.Header.Get("X-Kong-Response-Latency"))
		assert.Empty(t, r.Header.Get("Via"))
		b.waitLog("LOG 418 abc")
	})
	t.Run("exit in response", func(t *testing.T) {
		r := b.get("/echo", "X-Test", "respexit")
		assert.Equal(t, 502, r.StatusCode)
		assert.Equal(t, "replaced", r.body)
		assert.Equal(t, "8", r.Header.Get("Content-Length"))
		assert.Equal(t, "1.1 kong/3.9.1", r.Header.Get("Via"))
	})
	t.Run("wrong phase", func(t *testing.T) {
		r := b.get("/", "X-Test", "badpdk")
		assert.Equal(t, 500, r.StatusCode)
		id := r.Header.Get("X-Kong-Request-Id")
		assert.Equal(t, "{\n  \"message\":\"An unexpected error occurred\",\n  \"request_id\":\""+id+"\"\n}", r.body)
		f, ok := b.Failure(id)
		require.True(t, ok)
		assert.Equal(t, "function cannot be called in access phase (only in: response, header_filter, body_filter, log, error, admin_api)", f.Text)
		assert.Equal(t, "lua error", f.Reason)
	})
	t.Run("delayed response refuses without reaching the upstream", func(t *testing.T) {
		r := b.get("/", "X-Test", "refuse", "Accept", "text/plain")
		assert.Equal(t, 401, r.StatusCode)
		assert.Equal(t, "Key", r.Header.Get("WWW-Authenticate"))
		assert.Equal(t, "Unauthorized\nrequest_id: "+r.Header.Get("X-Kong-Request-Id")+"\n", r.body)
		assert.Equal(t, "text/plain; charset=utf-8", r.Header.Get("Content-Type"))
	})
	t.Run("buffering switched off", func(t *testing.T) {
		r := b.get("/stream", "X-Test", "nobuffer")
		assert.Equal(t, "tick\ntick\ntick\n", r.body)
		assert.Empty(t, r.Header.Get("X-Go-Response"))
	})
	t.Run("environment", func(t *testing.T) {
		r := b.get("/", "X-Test", "pid")
		assert.Regexp(t, `^PWD=\S+$`, r.Header.Get("X-Plugin-Env"))
		assert.Equal(t, b.PluginPID("tplug"), atoi(t, r.Header.Get("X-Plugin-Pid")))
	})
	t.Run("no route", func(t *testing.T) {
		s := b.Stats()
		assert.Empty(t, s.NotImplemented)
		assert.Zero(t, s.Retries)
		assert.EqualValues(t, 1, s.Failed)
	})
}

func TestRespawn(t *testing.T) {
	b := newBench(t, withTplug(t))
	b.ready()
	first := b.PluginPID("tplug")
	require.NotZero(t, first)
	r := b.get("/", "X-Test", "panic") // the process dies; Kong repeats, and finds no server
	assert.Equal(t, 500, r.StatusCode)
	require.Eventually(t, func() bool { return b.get("/").StatusCode == 200 }, time.Minute, 10*time.Millisecond)
	second := b.PluginPID("tplug")
	assert.NotEqual(t, first, second)
	respawns := b.Stats().Respawns
	assert.Positive(t, respawns)

	require.NoError(t, b.SignalPlugin("tplug", syscall.SIGKILL))
	require.Eventually(t, func() bool { return b.Stats().Respawns > respawns }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return b.get("/").StatusCode == 200 }, time.Minute, 10*time.Millisecond)
	assert.NotEqual(t, second, b.PluginPID("tplug"))
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}
