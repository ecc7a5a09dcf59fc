package docs_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// pluginIsNotThere runs a gateway whose start commands are wrong.
func pluginIsNotThere(t *testing.T) func() string {
	dir := folder(t)
	prefix := folder(t)
	server := func(name, start string) external.Server {
		return external.Server{Name: name, QueryCmd: filepath.Join(bin, name) + " -dump", StartCmd: start}
	}
	servers := []external.Server{
		server("moesif", "/nowhere/moesif"),
		server("keyauth", filepath.Join(bad, "plain")+" -kong-prefix "+prefix),
		server("datakit", filepath.Join(bin, "datakit")+" -kong-prefix "+filepath.Join(dir, "other")),
	}
	config, err := declarative.Parse("kong.yml", []byte(`
_format_version: "3.0"
services:
- name: s
  url: http://echo.kongdev
  routes: [{name: r, paths: [/]}]
plugins:
- {name: datakit, config: {nodes: [{name: A, type: static, values: {a: b}}]}}
- {name: moesif, config: {application_id: a}}
- {name: keyauth}
`))
	require.NoError(t, err)
	infos, schemas, err := kongdev.Schemas(t.Context(), servers)
	require.NoError(t, err)
	require.NoError(t, config.CompletePlugins(schemas))
	g, log := startGateway(t, kongdev.Options{Config: config, Prefix: prefix, Plugins: servers, Infos: infos})
	answer, err := http.Get(g.URL() + "/") //nolint:noctx // a test
	require.NoError(t, err)
	defer answer.Body.Close()
	assert.Equal(t, http.StatusInternalServerError, answer.StatusCode)

	alone := folder(t)
	_, more := startGateway(t, kongdev.Options{Config: config, Prefix: alone, Infos: infos, Plugins: []external.Server{
		server("moesif", ""), server("keyauth", filepath.Join(bad, "foreign")), server("datakit", ""),
	}})
	return func() string { return log() + more() }
}

func startGateway(t *testing.T, o kongdev.Options) (*kongdev.Gateway, func() string) {
	t.Helper()
	log := &openLog{}
	o.Log = log
	g, err := kongdev.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g, log.String
}

// An openLog can be read while it is written.
type openLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *openLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *openLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// upstreams is the upper part of a gateway's configuration.
const upstreams = `
_format_version: "3.0"
services:
- name: s
  url: http://echo.kongdev
  routes: [ROUTES]
plugins:
`

// gateway starts one with a route for each configuration of a plugin, under /0, /1 ..., and sends a request to each.
func gateway(t *testing.T, plugin string, flags []string, configs ...string) (*kongdevtest.Gateway, func() string) {
	t.Helper()
	var routes, plugins []string
	for i, c := range configs {
		name := string(rune('0' + i))
		routes = append(routes, "{name: r"+name+", paths: [/"+name+"]}")
		plugins = append(plugins, "- {name: "+plugin+", route: r"+name+", config: {"+c+"}}\n")
	}
	g := kongdevtest.Start(t, kongdevtest.Options{
		Config:  strings.Replace(upstreams, "ROUTES", strings.Join(routes, ", "), 1) + strings.Join(plugins, ""),
		Plugins: map[string]string{plugin: filepath.Join(bin, plugin)},
		Flags:   map[string][]string{plugin: flags},
	})
	answers := ""
	for i := range configs {
		answers += g.Send("GET", "/"+string(rune('0'+i)), "", "apikey", "wrong").Body + "\n"
	}
	return g, func() string { return answers + g.Log() }
}

// collector is one that answers with a status.
func collector(t *testing.T, status int) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// silent is an address at which nobody says a word.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// away is an address at which nobody listens, and nobody will: it is taken.
func away(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	address, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
}

func pluginRuns(t *testing.T) func() string {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	g, said := gateway(t, "moesif", []string{"-metrics", taken.Addr().String()}, "application_id: a, api_endpoint: 'file:///dev/null'")
	require.NoError(t, os.Remove(filepath.Join(g.Prefix(), "moesif.socket")))
	g.WaitLog("the socket was removed")
	g.WaitReady()
	g.KillWorker("moesif")
	g.WaitReady()
	require.NoError(t, os.Link(filepath.Join(bin, "keyauth"), g.Binary("moesif")+".new"))
	require.NoError(t, os.Rename(g.Binary("moesif")+".new", g.Binary("moesif")))
	require.NoError(t, g.SignalPlugin("moesif", syscall.SIGHUP))
	return said
}

func moesifInTrouble(t *testing.T) func() string {
	g, said := gateway(t, "moesif", []string{"-buffer", "on-demand"},
		"application_id: a, request_body_masks: ['$.[']",
		"application_id: b, api_endpoint: '"+collector(t, 401)+"', flush_after_ms: 10",
		"application_id: c, api_endpoint: '"+collector(t, 402)+"', flush_after_ms: 10",
		"application_id: d, api_endpoint: '"+collector(t, 404)+"', flush_after_ms: 10",
		"application_id: e, api_endpoint: '"+collector(t, 503)+"', flush_after_ms: 10",
		"application_id: f, api_endpoint: 'http://"+away(t)+"', flush_after_ms: 10, governance_fail_open: false",
		"application_id: g, api_endpoint: '"+collector(t, 200)+"', spool_dir: /dev/null/spool",
		"application_id: h, api_endpoint: 'http://"+away(t)+"', flush_after_ms: 300000, spool_dir: '', event_queue_size: 1", // while uploads fail, drops are said with them, a minute later
		"application_id: i, api_endpoint: 'file:///dev/null/events', flush_after_ms: 10",
		"application_id: j, api_endpoint: 'file:///dev/null', max_events_sent_per_callback: 5",
	)
	for range 3 {
		g.Send("GET", "/7", "") // more events than there is room for
	}
	return said
}

func keyauthInTrouble(t *testing.T) func() string {
	dir := folder(t)
	_, said := gateway(t, "keyauth", nil,
		"realm: \"a\\nb\"",
		"stores: [redis], redis: {url: 'redis://"+away(t)+"/0'}",
		"file: "+filepath.Join(dir, "none.yml"),
		"anonymous: nobody",
		"stores: [admin_api], admin_api: {url: '"+collector(t, 401)+"'}",
		"snapshot: "+write(t, dir, "keys.jsonl", "{}\n"),
		"",
	)
	return said
}

func datakitInTrouble(t *testing.T) func() string {
	_, said := gateway(t, "datakit", nil,
		"nodes: [{name: A, type: jq, input: B, jq: .}, {name: B, type: jq, input: A, jq: .}]",
		"nodes: [{name: A, type: call, url: '"+collector(t, 503)+"'}]",
		"nodes: [{name: A, type: call, url: 'http://"+away(t)+"'}]",
		"nodes: [{name: A, type: static, values: {url: 'http://169.254.169.254/'}}, {name: B, type: call, inputs: {url: A.url}}]",
		"nodes: [{name: A, type: jq, input: request.headers, jq: 'error(\"not today\")'}]",
		"nodes: [{name: A, type: call, url: 'http://"+silent(t)+"', timeout: 60000}], timeout_ms: 100",
	)
	return said
}
