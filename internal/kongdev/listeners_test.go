package kongdev

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/declarative"
)

func TestParseListen(t *testing.T) {
	for in, want := range map[string]any{
		"":               []listenSpec{{"127.0.0.1:0", false}},
		"127.0.0.1:8000": []listenSpec{{"127.0.0.1:8000", false}},
		"0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384": []listenSpec{{"0.0.0.0:8000", false}, {"0.0.0.0:8443", true}},
		"[::1]:0 http2 so_keepalive=on":     []listenSpec{{"[::1]:0", false}},
		"127.0.0.1:8000,":                   "an address is missing",
		"8000":                              "missing port in address",
		"127.0.0.1:8000 sssl":               `unknown flag "sssl"; give it as Kong's proxy_listen`,
		"127.0.0.1:8000 ssl proxy_protocol": "proxy_protocol is not in kongdev",
	} {
		got, err := parseListen(in)
		if text, bad := want.(string); bad {
			assert.ErrorContains(t, err, text, in)
			continue
		}
		require.NoError(t, err, in)
		assert.Equal(t, want, got, in)
	}
}

// client speaks the given protocols only, and takes any certificate.
func client(t *testing.T, set ...func(*http.Protocols)) *http.Client {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)} //nolint:gosec // the test's own
	for _, f := range set {
		f(tr.Protocols)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func http1(p *http.Protocols) { p.SetHTTP1(true) }
func http2(p *http.Protocols) { p.SetHTTP2(true) }
func h2c(p *http.Protocols)   { p.SetUnencryptedHTTP2(true) }

func fetch(t *testing.T, c *http.Client, req *http.Request) reply {
	t.Helper()
	resp, err := c.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp, string(text)}
}

// Every protocol that a client can speak to Kong by default reaches the
// upstream and the plugin, also through a response phase.
func TestClientProtocols(t *testing.T) {
	for _, phases := range []string{`"access"`, `"access","response"`} {
		asked := make(chan []string, 1)
		b, _ := newFakeBench(t, phases, func(c *fakeConn, phase string, _ int32) {
			if phase == "access" {
				asked <- []string{
					c.text("kong.request.get_scheme", nil), c.text("kong.nginx.get_var", str("server_protocol")), c.text("kong.client.get_protocol", nil),
					fmt.Sprintf("%x", c.ask("kong.request.get_http_version", nil)),
				}
			}
		}, func(o *Options) { o.Listen = "127.0.0.1:0, 127.0.0.1:0 http2 ssl" })
		urls := b.URLs()
		require.Len(t, urls, 2)
		for _, tc := range []struct {
			name   string
			url    string
			client *http.Client
			proto  string
			asked  []string
			via    string
		}{
			{"http/1.1", urls[0], client(t, http1), "HTTP/1.1", []string{"http", "HTTP/1.1", "http", "099a9999999999f13f"}, "1.1"},
			{"h2c by prior knowledge", urls[0], client(t, h2c), "HTTP/2.0", []string{"http", "HTTP/2.0", "http", "090000000000000040"}, "2"},
			{"tls, http/1.1", urls[1], client(t, http1), "HTTP/1.1", []string{"https", "HTTP/1.1", "https", "099a9999999999f13f"}, "1.1"},
			{"tls, http/2", urls[1], client(t, http2), "HTTP/2.0", []string{"https", "HTTP/2.0", "https", "090000000000000040"}, "2"},
		} {
			t.Run(tc.name+" "+phases, func(t *testing.T) {
				req, err := http.NewRequest("POST", tc.url+"/echo?x=1", strings.NewReader("hello"))
				require.NoError(t, err)
				r := fetch(t, tc.client, req)
				assert.Equal(t, []any{200, tc.proto}, []any{r.StatusCode, r.Proto})
				assert.Equal(t, tc.asked, <-asked)
				assert.Contains(t, r.body, "x-forwarded-proto="+tc.asked[0])
				assert.Contains(t, r.body, "via="+tc.via+" kong/3.9.1")
				assert.Contains(t, r.body, `"body_len":5`)
				assert.Contains(t, r.body, "x-forwarded-port="+tc.url[strings.LastIndex(tc.url, ":")+1:])
				assert.Equal(t, "1.1 kong/3.9.1", r.Header.Get("Via"))
				assert.NotContains(t, r.Header, "Transfer-Encoding")
			})
		}
	}
}

