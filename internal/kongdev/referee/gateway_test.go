package referee

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/schema"
)

// kongFiles are the gateway configurations of the recordings, by plugin. %s is the upstream's address.
var kongFiles = map[string]string{ // read-only
	"tplug": `
_format_version: "3.0"
services:
- name: up
  url: %s
  routes:
  - name: r
    paths: [/]
    strip_path: false
    plugins:
    - name: tplug
      config: {message: hello, num: 3, list: [a, b], map: {k: v}, sub: {a: x, b: [1, 2]}}
  - name: regex
    paths: ['~/items/(?<id>\d+)']
    strip_path: false
    plugins:
    - name: tplug
      instance_name: second
      config: {message: second, list: [], map: {}}
consumers:
- {username: bob, custom_id: bob-1}
`,
	"probe": `
_format_version: "3.0"
services:
- name: up
  url: %s
  plugins:
  - name: probe
    config: {message: hello, num: 1}
  routes:
  - {name: r, paths: [/], strip_path: false}
  - {name: rx, paths: ['~/items/(?<id>\d+)/(.*)'], strip_path: false}
consumers:
- {username: bob, custom_id: bob-1}
`,
	"noop": `
_format_version: "3.0"
services:
- name: up
  url: %s
  plugins:
  - name: noop
  routes:
  - {name: r, paths: [/], strip_path: false}
`,
	"bad": `
_format_version: "3.0"
services:
- name: up
  url: %s
  plugins:
  - name: bad
    config: {message: hello, num: 1}
  routes:
  - {name: r, paths: [/], strip_path: false}
`,
}

// upstream answers as the upstream of the recordings did. /echo tells what reached it.
func upstream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/echo"):
		body, _ := io.ReadAll(r.Body)
		headers := map[string]string{"host": r.Host}
		for name, values := range r.Header {
			headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"method": r.Method, "uri": r.RequestURI, "headers": headers, "body_len": len(body)})
		w.(http.Flusher).Flush() // no Content-Length
	case strings.HasPrefix(r.URL.Path, "/missing"):
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"err":"nope"}`)
	default:
		w.Header().Set("X-Up", "yes")
		_, _ = io.WriteString(w, `{"ok":true}`)
	}
}

// A seen frame is one that kongdev sent or received, or the opening or end of a connection.
type seen struct {
	conn     int64
	toPlugin bool
	kind     string
	method   string
	data     string
}

// A bench is a gateway with one of the recorded plugins.
type bench struct {
	*kongdev.Gateway
	t      testing.TB
	plugin string

	quiet  atomic.Bool // frames are not kept
	mu     sync.Mutex
	frames []seen
}

// newBench starts a gateway for the plugin. server is where the plugin runs; "" means that the test plays it.
func newBench(t testing.TB, plugin, server string) *bench {
	t.Helper()
	b := &bench{t: t, plugin: plugin}
	up := httptest.NewServer(http.HandlerFunc(upstream))
	t.Cleanup(up.Close)
	dir, err := os.MkdirTemp("", "kr") // short: socket paths are limited
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	ps := external.Server{Name: plugin, QueryCmd: install(t, dir, onGoPDK, plugin) + " -dump"}
	if server != "" {
		ps.StartCmd = install(t, dir, server, plugin) + " -kong-prefix " + dir
	}
	config, err := declarative.Parse("kong.yml", fmt.Appendf(nil, kongFiles[plugin], up.URL))
	require.NoError(t, err)
	infos, err := external.QueryAll(t.Context(), []external.Server{ps})
	require.NoError(t, err)
	declared, err := schema.FromDump(infos[plugin].Schema)
	require.NoError(t, err)
	require.NoError(t, config.CompletePlugins(declarative.Schemas{Running: map[string]schema.Plugin{plugin: declared}}))
	log, err := os.Create(filepath.Join(dir, "error.log"))
	require.NoError(t, err)
	b.Gateway, err = kongdev.Start(t.Context(), kongdev.Options{
		Config: config, Prefix: dir, Plugins: []external.Server{ps}, Infos: infos, Log: log, OnFrame: b.onFrame,
		LoopTurn: 5 * time.Second, // in 14 the repeat comes before Kong has noticed that its idle connections have ended too; it has before 15
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("error.log:\n%s", text)
		}
	})
	if server != "" {
		b.ready()
	}
	return b
}

// install makes this test binary the plugin on the named server.
func install(t testing.TB, dir, server, plugin string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(dir, server, plugin)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	if os.Link(self, path) == nil {
		return path
	}
	data, err := os.ReadFile(self)
	require.NoError(t, err)
	syscall.ForkLock.RLock() // a process that starts in the meantime has the file open, and it could not be executed
	err = os.WriteFile(path, data, 0o755)
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	return path
}

func (b *bench) onFrame(f kongdev.Frame) {
	if b.quiet.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frames = append(b.frames, seen{f.Conn, f.ToPlugin, f.Kind, f.Method, string(f.Data)})
}

// take returns the frames since the last call.
func (b *bench) take() []seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	frames := b.frames
	b.frames = nil
	return frames
}

// patience is how long anything may take before a test fails.
const patience = time.Minute

// idle waits until the gateway has nothing to do: the next request then finds the connections in the pool, as the
// recorded ones did.
func (b *bench) idle() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(b.t, b.Idle(ctx))
}

// ready waits until the plugin takes events.
func (b *bench) ready() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(b.t, b.Ready(ctx))
	require.NoError(b.t, kongdevtest.WaitWorker(ctx, filepath.Join(b.Prefix(), b.plugin+".socket"), b.plugin))
}

func (b *bench) addr() string { return strings.TrimPrefix(b.URL(), "http://") }
