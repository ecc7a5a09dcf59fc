package kongdev

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/uri"
)

// syncBuffer is a log that a test can read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// recordedUpstream answers as the upstream of the recordings did.
func recordedUpstream() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasPrefix(r.URL.Path, "/echo"):
			body, _ := io.ReadAll(r.Body)
			names := make([]string, 0, len(r.Header))
			for name, values := range r.Header {
				for _, v := range values {
					names = append(names, fmt.Sprintf("%s=%s", strings.ToLower(name), v))
				}
			}
			_, _ = fmt.Fprintf(w, `{"method":%q,"uri":%q,"host":%q,"headers":%q,"body_len":%d}`, r.Method, r.RequestURI, r.Host, names, len(body))
			w.(http.Flusher).Flush()
		case strings.HasPrefix(r.URL.Path, "/missing"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"err":"nope"}`)
		case strings.HasPrefix(r.URL.Path, "/stream"):
			for range 3 {
				_, _ = io.WriteString(w, "tick\n")
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond) // the upstream's pace, nothing is decided by it
			}
		default:
			w.Header().Set("X-Up", "yes")
			_, _ = io.WriteString(w, `{"ok":true}`)
		}
	})
}

// A bench is a gateway with one plugin and the recorded upstream.
type bench struct {
	*Gateway
	t        *testing.T
	log      *syncBuffer
	upstream *httptest.Server
}

// recordedConfig is the gateway configuration of the recordings 01 to 16.
func recordedConfig(upstream string) *declarative.Config {
	host, port := uri.SplitHostPort(strings.TrimPrefix(upstream, "http://"))
	up := &declarative.Service{
		ID: "dea4c45f-3d88-5461-8ebd-05ae5bbbf87a", Name: "up", Protocol: "http", Host: host, Port: port, Retries: 5,
		ConnectTimeout: 60000, ReadTimeout: 60000, WriteTimeout: 60000, Enabled: true, CreatedAt: 1795286202, UpdatedAt: 1795286202,
	}
	route := func(id, name, path string) *declarative.Route {
		return &declarative.Route{
			ID: id, Name: name, Protocols: []string{"http", "https"}, Paths: []string{path}, Service: up, HTTPSRedirectStatusCode: 426,
			PathHandling: "v0", RequestBuffering: true, ResponseBuffering: true, CreatedAt: 1795286202, UpdatedAt: 1795286202,
		}
	}
	r := route("da7ba03a-f1be-52d4-8a7e-c8f32640689a", "r", "/")
	regex := route("57c54a02-281e-5f35-80a3-b3f03419fd4f", "regex", `~/items/(?<id>\d+)`)
	plugin := func(id string, r *declarative.Route, config map[string]any) *declarative.Plugin {
		return &declarative.Plugin{ID: id, Name: "tplug", Route: r, Enabled: true, Protocols: []string{"grpc", "grpcs", "http", "https"}, Config: config, File: "kong.yml", Line: 1}
	}
	second := plugin("a47d1de9-88fe-51c1-8ce4-d692c374c6cc", regex, map[string]any{
		"message": "second", "list": []any{}, "map": map[string]any{}, "sub": map[string]any{},
	})
	second.InstanceName = "second"
	return &declarative.Config{
		Services: []*declarative.Service{up}, Routes: []*declarative.Route{r, regex},
		Consumers: []*declarative.Consumer{{ID: "def4f7d3-9863-5ad2-8fa9-c949bf26f55e", Username: "bob", CustomID: "bob-1", CreatedAt: 1795286953}},
		Plugins: []*declarative.Plugin{plugin("cbec1c30-5c4b-57e8-9916-b6fc23aa4eba", r, map[string]any{
			"message": "hello", "num": 3, "list": []any{"a", "b"}, "map": map[string]any{"k": "v"}, "sub": map[string]any{"a": "x", "b": []any{1, 2}},
		}), second},
	}
}

// newBench starts a gateway; change may alter its options first.
func newBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, log: &syncBuffer{}, upstream: httptest.NewServer(recordedUpstream())}
	t.Cleanup(b.upstream.Close)
	dir, err := os.MkdirTemp("", "kd") // short: socket paths are limited
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	o := Options{Config: recordedConfig(b.upstream.URL), Prefix: dir, Log: b.log, LogLevel: "debug"}
	change(&o)
	b.Gateway, err = Start(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		if t.Failed() {
			t.Log(b.log.String())
		}
	})
	return b
}

// withTplug runs the recorded plugin on go-pdk's own server.
func withTplug(t *testing.T) func(*Options) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	bin := filepath.Join(t.TempDir(), "tplug") // go-pdk names the plugin after its file
	require.NoError(t, copyFile(bin, self))
	return func(o *Options) {
		o.Plugins = []external.Server{{Name: "tplug", QueryCmd: bin + " -dump", StartCmd: bin + " -kong-prefix " + o.Prefix}}
	}
}

type reply struct {
	*http.Response
	body string
}

// do sends a request; headers are name, value pairs.
func (b *bench) do(method, path, body string, headers ...string) reply {
	b.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, b.URL()+path, r)
	require.NoError(b.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return reply{resp, string(text)}
}

func (b *bench) get(path string, headers ...string) reply {
	b.t.Helper()
	return b.do("GET", path, "", headers...)
}

// waitLog waits until the error log has text.
func (b *bench) waitLog(text string) string {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return strings.Contains(b.log.String(), text) }, time.Minute, 5*time.Millisecond, "log without %q", text)
	return b.log.String()
}

func (b *bench) ready() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(b.t, b.Ready(ctx))
}

// unknownHost is a name that no resolver asks the network for: it is no name.
var unknownHost = strings.Repeat("x", 64) + ".invalid" // read-only

// deadPort is a port of 127.0.0.1 on which nobody listens as long as the test runs: it is taken.
func deadPort(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := unix.Getsockname(fd)
	require.NoError(t, err)
	return name.(*unix.SockaddrInet4).Port
}

func copyFile(to, from string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// waitQuiet waits until no request and no log event is running.
func (b *bench) waitQuiet() {
	b.t.Helper()
	active := &b.gen.Load().active
	require.Eventually(b.t, func() bool {
		active.mu.Lock()
		defer active.mu.Unlock()
		return active.inside == 0
	}, time.Minute, time.Millisecond)
}
