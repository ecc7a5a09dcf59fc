package fetch_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/datakit/fetch"
)

func newClient(t testing.TB) *fetch.Client {
	c := fetch.New(fetch.Options{})
	t.Cleanup(c.Close)
	return c
}

func serve(t testing.TB, h http.HandlerFunc) (*httptest.Server, *url.URL) {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s, parse(t, s.URL)
}

func parse(t testing.TB, text string) *url.URL {
	u, err := fetch.ParseURL(text)
	require.NoError(t, err)
	return u
}

func get(u *url.URL) *fetch.Request { return &fetch.Request{Method: "GET", URL: u} }

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	_, u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "made")
	})
	u.Path, u.RawQuery, u.User = "/a b", "q=1&q=2", url.UserPassword("ann", "pw")
	c := newClient(t)
	r := &fetch.Request{Method: "POST", URL: u, Body: []byte("text"), Header: http.Header{
		"Host": {"other.example.org"}, "X-Many": {"1", "2"}, "Connection": {"X-Hop, keep-alive"}, "X-Hop": {"1"}, "Te": {"trailers"}, "Content-Length": {"99"},
		"Transfer-Encoding": {"chunked"}, "Upgrade": {"h2c"}, "Expect": {"100-continue"}, "Proxy-Authorization": {"Basic eA=="}, "Accept-Encoding": {"br, gzip;q=0.5, zstd"},
	}}
	a, err := c.Do(t.Context(), r)
	require.NoError(t, err)
	assert.Equal(t, 201, a.Status)
	assert.Equal(t, "made", string(a.Body))
	assert.Equal(t, []string{"yes"}, a.Header["X-Answer"])
	assert.Equal(t, "/a%20b?q=1&q=2", got.RequestURI)
	assert.Equal(t, "other.example.org", got.Host)
	assert.Equal(t, "text", string(body))
	assert.Equal(t, http.Header{
		"X-Many": {"1", "2"}, "Accept-Encoding": {"gzip;q=0.5"}, "Authorization": {"Basic YW5uOnB3"}, "User-Agent": {"datakit"}, "Content-Length": {"4"},
	}, got.Header)
	assert.Len(t, r.Header, 11, "the request is not changed")

	_, err = c.Do(t.Context(), &fetch.Request{Method: "POST", URL: u, Header: http.Header{"User-Agent": {}, "Authorization": {"Bearer x"}, "Accept-Encoding": {"br"}}})
	require.NoError(t, err)
	assert.Equal(t, http.Header{"Authorization": {"Bearer x"}, "Content-Length": {"0"}}, got.Header)
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	_, u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		status := 0
		fmt.Sscan(r.URL.Query().Get("s"), &status)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		fmt.Fprint(w, "body of ", status)
	})
	c := newClient(t)
	for _, x := range []struct {
		status int
		accept fetch.Statuses
		want   string
	}{
		{200, nil, ""},
		{299, nil, ""},
		{302, nil, "non-2XX response code: 302"},
		{403, nil, "non-2XX response code: 403"},
		{404, fetch.Statuses{{200, 299}, {404, 404}}, ""},
		{200, fetch.Statuses{{404, 404}}, "response code: 200 is not among those accepted: 404"},
		{500, fetch.Statuses{{200, 299}, {404, 404}}, "response code: 500 is not among those accepted: 200-299, 404"},
	} {
		u.RawQuery = fmt.Sprint("s=", x.status)
		r := get(u)
		r.Accept = x.accept
		a, err := c.Do(t.Context(), r)
		if x.want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, x.want)
		}
		assert.Equal(t, x.status, a.Status, "the answer is there, whatever it is")
		assert.Equal(t, fmt.Sprint("body of ", x.status), string(a.Body))
	}
}

// The length that an answer to HEAD tells is that of another body.
func TestHeadOfSomethingLarge(t *testing.T) {
	t.Parallel()
	_, u := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000000000") })
	r := get(u)
	r.Method = "HEAD"
	a, err := newClient(t).Do(t.Context(), r)
	require.NoError(t, err)
	assert.Empty(t, a.Body)
	assert.Equal(t, []string{"1000000000"}, a.Header["Content-Length"])
}

