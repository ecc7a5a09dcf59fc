package docs_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// withoutRights is a user whom the modes of files hold back: this one, but for root.
func withoutRights() int {
	const nobody = 65534
	if user := os.Getuid(); user != 0 {
		return user
	}
	return nobody
}

// run runs a command without the environment of the tests and returns all that it says. It must fail.
func run(t *testing.T, user int, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if user != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}} //nolint:gosec // a constant
	}
	out, err := cmd.CombinedOutput()
	require.ErrorAs(t, err, new(*exec.ExitError), "%s %v: %s", path, args, out)
	return string(out)
}

func (s *script) plugin(t *testing.T, args ...string) {
	t.Helper()
	s.WriteString(run(t, os.Getuid(), filepath.Join(bin, "moesif"), args...))
}

// A script collects what commands say that have ended.
type script struct{ strings.Builder }

func (s *script) said() func() string { return s.String }

// folder is a short one, since socket paths are limited, that other users may read.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kd")
	require.NoError(t, err)
	t.Cleanup(func() { _ = kongdev.RemovePrefix(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // a test folder
	return dir
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func kongDoesNotStart(t *testing.T) func() string {
	var s script
	dir := folder(t)
	ask := func(command string) {
		_, err := kongdev.QueryPlugin(t.Context(), kongdev.PluginServer{Name: "moesif", QueryCmd: command})
		require.Error(t, err)
		s.WriteString(err.Error() + "\n")
	}
	ask("")
	ask("/nowhere/moesif -dump")
	ask(filepath.Join(bad, "plain") + " -dump") // the kernel says the same on a noexec mount
	ask(filepath.Join(bad, "foreign") + " -dump")

	downloaded := filepath.Join(dir, "moesif-linux-amd64")
	require.NoError(t, os.Link(filepath.Join(bin, "moesif"), downloaded))
	noted := exec.CommandContext(t.Context(), downloaded, "-dump")
	noted.Stderr = &s
	out, err := noted.Output()
	require.NoError(t, err)
	_, problems := kongdev.CheckDump("moesif", out)
	require.NotEmpty(t, problems)
	for _, p := range problems {
		s.WriteString(p.Error() + "\n")
	}
	start := func(config string) {
		s.WriteString(run(t, os.Getuid(), filepath.Join(bin, "kongdev"), "-f", write(t, dir, "kong.yml", config), "-plugins", bin, "-listen", "127.0.0.1:0", "-admin", "off"))
	}
	start(`
_format_version: "3.0"
plugins:
- {name: moesif, config: {batch_size: 0}}
- {name: keyauth, config: {key_names: apikey, keynames: []}}
`)
	start("_format_version: \"3.0\"\nplugins: [{name: request-size-limiting}]\n")
	start(`
_format_version: "3.0"
plugins:
- {name: moesif, config: {application_id: a}}
- {name: moesif, config: {application_id: b}}
`)
	return s.said()
}

func pluginDoesNotStart(t *testing.T) func() string {
	var s script
	dir := folder(t)
	s.plugin(t, "-kong-prefix", filepath.Join(dir, "none"))
	s.plugin(t, "-kong-prefix", write(t, dir, "file", ""))
	s.plugin(t, "-kong-prefix", filepath.Join(dir, strings.Repeat("long", 30)))
	write(t, dir, "moesif.socket", "")
	s.plugin(t, "-kong-prefix", dir)
	s.plugin(t, "-prefix", dir)
	s.plugin(t, "-phases", "acces")
	s.plugin(t, "-metrics", "9542")

	closed := filepath.Join(dir, "closed")
	require.NoError(t, os.Mkdir(closed, 0o555)) //nolint:gosec // a test folder
	s.WriteString(run(t, withoutRights(), filepath.Join(bin, "moesif"), "-kong-prefix", closed))
	return s.said()
}

func checkFails(t *testing.T) func() string {
	prefixes := []string{
		folder(t), // nothing is there
		listening(t, nil),
		listening(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), // until the check gives up
		listening(t, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 4)) }),
		listening(t, func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 4))
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_, _ = io.Copy(io.Discard, c)
		}),
	}
	closed := listening(t, func(net.Conn) {})
	require.NoError(t, os.Chmod(filepath.Join(closed, "moesif.socket"), 0))
	var s script
	s.WriteString(run(t, withoutRights(), filepath.Join(bin, "moesif"), "-check", "-kong-prefix", closed))
	return func() string {
		for _, prefix := range prefixes { // on a busy machine a second may not be enough for one of these servers
			s.plugin(t, "-check", "-kong-prefix", prefix)
		}
		return s.String()
	}
}

// listening is a prefix in which something has the plugin's socket; without serve it has ended.
func listening(t *testing.T, serve func(net.Conn)) (prefix string) {
	t.Helper()
	prefix = folder(t)
	l, err := net.Listen("unix", filepath.Join(prefix, "moesif.socket"))
	require.NoError(t, err)
	if serve == nil {
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		require.NoError(t, l.Close())
		return prefix
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return prefix
}

func validateFindsMistakes(t *testing.T) func() string {
	var s script
	dir := folder(t)
	for plugin, text := range map[string]string{
		"moesif": `
_format_version: "3.0"
plugins:
- name: moesif
  config: {aplication_id: a, batch_size: 0, flush_after_ms: soon}
`,
		"keyauth": `
_format_version: "3.0"
plugins:
- name: keyauth
  config: {key_names: apikey}
`,
		"datakit": `
_format_version: "3.0"
plugins:
- name: datakit
  config:
    nodes:
    - {name: A, type: jq, input: B, jq: ".["}
    - {name: B, type: jq, input: A, jq: "."}
`} {
		s.WriteString(run(t, os.Getuid(), filepath.Join(bin, plugin), "-validate", write(t, dir, plugin+".yml", text)))
	}
	s.plugin(t, "-validate", write(t, dir, "other.yml", "_format_version: \"3.0\"\nplugins:\n- {nam: moesif}\n"))
	s.plugin(t, "-validate", write(t, dir, "broken.yml", "plugins: ["))
	s.plugin(t, "-validate", filepath.Join(dir, "none.yml"))
	return s.said()
}

// pluginIsNotThere runs a gateway whose start commands are wrong.
func pluginIsNotThere(t *testing.T) func() string {
	dir := folder(t)
	prefix := folder(t)
	server := func(name, start string) kongdev.PluginServer {
		return kongdev.PluginServer{Name: name, QueryCmd: filepath.Join(bin, name) + " -dump", StartCmd: start}
	}
	servers := []kongdev.PluginServer{
		server("moesif", "/nowhere/moesif"),
		server("keyauth", filepath.Join(bad, "plain")+" -kong-prefix "+prefix),
		server("datakit", filepath.Join(bin, "datakit")+" -kong-prefix "+filepath.Join(dir, "other")),
	}
	config, err := kongdev.Parse("kong.yml", []byte(`
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
	_, more := startGateway(t, kongdev.Options{Config: config, Prefix: alone, Infos: infos, Plugins: []kongdev.PluginServer{
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
