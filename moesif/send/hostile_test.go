package send

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveRaw is a collector that does to each connection what handle does.
func serveRaw(t *testing.T, handle func(c *net.TCPConn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() {
				handle(c.(*net.TCPConn))
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return "http://" + l.Addr().String()
}

// takeRequest reads one upload.
func takeRequest(c net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

// say answers each upload with these words, and then closes.
func say(words string) func(c *net.TCPConn) {
	return func(c *net.TCPConn) {
		takeRequest(c)
		_, _ = io.WriteString(c, words)
	}
}

// hostilities are ways in which a collector, or what stands in its place, can fail.
var hostilities = map[string]struct { // read-only
	handle func(c *net.TCPConn)
	want   outcome // without err
}{
	"closes at once":            {func(*net.TCPConn) {}, outcome{class: retry}},
	"resets at once":            {func(c *net.TCPConn) { _ = c.SetLinger(0) }, outcome{class: retry}},
	"closes within the request": {func(c *net.TCPConn) { _, _ = io.ReadFull(c, make([]byte, 100)) }, outcome{class: retry}},
	"resets after the request":  {func(c *net.TCPConn) { takeRequest(c); _ = c.SetLinger(0) }, outcome{class: retry}},
	"hangs":                     {func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }, outcome{class: retry}},
	"reads one byte at a time": {func(c *net.TCPConn) {
		_ = c.SetReadBuffer(1)
		for b := make([]byte, 1); ; time.Sleep(10 * time.Millisecond) {
			if _, err := c.Read(b); err != nil {
				return
			}
		}
	}, outcome{class: retry}},
	"answers one byte at a time": {func(c *net.TCPConn) {
		takeRequest(c)
		for {
			if _, err := io.WriteString(c, "H"); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}, outcome{class: retry}},
	"cut in the status line":        {say("HTTP/1.1 20"), outcome{class: retry}},
	"cut in the headers":            {say("HTTP/1.1 201 Created\r\nContent-Le"), outcome{class: retry}},
	"cut in the answer's body":      {say("HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n{"), outcome{class: sent, status: 201}},
	"a body that is no chunk":       {say("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nzzz"), outcome{class: sent, status: 202}},
	"an endless header":             {say("HTTP/1.1 201 Created\r\nX: " + strings.Repeat("x", 1<<20)), outcome{class: retry}},
	"garbage":                       {say("\x00\x01\x02 hello\r\n\r\n"), outcome{class: retry}},
	"another protocol":              {say("SSH-2.0-OpenSSH_9.6\r\n"), outcome{class: retry}},
	"a status that is none":         {say("HTTP/1.1 abc OK\r\n\r\n"), outcome{class: retry}},
	"status 0":                      {say("HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n"), outcome{class: hold}},
	"status 999":                    {say("HTTP/1.1 999 Much\r\nContent-Length: 0\r\n\r\n"), outcome{class: retry, status: 999}},
	"early hints, then yes":         {say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"), outcome{class: sent, status: 201}},
	"early hints without end":       {say(strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 1000)+"\r\n\r\n", 1000)), outcome{class: retry}},
	"another protocol is agreed on": {say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), outcome{class: hold, status: 101}},
	"a redirect to itself":          {say("HTTP/1.1 307 Temporary Redirect\r\nLocation: /v1/events/batch\r\nContent-Length: 0\r\n\r\n"), outcome{class: hold, status: 307}},
	"the answer before the body": {func(c *net.TCPConn) {
		_, _ = http.ReadRequest(bufio.NewReader(c)) // its headers
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	}, outcome{class: split, status: 413}},
	"seconds to wait": {say("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"), outcome{class: retry, status: 503, after: 7 * time.Second}},
	"years to wait":   {say("HTTP/1.1 429 Busy\r\nRetry-After: 999999999\r\nContent-Length: 0\r\n\r\n"), outcome{class: retry, status: 429, after: maxRetryAfter}},
	"a wait in words": {say("HTTP/1.1 429 Busy\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n"), outcome{class: retry, status: 429}},
	"a wait, and yes": {say("HTTP/1.1 200 OK\r\nRetry-After: 7\r\nX-Moesif-Config-Etag: c\r\nX-Moesif-Rules-Tag: r\r\nContent-Length: 0\r\n\r\n"),
		outcome{class: sent, status: 200, configTag: "c", rulesTag: "r"}},
}

// endless are those that only send_timeout ends.
var endless = []string{"hangs", "reads one byte at a time", "answers one byte at a time"} // read-only

func TestHostileCollectors(t *testing.T) {
	events := wide(20, 100000) // more than what waits in socket buffers
	for name, c := range hostilities {
		for _, compress := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				set := quickUpload()
				set.Compress = compress
				if slices.Contains(endless, name) {
					set.SendTimeout = time.Second
				}
				u := uploaderTo(serveRaw(t, c.handle), "app-secret", set)
				defer u.close()
				o := u.upload(t.Context(), events)
				assert.Equal(t, slices.Contains(endless, name), errors.Is(o.err, errNoAnswer), "%v", o.err)
				if o.err != nil {
					assert.NotContains(t, o.err.Error(), "app-secret")
				}
				assert.Equal(t, c.want.status == 0 && c.want.class == retry, o.err != nil, "%v", o.err)
				o.err = nil
				assert.Equal(t, c.want, o)
			})
		}
	}
}

