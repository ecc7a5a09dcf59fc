package send

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A receivedBatch is one upload as an HTTP server saw it.
type receivedBatch struct {
	method, path string
	header       http.Header
	length       int64
	events       []json.RawMessage
}

// serveBatches is a collector of its own, so that nothing of the plugin's is tested by itself.
func serveBatches(t *testing.T, status func(receivedBatch) int) (url string, got func() []receivedBatch) {
	t.Helper()
	var mu sync.Mutex
	var list []receivedBatch
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil { // a queue that ends has hung up
			return
		}
		var body io.Reader = bytes.NewReader(raw)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if !assert.NoError(t, err) {
				return
			}
			body = z
		}
		b := receivedBatch{method: r.Method, path: r.URL.Path, header: r.Header, length: r.ContentLength}
		if !assert.NoError(t, json.NewDecoder(body).Decode(&b.events)) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		list = append(list, b)
		mu.Unlock()
		w.WriteHeader(status(b))
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []receivedBatch {
		mu.Lock()
		defer mu.Unlock()
		return append([]receivedBatch(nil), list...)
	}
}

func created(receivedBatch) int { return http.StatusCreated }

// quickUpload are settings for tests with real sockets, whose limits no machine is too slow for.
func quickUpload() Settings {
	return Settings{MaxEvents: 10000, MaxBytes: 1 << 30, BatchEvents: 50, FlushAfter: 10 * time.Millisecond,
		ConnectTimeout: time.Minute, SendTimeout: time.Minute, Keepalive: time.Minute}
}

// quietEnv is an environment of a test that looks at nothing of it.
func quietEnv() Env {
	return Env{Metrics: NewMetrics(), Notice: func(string, string) {}, UserAgent: "test/1"}
}

func uploaderTo(url, applicationID string, set Settings) *uploader {
	set.Endpoint, set.ApplicationID = url, applicationID
	return newUploader(set, quietEnv())
}

func testEvents(n int) (events [][]byte) {
	for i := range n {
		events = append(events, fmt.Appendf(nil, `{"n":%d}`, i))
	}
	return events
}

func TestUploadD26(t *testing.T) {
	url, got := serveBatches(t, created)
	for i, compress := range []bool{false, true, true, false} {
		set := quickUpload()
		set.Compress = compress
		u := uploaderTo(url+"/base", "app-id", set)
		for _, n := range []int{1, 3} {
			o := u.upload(t.Context(), testEvents(n))
			assert.Equal(t, outcome{class: sent, status: 201}, o)
		}
		u.close()
		for j, n := range []int{1, 3} {
			b := got()[2*i+j]
			assert.Equal(t, "POST /base/v1/events/batch", b.method+" "+b.path)
			assert.Equal(t, "application/json", b.header.Get("Content-Type"))
			assert.Equal(t, "app-id", b.header.Get("X-Moesif-Application-Id"))
			assert.Equal(t, "test/1", b.header.Get("User-Agent"))
			assert.Equal(t, compress, b.header.Get("Content-Encoding") == "gzip")
			assert.Equal(t, compress, b.length < 0, "the length is told where it is known")
			require.Len(t, b.events, n)
			assert.JSONEq(t, fmt.Sprintf(`{"n":%d}`, n-1), string(b.events[n-1]))
		}
	}
}

func TestUploadOutcomesD26(t *testing.T) {
	for status, want := range map[int]class{200: sent, 202: sent, 302: hold, 400: split, 401: hold, 413: split, 429: retry, 500: retry} {
		var requests atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		u := uploaderTo(server.URL, "app-id", quickUpload())
		o := u.upload(t.Context(), testEvents(1))
		assert.Equal(t, want, o.class, "%d", status)
		assert.Equal(t, status, o.status)
		assert.Equal(t, want == retry, o.after == 7*time.Second)
		assert.EqualValues(t, 1, requests.Load(), "one upload is one request; redirects are not followed")
		u.close()
		server.Close()
	}
}

func TestUploadFailures(t *testing.T) {
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // closing with unread data would be a reset
		c, _, err := w.(http.Hijacker).Hijack()
		if assert.NoError(t, err) {
			_ = c.Close()
		}
	}))
	defer cut.Close()
	release := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hang.Close()
	defer close(release)
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()

	for name, c := range map[string]struct{ url, want string }{
		"absent":    {"http://127.0.0.1:1", "connection refused"},
		"cut":       {cut.URL, "EOF"},
		"hangs":     {hang.URL, "no answer within 200ms"},
		"untrusted": {untrusted.URL, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			set := quickUpload()
			if name == "hangs" {
				set.SendTimeout = 200 * time.Millisecond
			}
			u := uploaderTo(c.url, "app-id", set)
			defer u.close()
			o := u.upload(t.Context(), testEvents(1))
			assert.Equal(t, retry, o.class)
			assert.Zero(t, o.status)
			require.Error(t, o.err)
			assert.Contains(t, o.err.Error(), c.want)
			assert.NotContains(t, o.err.Error(), "app-id")
		})
	}
}

// What a collector says behind its status is of no interest: an answer without an end does not hold up the queue.
func TestAnAnswerWithoutAnEnd(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	set := quickUpload()
	set.SendTimeout = time.Minute
	u := uploaderTo(server.URL, "a", set)
	defer u.close()
	start := time.Now()
	assert.Equal(t, outcome{class: sent, status: 201}, u.upload(t.Context(), testEvents(1)))
	assert.Less(t, time.Since(start), 30*time.Second)
}

// The environment's proxy is not used: the plugin sends where its configuration says.
func TestNoProxyFromEnvironment(t *testing.T) {
	u := uploaderTo("http://collector", "a", quickUpload())
	assert.Nil(t, u.http.Transport.(*http.Transport).Proxy)
	assert.False(t, u.http.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify)
}

