package kongdev

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/uri"
)

// withUpstream replaces the recorded upstream.
func withUpstream(t *testing.T, h http.HandlerFunc) func(*Options) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return func(o *Options) {
		_, o.Config.Services[0].Port = uri.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	}
}

func TestUpstreamRequest(t *testing.T) {
	type seen struct {
		method, uri, host, body string
		header                  http.Header
	}
	var got seen
	record := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = seen{r.Method, r.RequestURI, r.Host, string(body), r.Header}
	}
	t.Run("as the client sent it", func(t *testing.T) {
		b, _ := newFakeBench(t, `"access"`, ignore, withUpstream(t, record))
		b.do("POST", "/a%20b/./c?x=%41&y", "hello", "X-Forwarded-For", "10.0.0.1", "TE", "gzip", "Proxy", "evil", "X-Two", "1", "X-Two", "2", "Connection", "X-Hop", "X-Hop", "1")
		assert.Equal(t, "POST", got.method)
		assert.Equal(t, "/a%20b/c?x=%41&y", got.uri)
		assert.Equal(t, "hello", got.body)
		h := got.header
		assert.Equal(t, strings.TrimPrefix(b.Config().Services[0].Host, "")+":"+lua.FormatNumber(float64(b.Config().Services[0].Port), 10), got.host)
		port := lua.FormatNumber(float64(b.listeners[0].Addr().(*net.TCPAddr).Port), 10)
		for name, want := range map[string]string{
			"X-Forwarded-For": "10.0.0.1, 127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "127.0.0.1", "X-Forwarded-Port": port,
			"X-Forwarded-Path": "/a%20b/./c", "X-Real-Ip": "127.0.0.1", "Via": "1.1 kong/3.9.1", "Connection": "keep-alive", "Content-Length": "5",
			"Te": "", "Proxy": "", "X-Hop": "", "X-Forwarded-Prefix": "", "Transfer-Encoding": "",
		} {
			assert.Equal(t, want, h.Get(name), name)
		}
		assert.Equal(t, []string{"1", "2"}, h["X-Two"])
		assert.Regexp(t, `^[0-9a-f]{32}$`, h.Get("X-Kong-Request-Id"))
	})
	t.Run("as a plugin changed it", func(t *testing.T) {
		b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
			c.ask("kong.service.request.set_method", str("PUT"))
			c.ask("kong.service.request.set_path", str("/new path"))
			c.ask("kong.service.request.set_raw_query", str("a=b c"))
			c.ask("kong.service.request.set_header", mustKV("Host", "changed.example"))
			c.ask("kong.service.request.set_header", mustKV("X-Evil", "a\r\nb"))
			c.ask("kong.service.request.set_header", mustKV("X Odd:", "v"))
			c.ask("kong.service.request.set_header", mustKV("", "nameless"))
			c.ask("kong.service.request.clear_header", str("user-agent"))
			c.ask("kong.service.request.set_raw_body", &kong_plugin_protocol.ByteString{V: []byte("\xffnew")})
			s, _ := structpb.NewStruct(map[string]any{"X-List": []any{"1", "2"}, "X-Gone": []any{}, "X-Num": 7})
			c.ask("kong.service.request.set_headers", s)
		}, withUpstream(t, record))
		b.do("POST", "/old?x=1", strings.Repeat("z", 10000), "X-Gone", "1")
		assert.Equal(t, "PUT", got.method)
		assert.Equal(t, "/new%20path?a=b%20c", got.uri)
		assert.Equal(t, "changed.example", got.host)
		assert.Equal(t, "\xffnew", got.body)
		assert.Equal(t, "a%0D%0Ab", got.header.Get("X-Evil"))
		assert.Equal(t, "v", got.header.Get("X%20odd%3a"))
		assert.Equal(t, []string{"1", "2"}, got.header["X-List"])
		assert.Equal(t, "7", got.header.Get("X-Num"))
		assert.NotContains(t, got.header, "X-Gone")
		assert.NotContains(t, got.header, "User-Agent")
	})
	t.Run("strip_path and preserve_host", func(t *testing.T) {
		b, _ := newFakeBench(t, `"access"`, ignore, withUpstream(t, record), func(o *Options) {
			r := o.Config.Routes[0]
			r.Paths, r.StripPath, r.PreserveHost = []string{"/api"}, true, true
			o.Config.Services[0].Path = "/base"
		})
		b.get("/api/x")
		assert.Equal(t, "/base/x", got.uri)
		assert.Equal(t, strings.TrimPrefix(b.URL(), "http://"), got.host)
		assert.Equal(t, "/api", got.header.Get("X-Forwarded-Prefix"))
	})
	t.Run("another target", func(t *testing.T) {
		b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
			var ok kong_plugin_protocol.Bool
			_ = proto.Unmarshal(c.ask("kong.service.set_upstream", str("nobody")), &ok)
			assert.False(c.p.t, ok.V)
			_ = proto.Unmarshal(c.ask("kong.service.set_upstream", str("pool")), &ok)
			assert.True(c.p.t, ok.V)
		}, withUpstream(t, record), func(o *Options) {
			s := o.Config.Services[0]
			o.Config.Upstreams = []*declarative.Upstream{{Name: "pool", Targets: []declarative.Target{{Target: fmt.Sprintf("127.0.0.1:%d", s.Port), Weight: 100}}}}
			s.Host, s.Port = "nowhere.invalid", 80
		})
		assert.Equal(t, 200, b.get("/").StatusCode)
		assert.True(t, strings.HasPrefix(got.host, "127.0.0.1:"), got.host)
	})
}