// A server that switches protocols unasked, and says nothing more, holds nobody up: the connection would be the caller's,
// beyond the reach of any time limit.
func TestSwitchedProtocol(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	_, u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			gone <- err
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")
		_, err = io.Copy(io.Discard, conn)
		gone <- err
		_ = conn.Close()
	})
	c, done := newClient(t), make(chan error, 1)
	go func() {
		_, err := c.Do(t.Context(), get(u))
		done <- err
	}()
	select {
	case err := <-done:
		require.EqualError(t, err, u.Host+" switched to another protocol, which nobody asked for")
		<-gone // the connection is closed
	case <-time.After(20 * time.Second):
		assert.Fail(t, "the call does not end")
	}
}

func TestParseStatus(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fetch.StatusRange{"404": {404, 404}, "200-299": {200, 299}, " 500 - 599 ": {500, 599}} {
		got, err := fetch.ParseStatus(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, text := range []string{"", "2xx", "99", "600", "299-200", "200-", "-1"} {
		_, err := fetch.ParseStatus(text)
		assert.Error(t, err, text)
	}
}

func packed(text string, zip func(io.Writer) io.WriteCloser) []byte {
	var b bytes.Buffer
	w := zip(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func gzipped(text string) []byte {
	return packed(text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func TestBodiesAreUnpackedAndBounded(t *testing.T) {
	t.Parallel()
	var coding string
	var body []byte
	var chunked bool
	_, u := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if coding != "" {
			w.Header().Set("Content-Encoding", coding)
		}
		w.Header().Set("Content-Type", "text/plain")
		if chunked {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write(body)
	})
	c := newClient(t)
	large, bomb := strings.Repeat("x", 1000), strings.Repeat("x", 1001)
	for _, x := range []struct {
		name, coding string
		body         []byte
		chunked      bool
		want, fails  string
		left         bool // the header stays
	}{
		{name: "plain", body: []byte("abc"), want: "abc"},
		{name: "gzip", coding: "gzip", body: gzipped("abc"), want: "abc"},
		{name: "x-gzip, chunked", coding: "X-Gzip", body: gzipped("abc"), chunked: true, want: "abc"},
		{name: "zlib", coding: "deflate", body: packed("abc", func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }), want: "abc"},
		{name: "nothing in it", coding: "gzip", want: "", left: true},
		{name: "not known", coding: "br", body: []byte("abc"), want: "abc", left: true},
		{name: "no gzip", coding: "gzip", body: []byte("secret"), fails: "the response is labelled as packed and cannot be unpacked"},
		{name: "cut", coding: "gzip", body: gzipped("abc")[:12], fails: "cannot be unpacked"},
		{name: "just fits", body: []byte(large), want: large},
		{name: "just fits, packed", coding: "gzip", body: gzipped(large), want: large},
		{name: "too long", body: []byte(bomb), fails: "larger than 1000 bytes"},
		{name: "too long, length unknown", body: []byte(bomb), chunked: true, fails: "larger than 1000 bytes"},
		{name: "too long unpacked", coding: "gzip", body: gzipped(bomb), fails: "larger than 1000 bytes"},
	} {
		coding, body, chunked = x.coding, x.body, x.chunked
		r := get(u)
		r.MaxBytes = 1000
		a, err := c.Do(t.Context(), r)
		if x.fails != "" {
			require.ErrorContains(t, err, x.fails, x.name)
			assert.NotContains(t, err.Error(), "secret")
			assert.Equal(t, 200, a.Status, x.name)
			assert.Equal(t, "text/plain", a.Header.Get("Content-Type"), x.name)
			continue
		}
		require.NoError(t, err, x.name)
		assert.Equal(t, x.want, string(a.Body), x.name)
		assert.Equal(t, x.left, a.Header.Get("Content-Encoding") != "", x.name)
	}
}

// What goes wrong says where and why, and nothing of what was sent or received.
func TestErrors(t *testing.T) {
	t.Parallel()
	_, closing := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, half := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("half"))
	})
	_, slow := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the client has gone
		<-r.Context().Done()
	})
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	t.Cleanup(secure.Close)
	plain, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	other, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	go func() {
		for {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096)) // the request; a connection with bytes that nobody reads is reset
			_, _ = conn.Write([]byte("220 token-of-the-server ready\r\n"))
			_ = conn.Close()
		}
	}()
	c := newClient(t)
	for _, x := range []struct {
		name, url, want string
		kind            fetch.Kind
	}{
		{"nobody there", "http://127.0.0.1:1", "connection refused", fetch.NoServer},
		{"closed", closing.String(), "closed the connection before the response was complete", fetch.Closed},
		{"half", half.String(), "closed the connection before the response was complete", fetch.Closed},
		{"slow", slow.String(), "no answer from 127.0.0.1:", fetch.Timeout},
		{"no name that can be", "http://" + strings.Repeat("x", 64) + ".example.org", ".example.org: ", fetch.NoHost}, // nobody is asked for it
		{"unknown authority", secure.URL, "its certificate is not accepted: x509: certificate signed by unknown authority", fetch.TLS},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), "the server does not speak TLS", fetch.TLS},
		{"no HTTP", "http://" + other.Addr().String(), "sent no valid response of HTTP", fetch.Protocol},
	} {
		u := parse(t, x.url)
		u.User, u.RawQuery, u.Path = url.UserPassword("ann", "token-password"), "key=token-query", "/token-path"
		r := &fetch.Request{Method: "POST", URL: u, Timeout: time.Minute, Body: []byte("token-body"), Header: http.Header{"Authorization": {"token-header"}}}
		if x.name == "slow" {
			r.Timeout = 20 * time.Millisecond
		}
		_, err := c.Do(t.Context(), r)
		require.ErrorContains(t, err, x.want, x.name)
		assert.NotContains(t, err.Error(), "token-", x.name)
		var e *fetch.Error
		require.ErrorAs(t, err, &e, x.name)
		assert.Equal(t, x.kind, e.Kind, x.name)
	}

	for text, failure := range map[string]*net.DNSError{ // in the name system's place, which may be away itself
		"unknown.example.org: this host is not known":                       {Name: "token-", IsNotFound: true},
		"unknown.example.org: the address of this host cannot be asked for": {Name: "token-", IsTimeout: true},
	} {
		c := fetch.NewForTest(func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: failure}
		})
		_, err := c.Do(t.Context(), get(parse(t, "http://unknown.example.org/token-path")))
		require.EqualError(t, err, text)
		var e *fetch.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, fetch.NoHost, e.Kind)
	}

	for _, h := range []http.Header{{"X-A": {"token-\x01"}}, {"X B": {"token-"}}} {
		_, err := c.Do(t.Context(), &fetch.Request{Method: "GET", URL: slow, Header: h, Timeout: time.Minute})
		require.EqualError(t, err, "a header, the host or the method of the request has characters that cannot be sent", h)
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the reason")
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	_, err = c.Do(ctx, get(slow))
	assert.Equal(t, cause, err, "who cancels says why")
}