func TestKeepalive(t *testing.T) {
	for _, keepalive := range []time.Duration{time.Minute, 0} {
		var connections atomic.Int32
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		}))
		server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				connections.Add(1)
			}
		}
		server.Start()
		set := quickUpload()
		set.Keepalive = keepalive
		u := uploaderTo(server.URL, "a", set)
		const uploads = 10
		for range uploads {
			assert.Equal(t, outcome{class: sent, status: 201}, u.upload(t.Context(), testEvents(1)))
		}
		u.close()
		server.Close()
		if keepalive == 0 {
			assert.EqualValues(t, uploads, connections.Load())
		} else {
			assert.Less(t, int(connections.Load()), uploads/2) // Go gives up a connection whose request has not been noted as written after 50 ms
		}
	}
}

// Through real sockets: everything arrives in order, and Close leaves no goroutine.
func TestQueueOverHTTP(t *testing.T) {
	before := runtime.NumGoroutine()
	var calls atomic.Int32
	url, got := serveBatches(t, func(b receivedBatch) int {
		if calls.Add(1) == 2 {
			return http.StatusServiceUnavailable
		}
		for _, e := range b.events {
			if string(e) == `{"n":123}` {
				return http.StatusBadRequest
			}
		}
		return http.StatusCreated
	})
	set := quickUpload()
	set.Endpoint, set.Compress = url, true
	s := NewMetrics()
	q := NewQueue(set, Env{Metrics: s, Notice: func(cause, text string) { t.Log(cause, text) }})
	for _, e := range testEvents(400) {
		assert.True(t, q.Add(e))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	assert.Zero(t, q.Close(ctx))
	assert.Equal(t, 399.0, counterValue(t, s.sent))
	assert.Equal(t, 1.0, droppedBy(t, s, dropRefused))

	last := map[string]int{} // an event may be seen several times; what counts is that it was, and its last turn
	n := 0
	for _, b := range got() {
		for _, e := range b.events {
			n++
			last[string(e)] = n
		}
	}
	assert.Len(t, last, 400)
	requireNoMoreGoroutines(t, before+2) // the test's server and its connection
}

// requireNoMoreGoroutines waits until at most n goroutines are left.
func requireNoMoreGoroutines(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= n }, time.Minute, 10*time.Millisecond,
		"%d goroutines are left, %d were expected", runtime.NumGoroutine(), n)
}

// A collector that hangs, is absent, or answers nothing but 500 does not hold Close beyond its time.
func TestCloseOverHTTP(t *testing.T) {
	release := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hang.Close()
	defer close(release)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer failing.Close()
	for name, url := range map[string]string{"hangs": hang.URL, "absent": "http://127.0.0.1:1", "500": failing.URL} {
		t.Run(name, func(t *testing.T) {
			s := NewMetrics()
			set := quickUpload()
			set.Endpoint = url
			q := NewQueue(set, Env{Metrics: s, Notice: func(string, string) {}})
			for _, e := range testEvents(120) {
				q.Add(e)
			}
			require.Eventually(t, func() bool { n, _ := q.Size(); return n == 120 }, time.Minute, time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			assert.Equal(t, 120, q.Close(ctx))
			assert.Less(t, time.Since(start), set.SendTimeout/2)
			assert.Equal(t, 120.0, droppedBy(t, s, dropShutdown))
		})
	}
}

// A connection that has gone dead without a word (a firewall that forgot it, a machine that is gone) is given up after one
// upload. HTTP/2 would put every further request on it, for the quarter of an hour that TCP takes to notice.
func TestADeadConnectionIsGivenUp(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				assert.Equal(t, http2, r.ProtoMajor == 2)
				w.WriteHeader(http.StatusCreated)
			}))
			server.EnableHTTP2 = http2
			server.StartTLS()
			defer server.Close()
			relay := newRelay(t, server.Listener.Addr().String())
			set := quickUpload()
			set.SendTimeout = 2 * time.Second
			u := uploaderTo("https://"+relay.address, "a", set)
			defer u.close()
			u.http.Transport.(*http.Transport).TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			arrives := func() { // a slow machine may take more than one upload's time
				t.Helper()
				for tries := 0; u.upload(t.Context(), testEvents(1)).class != sent; tries++ {
					require.Less(t, tries, 30)
				}
			}
			arrives()
			relay.silence()
			require.Equal(t, retry, u.upload(t.Context(), testEvents(1)).class)
			relay.passNew()
			arrives() // an ended request leaves HTTP/2 in its own time
		})
	}
}

// A relay passes connections on until they are silenced: then they stay open and nothing passes any more.
type relay struct {
	address string
	mu      sync.Mutex
	silent  bool // so will new ones be
	quiet   []*atomic.Bool
}

func newRelay(t *testing.T, to string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{address: l.Addr().String()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				return
			}
			quiet := new(atomic.Bool)
			r.mu.Lock()
			quiet.Store(r.silent)
			r.quiet = append(r.quiet, quiet)
			r.mu.Unlock()
			pass := func(from, to net.Conn) {
				buffer := make([]byte, 4096)
				for {
					n, err := from.Read(buffer)
					if err != nil {
						_ = to.Close()
						return
					}
					if !quiet.Load() {
						_, _ = to.Write(buffer[:n])
					}
				}
			}
			go pass(c, up)
			go pass(up, c)
		}
	}()
	return r
}

// silence makes all connections silent, new ones too: a client that is slow to give its connection back makes another one.
func (r *relay) silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = true
	for _, q := range r.quiet {
		q.Store(true)
	}
}

// passNew lets the connections work that are made from now on. Those before stay silent.
func (r *relay) passNew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = false
}