func TestUpstreamFailures(t *testing.T) {
	serialized := make(chan string, 10)
	plugin := func(c *fakeConn, phase string, _ int32) {
		if phase == "log" {
			serialized <- c.text("kong.log.serialize", nil)
		}
		if phase == "response" {
			c.ask("kong.response.set_header", mustKV("X-Response-Handler", "ran"))
		}
	}
	for _, phases := range []string{`"access","log"`, `"access","response","log"`} {
		t.Run(phases, func(t *testing.T) {
			t.Run("refused", func(t *testing.T) {
				b, _ := newFakeBench(t, phases, plugin, func(o *Options) { o.Config.Services[0].Port = deadPort(t); o.Config.Services[0].Retries = 2 })
				r := b.get("/", "Accept", "application/xml")
				assert.Equal(t, 502, r.StatusCode)
				assert.Contains(t, r.body, "<message>An invalid response was received from the upstream server</message>")
				assert.Empty(t, r.Header.Get("X-Response-Handler"))
				text := <-serialized
				assert.Equal(t, 3, strings.Count(text, `"state":"failed"`), text)
				assert.Contains(t, text, `"source":"kong"`)
				assert.Zero(t, b.Stats().Failed, "no plugin is to blame")
			})
			t.Run("silent", func(t *testing.T) {
				b, _ := newFakeBench(t, phases, plugin, withUpstream(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), func(o *Options) {
					o.Config.Services[0].ReadTimeout = 50
				})
				r := b.get("/")
				assert.Equal(t, 504, r.StatusCode)
				assert.Equal(t, "The upstream server is timing out\nrequest_id: "+r.Header.Get("X-Kong-Request-Id")+"\n", strings.ReplaceAll(r.body, "\r", ""), "without Accept the page is plain text")
				<-serialized
			})
			t.Run("unknown name", func(t *testing.T) {
				b, _ := newFakeBench(t, phases, plugin, func(o *Options) { o.Config.Services[0].Host = unknownHost })
				r := b.get("/")
				assert.Equal(t, 503, r.StatusCode)
				assert.Contains(t, r.body, "name resolution failed")
				<-serialized
			})
			t.Run("broken off", func(t *testing.T) {
				b, _ := newFakeBench(t, phases, plugin, withUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Length", "100")
					_, _ = io.WriteString(w, "short")
				}))
				resp, err := http.Get(b.URL())
				require.NoError(t, err)
				_, err = io.ReadAll(resp.Body)
				require.NoError(t, resp.Body.Close())
				if strings.Contains(phases, "response") {
					require.NoError(t, err)
					assert.Equal(t, 502, resp.StatusCode)
				} else {
					require.Error(t, err, "the client must not take the half for the whole")
				}
				<-serialized
			})
		})
	}
	t.Run("no service", func(t *testing.T) {
		b, _ := newFakeBench(t, `"access"`, ignore, func(o *Options) { o.Config.Routes[0].Service = nil })
		r := b.get("/")
		assert.Equal(t, 503, r.StatusCode)
		assert.Contains(t, r.body, "no Service found with those values")
	})
}

// Without buffering the first piece reaches the client before the last is made.
func TestStreaming(t *testing.T) {
	last := make(chan struct{})
	b, _ := newFakeBench(t, `"access"`, ignore, withUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		<-last
		_, _ = io.WriteString(w, "last\n")
	}))
	resp, err := http.Get(b.URL())
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "first\n", line)
	close(last)
	line, err = lines.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "last\n", line)
}

// Buffering can be switched on without a response handler; log then has the body.
func TestBufferingOnDemand(t *testing.T) {
	bodies := make(chan string, 1)
	b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
		if phase == "access" {
			kv := &kong_plugin_protocol.KV{K: "buffered_proxying", V: structpb.NewBoolValue(true)}
			c.ask("kong.nginx.set_ctx", kv)
			return
		}
		bodies <- c.text("kong.service.response.get_raw_body", nil)
	})
	assert.Equal(t, `{"ok":true}`, b.get("/").body)
	assert.Equal(t, `{"ok":true}`, <-bodies)
}

