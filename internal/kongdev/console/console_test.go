package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// A viewer reads the feed as a browser does.
type viewer struct {
	t     *testing.T
	lines *bufio.Scanner
	all   strings.Builder // all that was ever sent

	hello    hello
	requests map[int64]summary
	log      []line
	events   map[int64]event
	plans    []planSummary
	stats    stats
}

func (r *rig) view() *viewer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", r.served.URL()+"/feed", nil)
	require.NoError(r.t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(r.t, 200, resp.StatusCode)
	require.Equal(r.t, "text/event-stream; charset=utf-8", resp.Header.Get("Content-Type"))
	v := &viewer{t: r.t, lines: bufio.NewScanner(resp.Body), requests: map[int64]summary{}, events: map[int64]event{}}
	v.lines.Buffer(nil, 64<<20)
	return v
}

// until reads on until the condition holds.
func (v *viewer) until(cond func() bool) {
	v.t.Helper()
	name := ""
	for !cond() {
		require.True(v.t, v.lines.Scan(), "the feed ended: %v\n%s", v.lines.Err(), v.all.String())
		text := v.lines.Text()
		v.all.WriteString(text + "\n")
		if n, ok := strings.CutPrefix(text, "event: "); ok {
			name = n
		}
		data, ok := strings.CutPrefix(text, "data: ")
		switch {
		case !ok:
		case name == "hello":
			require.NoError(v.t, json.Unmarshal([]byte(data), &v.hello))
		default:
			var b batch
			require.NoError(v.t, json.Unmarshal([]byte(data), &b))
			for _, s := range b.Requests {
				v.requests[s.Number] = s
			}
			for _, e := range b.Events {
				v.events[e.Number] = e
			}
			v.log = append(v.log, b.Lines...)
			v.plans = append(v.plans, b.Plans...)
			if b.Stats != nil {
				v.stats = *b.Stats
			}
		}
	}
}