// A route for https only does not take http, nor one for gRPC anything else.
func TestRouteProtocols(t *testing.T) {
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) { c.ask("kong.response.set_header", mustKV("X-Plugin", "ran")) }, func(o *Options) {
		o.Listen = "127.0.0.1:0, 127.0.0.1:0 ssl"
		add := func(path string, status int, protocols ...string) {
			r := *o.Config.Routes[0]
			r.ID, r.Name, r.Paths, r.Protocols, r.HTTPSRedirectStatusCode = declarative.UUIDv5(declarative.EntityNamespace, path), path, []string{path}, protocols, status
			o.Config.Routes = append(o.Config.Routes, &r)
			p := *o.Config.Plugins[0]
			p.ID, p.Route = declarative.UUIDv5(declarative.EntityNamespace, "p"+path), &r
			o.Config.Plugins = append(o.Config.Plugins, &p)
		}
		add("/https", 426, "https")
		add("/moved", 301, "https")
		add("/grpc", 426, "grpc", "grpcs")
		add("/grpcs", 426, "grpcs")
	})
	plain, secure := b.URLs()[0], b.URLs()[1]
	for _, tc := range []struct {
		name, url, contentType string
		client                 *http.Client
		status                 int
		header, value, body    string
	}{
		{"https by http", plain + "/https", "", client(t, http1), 426, "Upgrade", "TLS/1.2, HTTP/1.1", "Please use HTTPS protocol"},
		{"https by https", secure + "/https", "", client(t, http1), 200, "X-Plugin", "ran", `{"ok":true}`},
		{"redirected", plain + "/moved?a=1", "", client(t, http1), 301, "Location", "https://127.0.0.1/moved?a=1", ""},
		{"grpc without gRPC", plain + "/grpc", "text/plain", client(t, h2c), 415, "X-Plugin", "", "Non-gRPC request matched gRPC route"},
		{"gRPC over HTTP/1", plain + "/grpc", "application/grpc", client(t, http1), 426, "Upgrade", "HTTP/2", "Please use HTTP2 protocol"},
		{"gRPC without TLS", plain + "/grpcs", "application/grpc+proto", client(t, h2c), 200, "Grpc-Message", "gRPC request matched gRPCs route", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequest("POST", tc.url, strings.NewReader("x"))
			require.NoError(t, err)
			req.Header.Set("Content-Type", tc.contentType)
			r := fetch(t, tc.client, req)
			assert.Equal(t, tc.status, r.StatusCode)
			assert.Equal(t, tc.value, r.Header.Get(tc.header))
			assert.Contains(t, r.body, tc.body)
		})
	}
}

// Over HTTP/2 as over HTTP/1.1, a response that nothing buffers flows both
// ways at once.
func TestStreamingBothWays(t *testing.T) {
	for name, protocol := range map[string]func(*http.Protocols){"http/1.1": http1, "h2c": h2c} {
		t.Run(name, func(t *testing.T) {
			b, _ := newFakeBench(t, `"access"`, ignore, func(o *Options) {
				o.Config.Routes[0].RequestBuffering, o.Config.Routes[0].ResponseBuffering = false, false
			}, withUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex()
				lines := bufio.NewReader(r.Body)
				for {
					line, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					_, _ = io.WriteString(w, "got "+line)
					w.(http.Flusher).Flush()
				}
			}))
			up, feed := io.Pipe()
			req, err := http.NewRequestWithContext(context.Background(), "POST", b.URL(), up)
			require.NoError(t, err)
			go func() { _, _ = io.WriteString(feed, "1\n") }()
			resp, err := client(t, protocol).Do(req)
			require.NoError(t, err)
			defer func() { _ = resp.Body.Close() }()
			lines := bufio.NewReader(resp.Body)
			for i := 1; i <= 3; i++ {
				line, err := lines.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, fmt.Sprintf("got %d\n", i), line)
				_, err = fmt.Fprintf(feed, "%d\n", i+1) // sent only after the answer to the one before
				require.NoError(t, err)
			}
			_ = feed.Close()
		})
	}
}

// A gzip response passes as it is, and none is asked for by the gateway itself.
func TestGzipUntouched(t *testing.T) {
	var body strings.Builder
	zip := gzip.NewWriter(&body)
	_, _ = io.WriteString(zip, `{"ok":true}`)
	require.NoError(t, zip.Close())
	zipped := body.String()
	b, _ := newFakeBench(t, `"access"`, ignore, withUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", strings.Join(r.Header["Accept-Encoding"], "|"))
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, zipped)
	}))
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	for _, accept := range []string{"", "gzip, br"} {
		req, err := http.NewRequest("GET", b.URL(), nil)
		require.NoError(t, err)
		if accept != "" {
			req.Header.Set("Accept-Encoding", accept)
		}
		r := fetch(t, plain, req)
		assert.Equal(t, zipped, r.body)
		assert.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
		assert.Equal(t, accept, r.Header.Get("X-Asked"))
	}
}

// A listener that cannot be had leaves none of the others open.
func TestListenersAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	free, err := net.Listen("tcp", "127.45.1.1:0") // of an address that nobody else uses: it is not taken meanwhile
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	_, err = openListeners(addr + ", " + taken.Addr().String() + " ssl")
	require.ErrorContains(t, err, "is in use by another process")
	again, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	_ = again.Close()
}

// Whatever is given, there is an address for each listener or an error that
// says how to write it.
func FuzzParseListen(f *testing.F) {
	f.Add("127.0.0.1:8000, 127.0.0.1:8443 ssl")
	f.Add("[::1]:0 http2 backlog=1")
	f.Add(" , ,")
	f.Fuzz(func(t *testing.T, s string) {
		specs, err := parseListen(s)
		if err != nil {
			require.Empty(t, specs)
			return
		}
		require.NotEmpty(t, specs)
		for _, spec := range specs {
			_, _, err := net.SplitHostPort(spec.addr)
			require.NoError(t, err)
			assert.NotContains(t, spec.addr, ",")
		}
	})
}