// Whatever happened before, everything arrives when the collector is well again, and nothing is dropped.
func TestAfterEveryHostility(t *testing.T) {
	var bad []func(c *net.TCPConn)
	for _, h := range hostilities {
		if h.want.class == retry && h.want.after == 0 {
			bad = append(bad, h.handle)
		}
	}
	for some := range slices.Chunk(bad, 4) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			afterHostilities(t, some)
		})
	}
}

func afterHostilities(t *testing.T, bad []func(c *net.TCPConn)) {
	var mu sync.Mutex
	seen := map[string]bool{}
	var calls atomic.Int32
	set := quickUpload()
	set.Endpoint = serveRaw(t, func(c *net.TCPConn) {
		if n := int(calls.Add(1)) - 1; n < len(bad) {
			bad[n](c)
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		for e := range strings.SplitSeq(strings.Trim(string(body), "[]"), ",") {
			seen[e] = true
		}
		mu.Unlock()
		_, _ = io.WriteString(c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	set.SendTimeout, set.BatchEvents = time.Second, 10
	env := quietEnv()
	q := NewQueue(set, env)
	for _, e := range testEvents(100) {
		require.True(t, q.Add(e))
	}
	require.Eventually(t, func() bool { events, _ := q.Size(); return events == 0 }, 4*time.Minute, 5*time.Millisecond)
	assert.Zero(t, q.Close(t.Context()))
	assert.Equal(t, 100.0, counterValue(t, env.Metrics.sent))
	assert.Zero(t, counterValue(t, env.Metrics.dropped))
	mu.Lock() // an upload that was given up for its time may still be read
	defer mu.Unlock()
	assert.Len(t, seen, 100)
}

// A collector over HTTP/2 that says goodbye after each answer costs nothing.
func TestGoAway(t *testing.T) {
	var connections sync.Map
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		assert.Equal(t, 2, r.ProtoMajor)
		connections.Store(r.RemoteAddr, true)
		w.Header().Set("Connection", "close") // a GOAWAY frame
		w.WriteHeader(http.StatusCreated)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	env := quietEnv()
	env.HTTP.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	set := quickUpload()
	set.Endpoint, set.Compress, set.BatchEvents = server.URL, true, 5
	q := NewQueue(set, env)
	for _, e := range testEvents(200) {
		q.Add(e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	assert.Zero(t, q.Close(ctx))
	assert.Equal(t, 200.0, counterValue(t, env.Metrics.sent))
	assert.Zero(t, counterValue(t, env.Metrics.dropped))
	n := 0
	connections.Range(func(any, any) bool { n++; return true })
	assert.Greater(t, n, 1)
}

// Something that answers in no HTTP and repeats what it was sent: none of that is in a line.
func TestAnswersAreNotRepeated(t *testing.T) {
	for words, want := range map[string]string{
		"X-Moesif-Application-Id: app-secret\r\n\r\n": "malformed HTTP status code",
		"app-secret":                     "malformed HTTP response",
		"HTTP/app-secret 200 OK\r\n\r\n": "malformed HTTP version",
		"HTTP/1.1 200 OK\r\nX-Moesif-Application-Id app-secret\r\n\r\n":  "malformed MIME header: missing colon",
		"HTTP/1.1 200 OK\r\nContent-Length: app-secret\r\n\r\n":          "bad Content-Length",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: \"app-secret\"\r\n\r\n":   "unsupported transfer encoding",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("x", 60<<10) + "\r\n\r\n": "malformed MIME header: missing colon",
	} {
		u := uploaderTo(serveRaw(t, say(words)), "app-secret", quickUpload())
		o := u.upload(t.Context(), testEvents(1))
		u.close()
		require.Error(t, o.err)
		assert.Equal(t, "net/http: HTTP/1.x transport connection broken: "+want, o.err.Error(), "%.80q", words)
	}
}

// A proxy that cannot pass on what has no length is told it.
func TestLengthRequired(t *testing.T) {
	var lengths []int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		lengths = append(lengths, r.ContentLength)
		if r.ContentLength < 0 {
			w.WriteHeader(http.StatusLengthRequired)
			return
		}
		assert.Equal(t, r.ContentLength, n)
		w.WriteHeader(http.StatusCreated)
	}))
	defer server.Close()
	set := quickUpload()
	set.Compress = true
	u := uploaderTo(server.URL, "a", set)
	defer u.close()
	assert.Equal(t, outcome{class: retry, status: 411}, u.upload(t.Context(), testEvents(5)))
	assert.Equal(t, outcome{class: sent, status: 201}, u.upload(t.Context(), testEvents(5)))
	require.Len(t, lengths, 2)
	assert.Positive(t, lengths[1])
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "7", "-1", "1e9", "99999999999999999999", "Sun, 01 Mar 2026 10:00:30 GMT", "Sunday, 01-Mar-26 10:00:30 GMT", "Sun Mar  1 10:00:30 2026"} {
		f.Add(s, int64(1772359200))
	}
	f.Fuzz(func(t *testing.T, value string, now int64) {
		d := retryAfter(value, time.Unix(now, 0))
		if d < 0 || d > maxRetryAfter {
			t.Errorf("retryAfter(%q) = %v", value, d)
		}
	})
}

// Whatever comes back, an upload ends with a status or an error, and only a 2xx means sent.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{"", "HTTP/1.1 201 Created\r\n\r\n", "HTTP/1.1 429 x\r\nRetry-After: 1\r\n\r\n", "HTTP/1.1 103 x\r\n\r\nHTTP/1.0 200\r\nX-Moesif-Rules-Tag: \xff\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		var servers sync.WaitGroup
		defer servers.Wait()
		set := quickUpload()
		set.SendTimeout = 5 * time.Second
		u := uploaderTo("http://collector", "a", set)
		defer u.close()
		u.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			servers.Go(func() {
				takeRequest(theirs)
				_, _ = theirs.Write(answer)
				_ = theirs.Close()
			})
			return ours, nil
		}
		o := u.upload(t.Context(), testEvents(1))
		if (o.class == sent) != (o.status >= 200 && o.status < 300) {
			t.Errorf("%q: %+v", answer, o)
		}
		if o.err != nil && (o.status != 0 || o.class != retry) || o.after < 0 || o.after > maxRetryAfter {
			t.Errorf("%q: %+v", answer, o)
		}
	})
}