func TestTLSSettings(t *testing.T) {
	t.Parallel()
	var names sync.Map
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { names.Store(r.TLS.ServerName, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t)
	r := get(parse(t, s.URL))
	_, err := c.Do(t.Context(), r)
	require.ErrorContains(t, err, "unknown authority")
	r.AnyCertificate = true
	_, err = c.Do(t.Context(), r)
	require.NoError(t, err)
	r.ServerName = "api.example.com"
	_, err = c.Do(t.Context(), r)
	require.NoError(t, err)
	proto, ok := names.Load("api.example.com")
	assert.True(t, ok, "the name goes into the handshake")
	assert.Equal(t, "HTTP/2.0", proto)
	r.AnyCertificate = false
	_, err = c.Do(t.Context(), r)
	require.ErrorContains(t, err, "unknown authority", "a connection that was not checked is not used again")
}

// proxy is an HTTP proxy for both ways of using one.
func proxy(t *testing.T, seen *atomic.Int64) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "Basic YW5uOnB3" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		seen.Add(1)
		if r.Method != http.MethodConnect {
			r.RequestURI = ""
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			defer answer.Body.Close()
			w.WriteHeader(answer.StatusCode)
			_, _ = io.Copy(w, answer.Body)
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		from, _, _ := w.(http.Hijacker).Hijack()
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}))
	t.Cleanup(s.Close)
	return s
}