func (r *rig) get(path string) (int, string) {
	r.t.Helper()
	resp, err := http.Get(r.served.URL() + path)
	require.NoError(r.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return resp.StatusCode, string(body)
}

func TestConsole(t *testing.T) {
	r := newRig(t)
	early := r.view() // sees everything live
	require.Equal(t, 200, r.send("GET", "/orders?token=query-secret&x=1", "Authorization", "Bearer asked-secret").StatusCode)
	require.Equal(t, 403, r.send("GET", "/refused", "X-Test", "refuse").StatusCode)
	require.Equal(t, 500, r.send("GET", "/wrong", "X-Test", "wrong").StatusCode)
	require.Equal(t, 200, r.send("GET", "/said", "X-Test", "say").StatusCode)
	r.post(sampleEvent)
	r.post(`{"request":{"time":"2026-01-02T03:04:06Z","uri":"http://a/","verb":"GET","headers":{}},"response":{"time":"2026-01-02T03:04:06Z","status":200,"headers":{}}}`)

	complete := func(v *viewer) func() bool {
		return func() bool {
			said := false
			for _, l := range v.log {
				said = said || strings.Contains(l.Text, "plugin says")
			}
			done := 0
			for _, s := range v.requests {
				if s.Done {
					done++
				}
			}
			return done == 4 && len(v.events) == 2 && said && v.stats.Events == 2 && v.stats.Requests == 4
		}
	}
	early.until(complete(early))
	late := r.view() // comes when all is over and gets the same
	late.until(complete(late))

	for _, v := range []*viewer{early, late} {
		assert.Equal(t, []string{r.URL()}, v.hello.Proxies)
		require.Len(t, v.hello.Plugins, 1)
		assert.Equal(t, aPlugin{"guard", "1.2.3", 1005, []string{"access", "log", "response"}}, sortedPhases(v.hello.Plugins[0]))
		assert.Equal(t, int64(1), v.stats.Failed)
		one := v.requests[1]
		assert.Equal(t, []any{"GET", "/orders?token=(12 bytes)&x=1", 200, "everything", false}, []any{one.Method, one.Target, one.Status, one.Route, one.Failed})
		assert.Positive(t, one.Answered)
		var kinds []string
		for _, b := range one.Bars {
			kinds = append(kinds, b.Kind)
			assert.GreaterOrEqual(t, b.End, b.Start)
		}
		assert.Equal(t, []string{"access", "response", "log", "upstream"}, kinds)
		assert.True(t, v.requests[3].Failed)
		assert.Equal(t, event{Number: 1, TimeMS: 1767323045678, Method: "POST", Target: "/orders?api_key=(10 bytes)&x=1", Status: 201, User: "alice", Company: "acme", Bytes: len(sampleEvent)},
			stripped(v.events[1]))
	}

	status, body := r.get("/requests/1")
	require.Equal(t, 200, status)
	var d detail
	require.NoError(t, json.Unmarshal([]byte(body), &d))
	require.Len(t, d.Events, 3)
	access := d.Events[0]
	assert.Equal(t, []any{"guard", 1005, "access", 6}, []any{access.Plugin, access.Priority, access.Phase, access.Flights})
	require.Len(t, access.Calls, 5)
	assert.Equal(t, []string{"kong.request.get_header", `"authorization"`}, []string{access.Calls[1].Method, access.Calls[1].Args})
	assert.Regexp(t, `^\(\d+ bytes\)$`, access.Calls[1].Reply, "an answer that is a credential is not shown")
	assert.Equal(t, `"/orders"`, access.Calls[2].Reply)
	assert.Equal(t, `"X-Seen", "yes"`, access.Calls[4].Args)
	assert.Equal(t, []any{"service", "HTTP/1.1"}, []any{d.Source, d.Proto})
	require.Len(t, d.Upstream, 1)
	assert.Contains(t, d.Upstream[0].Address, "127.0.0.1:")

	_, refused := r.get("/requests/2")
	require.NoError(t, json.Unmarshal([]byte(refused), &d))
	assert.Equal(t, []any{403, "exit"}, []any{d.Events[0].Exit, d.Source})
	_, wrong := r.get("/requests/3")
	require.NoError(t, json.Unmarshal([]byte(wrong), &d))
	assert.Contains(t, d.Failure, "function cannot be called in access phase")

	status, sent := r.get("/events/1")
	require.Equal(t, 200, status)
	assert.True(t, json.Valid([]byte(sent)))
	for _, want := range []string{`"sku": "A-1"`, `"password": "(hidden)"`, `"authorization": "(hidden)"`, `"(12 bytes, encoded)"`, `Basic … told`, `"user_id": "alice"`, `/orders?api_key=(10 bytes)\u0026x=1`} {
		assert.Contains(t, sent, want)
	}

	everything := early.all.String() + late.all.String() + body + refused + wrong + sent
	for _, s := range secrets {
		assert.NotContains(t, everything, s)
	}
	for _, path := range []string{"/requests/99", "/requests/x", "/events/0", "/events/3", "/nothing", "/page.go"} {
		status, _ := r.get(path)
		assert.Equal(t, 404, status, path)
	}
}

func sortedPhases(p aPlugin) aPlugin {
	phases := map[string]bool{}
	for _, name := range p.Phases {
		phases[name] = true
	}
	p.Phases = nil
	for _, name := range []string{"access", "log", "response"} {
		if phases[name] {
			p.Phases = append(p.Phases, name)
		}
	}
	return p
}

func stripped(e event) event {
	e.raw, e.version = nil, 0
	return e
}

// Thousands of requests leave a bounded memory, and a feed that ends with the
// newest.
func TestConsoleForgets(t *testing.T) {
	r := newRig(t)
	r.console.mu.Lock()
	r.console.requests = newRing(50, 1<<20)
	r.console.mu.Unlock()
	for i := range 120 {
		r.send("GET", fmt.Sprintf("/n/%d", i))
	}
	v := r.view()
	v.until(func() bool { return v.requests[120].Done })
	assert.Len(t, v.requests, 50)
	assert.Contains(t, v.requests, int64(71))
	status, _ := r.get("/requests/70")
	assert.Equal(t, 404, status)
	for i := range 3 * keptLines {
		r.console.Log(lineOf(i))
	}
	b, _ := r.console.since(0)
	assert.Len(t, b.Lines, keptLines)
	assert.Equal(t, fmt.Sprint("line ", 3*keptLines-1), b.Lines[0].Text)
	r.console.mu.Lock()
	assert.LessOrEqual(t, len(r.console.lines), 2*keptLines)
	r.console.mu.Unlock()
}

// Nobody but the console's own page gets an answer that tells something.
func TestGuard(t *testing.T) {
	h := New().Handler()
	for _, tc := range []struct {
		name, method, host, path string
		header                   map[string]string
		status                   int
	}{
		{"own page", "GET", "localhost:8002", "/", nil, 200},
		{"by number", "GET", "127.0.0.1:8002", "/page.js", nil, 200},
		{"by IPv6", "GET", "[::1]:8002", "/page.css", nil, 200},
		{"without port", "GET", "localhost", "/", nil, 200},
		{"own script", "GET", "localhost:8002", "/page.js", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8002"}, 200},
		{"address typed in", "GET", "localhost:8002", "/", map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200},
		{"link on another site", "GET", "localhost:8002", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"rebound name", "GET", "evil.example:8002", "/", nil, 403},
		{"rebound name, feed", "GET", "evil.example", "/feed", nil, 403},
		{"name like ours", "GET", "localhost.evil.example:8002", "/requests/1", nil, 403},
		{"name like the number", "GET", "127.0.0.1.nip.io", "/requests/1", nil, 403},
		{"no host", "GET", "", "/", nil, 403},
		{"fetch by another site", "GET", "localhost:8002", "/feed", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"fetch by another port", "GET", "localhost:8002", "/requests/1", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"script tag elsewhere", "GET", "localhost:8002", "/page.js", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, 403},
		{"in a frame", "GET", "localhost:8002", "/", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403},
		{"older browser", "GET", "localhost:8002", "/feed", map[string]string{"Origin": "http://evil.example"}, 403},
		{"sandboxed page", "GET", "localhost:8002", "/feed", map[string]string{"Origin": "null"}, 403},
		{"form of another site", "POST", "localhost:8002", "/", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"writing", "POST", "localhost:8002", "/", nil, 405},
		{"preflight", "OPTIONS", "localhost:8002", "/feed", map[string]string{"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel() // a feed that is let through ends at once
			req := httptest.NewRequestWithContext(ctx, tc.method, "http://x"+tc.path, nil)
			req.Host = tc.host
			for k, v := range tc.header {
				req.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			assert.Equal(t, tc.status, w.Code)
			for name := range w.Header() {
				assert.False(t, strings.HasPrefix(name, "Access-Control-"), name)
			}
			assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
			assert.Equal(t, "DENY", w.Header().Get("X-Frame-Options"))
			assert.Equal(t, "same-origin", w.Header().Get("Cross-Origin-Resource-Policy"))
		})
	}
}

func TestListenOnThisMachineOnly(t *testing.T) {
	for _, addr := range []string{":0", "127.0.0.1:0", "localhost:0"} {
		l, err := Listen(addr)
		require.NoError(t, err, addr)
		assert.True(t, strings.HasPrefix(l.Addr().String(), "127."), l.Addr())
		_ = l.Close()
	}
	for addr, want := range map[string]string{
		"0.0.0.0:0": "use 127.0.0.1:0", "[::]:8002": "use 127.0.0.1:8002", "192.0.2.1:0": "no address of this machine alone",
		"example.com:80": "no address of this machine alone", "8002": "give -console as host:port",
	} {
		_, err := Listen(addr)
		assert.ErrorContains(t, err, want, addr)
	}
}

func TestTooManyViewers(t *testing.T) {
	c := New()
	for range maxViewers {
		require.True(t, c.enter())
	}
	w := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "http://localhost/feed", nil)
	c.Handler().ServeHTTP(w, req)
	assert.Equal(t, 503, w.Code)
	c.leave()
	assert.True(t, c.enter())
}

// Whatever an event holds, its shown form is JSON without the secret.
func FuzzRedact(f *testing.F) {
	f.Add([]byte(sampleEvent))
	f.Add([]byte(`{"a":[{"Password":{"x":["deep"]}}]}`))
	f.Add([]byte("not json"))
	f.Add([]byte(`"http://x?key=1"`))
	f.Fuzz(func(t *testing.T, data []byte) {
		out := redact(data)
		require.True(t, json.Valid(out), "%s", out)
		marked, err := json.Marshal(map[string]any{"password": string(data), "more": json.RawMessage(out)})
		require.NoError(t, err)
		assert.Contains(t, string(redact(marked)), `"password": "(hidden)"`)
		_ = newEvent(1, data, 1)
	})
}

func lineOf(i int) errorlog.Line {
	return errorlog.Line{Time: time.Unix(int64(i), 0), Level: "info", Text: fmt.Sprint("line ", i)}
}