// An upgrade is passed through, and not buffered.
func TestWebsocket(t *testing.T) {
	phases := make(chan string, 4)
	b, _ := newFakeBench(t, `"access","response","log"`, func(_ *fakeConn, phase string, _ int32) { phases <- phase }, withUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "keep-alive, Upgrade" {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
	}))
	c, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://"))
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	require.NoError(t, err)
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, 101, resp.StatusCode)
	_, err = io.WriteString(c, "hello\n")
	require.NoError(t, err)
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "echo hello\n", line)
	assert.Equal(t, "access", <-phases)
	assert.Equal(t, "log", <-phases)
	assert.Contains(t, b.log.String(), "response buffering was turned off: connection upgrade (websocket)")
}

// The body file is readable by its owner alone, and goes with the request.
func TestBodyFile(t *testing.T) {
	var name string
	var mode os.FileMode
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		var r kong_plugin_protocol.RawBodyResult
		_ = proto.Unmarshal(c.ask("kong.request.get_raw_body", nil), &r)
		if name = r.GetBodyFilepath(); name == "" {
			return
		}
		info, err := os.Stat(name)
		assert.NoError(c.p.t, err)
		mode = info.Mode()
	})
	for size, inFile := range map[int]bool{bodyBuffer: false, bodyBuffer + 1: true} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", size))
			if chunked {
				body = io.MultiReader(body)
			}
			resp, err := http.Post(b.URL()+"/echo", "text/plain", body)
			require.NoError(t, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Contains(t, string(text), fmt.Sprintf(`"body_len":%d`, size))
			assert.Equal(t, inFile, name != "", "%d bytes, chunked %v", size, chunked)
			if inFile {
				assert.Equal(t, os.FileMode(0o600), mode)
				assert.Equal(t, filepath.Join(b.Prefix(), bodyFolder), filepath.Dir(name))
				require.Eventually(t, func() bool { _, err := os.Stat(name); return os.IsNotExist(err) }, time.Minute, time.Millisecond)
			}
		}
	}
}

func TestBuiltInHost(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, ignore, func(o *Options) {
		o.Hosts = map[string]http.Handler{"echo.kongdev": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })}
		o.Config.Services[0].Host, o.Config.Services[0].Port = "echo.kongdev", 80
	})
	assert.Equal(t, "echo.kongdev", b.get("/").body)
}

func TestBalancer(t *testing.T) {
	d := &declarative.Config{Upstreams: []*declarative.Upstream{{Name: "u", Targets: []declarative.Target{{Target: "a:1", Weight: 2}, {Target: "b:2", Weight: 1}, {Target: "c:3"}}}, {Name: "none"}}}
	all := newBalancers(d)
	count := map[string]int{}
	for range 30 {
		t, _ := all["u"].pick()
		count[t.host]++
	}
	assert.Equal(t, map[string]int{"a": 20, "b": 10}, count)
	_, ok := all["none"].pick()
	assert.False(t, ok)
}

func TestStartErrors(t *testing.T) {
	ctx := context.Background()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = busy.Close() }()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	unknown := recordedConfig("http://127.0.0.1:1")
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"nothing", Options{}, "no configuration given"},
		{"workers", Options{Config: &declarative.Config{}, Workers: -1}, "1 to 64"},
		{"port", Options{Config: &declarative.Config{}, Listen: busy.Addr().String()}, "is in use by another process"},
		{"prefix", Options{Config: &declarative.Config{}, Prefix: file + "/below"}, "cannot be written"},
		{"level", Options{Config: &declarative.Config{}, LogLevel: "loud"}, `"loud"`},
		{"plugin", Options{Config: unknown}, "kong.yml:1: plugin 'tplug' not enabled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Start(ctx, tt.o)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// Each of 16 clients keeps asking while the plugin server is killed: whatever
// fails has a reason, and in the end everything works again.
func TestKillsUnderLoad(t *testing.T) {
	b := newBench(t, withTplug(t))
	b.ready()
	const clients = 16
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	requests, failed := 0, 0
	for range clients {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Get(b.URL())
				if !assert.NoError(t, err) {
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				mu.Lock()
				requests++
				if resp.StatusCode != 200 {
					failed++
					f, ok := b.Failure(resp.Header.Get("X-Kong-Request-Id"))
					forgotten := b.Stats().Requests+clients > keptFailures // perhaps: thousands can fail within a moment
					assert.True(t, ok || forgotten)
					assert.NotEqual(t, "lua error", f.Reason, f.Text)
				}
				mu.Unlock()
			}
		})
	}
	for range 2 {
		pid := b.PluginPID("tplug")
		require.NoError(t, b.SignalPlugin("tplug", 9))
		require.Eventually(t, func() bool { now := b.PluginPID("tplug"); return now != 0 && now != pid }, time.Minute, time.Millisecond)
		b.ready()
	}
	close(stop)
	wg.Wait()
	b.waitQuiet()
	assert.EqualValues(t, failed, b.Stats().Failed)
	require.Eventually(t, func() bool { return b.get("/").StatusCode == 200 }, time.Minute, time.Millisecond, "a lost claim is given up after a while, as in Kong")
	t.Logf("%d requests, %d failed, %v", requests, failed, b.Stats().Failures)
}