func TestProxies(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	p := proxy(t, &seen)
	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }
	_, plain := serve(t, ok)
	secure := httptest.NewTLSServer(http.HandlerFunc(ok))
	t.Cleanup(secure.Close)
	c := newClient(t)
	with := func(u *url.URL, address, user, password string) *fetch.Request {
		r := get(u)
		r.AnyCertificate = true
		var err error
		r.Proxy, err = fetch.ParseProxy(address, user, password)
		require.NoError(t, err)
		return r
	}
	for i, u := range []*url.URL{plain, parse(t, secure.URL)} {
		a, err := c.Do(t.Context(), with(u, p.URL, "ann", "pw"))
		require.NoError(t, err)
		assert.Equal(t, "ok", string(a.Body))
		assert.EqualValues(t, i+1, seen.Load())
	}
	_, err := c.Do(t.Context(), with(plain, p.URL, "ann", "secret"))
	require.EqualError(t, err, "non-2XX response code: 407")
	_, err = c.Do(t.Context(), with(parse(t, secure.URL), p.URL, "", ""))
	require.EqualError(t, err, "the proxy refused the connection with response code 407")
	_, err = c.Do(t.Context(), with(plain, "127.0.0.1:1", "ann", "secret"))
	require.EqualError(t, err, "no connection to the proxy 127.0.0.1:1: connection refused")
	_, err = c.Do(t.Context(), with(parse(t, secure.URL), "http://ann:secret@127.0.0.1:1", "", ""))
	require.EqualError(t, err, "no connection to the proxy 127.0.0.1:1: connection refused")
	for _, bad := range []string{"https://proxy:1", "socks5://proxy:1", "http://", ":", "http://a b"} {
		_, err := fetch.ParseProxy(bad, "", "")
		assert.Error(t, err, bad)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "no scheme",
		"/path":                     "no scheme",
		"ftp://host/":               "neither http nor https",
		"http://":                   "names no host",
		"http:///x":                 "names no host",
		"http://u:secret@:80/":      "names no host",
		"http://u:secret@h:port/":   "is no URL",
		"http://host:/":             "no valid port",
		"http://host:123456/":       "no valid port",
		"http://ho st/secret":       "is no URL",
		"http://host/secret\r\nX:1": "is no URL",
	} {
		_, err := fetch.ParseURL(text)
		require.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func TestURLsAreEscaped(t *testing.T) {
	t.Parallel()
	var got string
	_, u := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI })
	_, err := newClient(t).Do(t.Context(), get(parse(t, u.String()+"/a b?q=x y+z&ü=%20%zz&r=a HTTP/1.0#part")))
	require.NoError(t, err)
	assert.Equal(t, "/a%20b?q=x%20y+z&%C3%BC=%20%zz&r=a%20HTTP/1.0", got)
}

// FuzzParseURL holds that a URL that is taken makes one word of a request's first line.
func FuzzParseURL(f *testing.F) {
	for _, text := range []string{"http://h/a b?c d#e f", "https://u:p@h:1/%2f?%zz", "http://[::1%25a]/ü?ü", "http://h?\x7f", "http:h/a b", "http://h//x y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := fetch.ParseURL(text)
		if err != nil {
			return
		}
		uri := u.RequestURI()
		assert.NotEmpty(t, uri)
		assert.False(t, strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r >= 0x7f }), "%q", uri)
		again, err := fetch.ParseURL(u.Scheme + "://host" + uri)
		require.NoError(t, err)
		assert.Equal(t, uri, again.RequestURI())
	})
}

// Many requests share a client; sets of connections beyond the limit go, and requests go on.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	t.Cleanup(s.Close)
	c := fetch.New(fetch.Options{MaxTransports: 2})
	u := parse(t, s.URL)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			r := get(u)
			r.AnyCertificate, r.ServerName = true, fmt.Sprintf("host-%d.example.org", i%5)
			a, err := c.Do(t.Context(), r)
			if assert.NoError(t, err) {
				assert.Equal(t, "ok", string(a.Body))
			}
		})
	}
	wg.Wait()
	c.Close()
	r := get(u)
	r.AnyCertificate = true
	_, err := c.Do(t.Context(), r)
	assert.NoError(t, err, "what is left over at the end is still answered")
}

// A hundred requests at a time, each of which takes the server 50 ms.
func BenchmarkHundredAtATime(b *testing.B) {
	_, u := serve(b, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}`))
	})
	c := newClient(b)
	r := &fetch.Request{Method: "GET", URL: u, Timeout: time.Minute}
	b.ReportAllocs()
	began := time.Now()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := c.Do(b.Context(), r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "requests/s")
}
