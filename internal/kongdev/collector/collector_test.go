package collector

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const goodEvent = `{"request":{"time":"2026-03-01T10:20:30.045Z","uri":"http://a.test/x","verb":"GET","headers":{}},"response":{"time":"2026-03-01T10:20:30.1","status":200}}`

func post(t *testing.T, url, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Moesif-Application-Id", "app")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

func deflated(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

func TestCollectorRequests(t *testing.T) {
	batch := "[" + goodEvent + "," + goodEvent + "]"
	event := func(old, new string) string { return "[" + strings.Replace(goodEvent, old, new, 1) + "]" }
	tests := []struct {
		name, path, body string
		headers          []string
		status           int
		text             string
		events           int
	}{
		{"batch", "/v1/events/batch", batch, nil, 201, "", 2},
		{"empty batch", "/v1/events/batch", "[]", nil, 201, "", 0},
		{"gzip", "/v1/events/batch", gzipped(batch), []string{"Content-Encoding", "gzip"}, 201, "", 2},
		{"deflate", "/v1/events/batch", deflated(batch), []string{"Content-Encoding", "deflate"}, 201, "", 2},
		{"charset", "/v1/events/batch", batch, []string{"Content-Type", "application/json; charset=utf-8"}, 201, "", 2},
		{"single event", "/v1/events", goodEvent, nil, 201, "", 1},
		{"no application id", "/v1/events/batch", batch, []string{"X-Moesif-Application-Id", " "}, 401, "X-Moesif-Application-Id", 0},
		{"wrong type", "/v1/events/batch", batch, []string{"Content-Type", "text/plain"}, 415, "Content-Type", 0},
		{"unknown encoding", "/v1/events/batch", batch, []string{"Content-Encoding", "br"}, 415, "Content-Encoding", 0},
		{"not gzip", "/v1/events/batch", batch, []string{"Content-Encoding", "gzip"}, 400, "not gzip", 0},
		{"cut gzip", "/v1/events/batch", gzipped(batch)[:40], []string{"Content-Encoding", "gzip"}, 400, "not gzip", 0},
		{"bomb", "/v1/events/batch", gzipped(strings.Repeat(" ", maxBatchBytes+1)), []string{"Content-Encoding", "gzip"}, 413, "larger than", 0},
		{"not an array", "/v1/events/batch", goodEvent, nil, 400, "must be a JSON array", 0},
		{"null", "/v1/events/batch", "null", nil, 400, "must be a JSON array", 0},
		{"not JSON", "/v1/events/batch", "[", nil, 400, "must be a JSON array", 0},
		{"large event", "/v1/events/batch", event(`{}`, `{"a":"`+strings.Repeat("x", maxEventBytes)+`"}`), nil, 413, "event 0: larger", 0},
		{"no request", "/v1/events/batch", "[{}]", nil, 400, "event 0: request is missing", 0},
		{"no verb", "/v1/events/batch", event(`"GET"`, `""`), nil, 400, "request.verb", 0},
		{"relative uri", "/v1/events/batch", event("http://a.test/x", "/x"), nil, 400, "request.uri", 0},
		{"bad time", "/v1/events/batch", event("2026-03-01T10:20:30.045Z", "now"), nil, 400, "request.time", 0},
		{"bad response time", "/v1/events/batch", event("10:20:30.1", "10"), nil, 400, "response.time", 0},
		{"bad status", "/v1/events/batch", event("200", "0"), nil, 400, "response.status", 0},
		{"unknown path", "/v2/events", batch, nil, 404, "no such path", 0},
		{"wrong method", "/v1/config", batch, nil, 405, "use GET", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New()
			srv := httptest.NewServer(c)
			defer srv.Close()
			resp := post(t, srv.URL+tt.path, tt.body, tt.headers...)
			require.NotNil(t, resp)
			body, _ := io.ReadAll(resp.Body)
			assert.Equal(t, tt.status, resp.StatusCode, string(body))
			assert.Contains(t, string(body), tt.text)
			assert.NotEmpty(t, resp.Header.Get("X-Moesif-Config-Etag"))
			assert.Len(t, c.Events(), tt.events)
		})
	}
}

func TestCollectorKeepsWhatWasSent(t *testing.T) {
	c := New()
	srv := httptest.NewServer(c)
	defer srv.Close()
	post(t, srv.URL+"/v1/events/batch", gzipped("["+goodEvent+"]"), "Content-Encoding", "gzip", "User-Agent", "me/1")
	require.Len(t, c.Events(), 1)
	assert.Equal(t, goodEvent, string(c.Events()[0]), "byte for byte")
	b := c.Batches()[0]
	assert.Equal(t, []any{1, "gzip", "me/1", "app", len(goodEvent) + 2}, []any{b.Events, b.Encoding, b.UserAgent, b.Application, b.Bytes})
	assert.Positive(t, b.WireBytes)
	c.Reset()
	assert.Empty(t, c.Events())
	accepted, refused := c.Total()
	assert.Zero(t, accepted+refused)
}

func TestCollectorWait(t *testing.T) {
	c := New()
	srv := httptest.NewServer(c)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	type result struct {
		events []json.RawMessage
		err    error
	}
	done := make(chan result)
	go func() {
		e, err := c.Wait(ctx, 3)
		done <- result{e, err}
	}()
	for range 3 {
		post(t, srv.URL+"/v1/events/batch", "["+goodEvent+"]")
	}
	r := <-done
	require.NoError(t, r.err)
	assert.Len(t, r.events, 3)

	ended, end := context.WithCancel(t.Context())
	end()
	_, err := c.Wait(ended, 5)
	assert.EqualError(t, err, "3 of 5 events arrived: context canceled")
	assert.EqualError(t, c.WaitRefused(ended, 1), "0 of 1 requests refused: context canceled")
}

func TestCollectorFaults(t *testing.T) {
	c := New()
	srv := httptest.NewServer(c)
	defer srv.Close()
	url, body := srv.URL+"/v1/events/batch", "["+goodEvent+"]"

	c.SetFault(Fault{Status: 503, RetryAfter: "7", Times: 2})
	for range 2 {
		resp := post(t, url, body)
		assert.Equal(t, 503, resp.StatusCode)
		assert.Equal(t, "7", resp.Header.Get("Retry-After"))
	}
	assert.Equal(t, 201, post(t, url, body).StatusCode, "the third one is taken")
	assert.Len(t, c.Events(), 1)

	c.SetFault(Fault{Cut: true})
	assert.Nil(t, post(t, url, body), "no answer")
	assert.Len(t, c.Events(), 1)

	c.SetFault(Fault{Status: 500, After: true})
	assert.Equal(t, 500, post(t, url, body).StatusCode)
	assert.Len(t, c.Events(), 2, "taken before it failed")

	c.SetFault(Fault{Status: 400, Containing: "poison"})
	assert.Equal(t, 201, post(t, url, body).StatusCode)
	assert.Equal(t, 400, post(t, url, "["+goodEvent+","+strings.Replace(goodEvent, "/x", "/poison", 1)+"]").StatusCode)
	accepted, refused := c.Total()
	assert.Equal(t, []int{3, 5}, []int{accepted, refused})

	c.SetFault(Fault{})
	assert.Equal(t, 201, post(t, url, body).StatusCode)
}

func TestCollectorHangsUntilTheClientOrTheFaultEnds(t *testing.T) {
	c := New()
	srv := httptest.NewServer(c)
	defer srv.Close()
	url, body := srv.URL+"/v1/events/batch", "["+goodEvent+"]"
	c.SetFault(Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	answered := make(chan bool)
	go func() { answered <- post(t, url, body) != nil }()
	require.NoError(t, c.WaitRefused(ctx, 1))
	select {
	case <-answered:
		t.Fatal("a hanging collector answered")
	default:
	}
	c.SetFault(Fault{})
	assert.False(t, <-answered, "the connection is cut when the fault ends")
	assert.Empty(t, c.Events())

	c.SetFault(Fault{Hang: true, Times: 1})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Moesif-Application-Id", "app")
	req.Header.Set("Content-Type", "application/json")
	gone, giveUp := context.WithCancel(ctx)
	failed := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(req.WithContext(gone)) // there is no answer
		failed <- err
	}()
	require.NoError(t, c.WaitRefused(ctx, 2))
	giveUp()
	assert.ErrorIs(t, <-failed, context.Canceled)
}

func TestCollectorConfigAndRules(t *testing.T) {
	c := New()
	srv := httptest.NewServer(c)
	defer srv.Close()
	c.SetConfig(`{"sample_rate":50}`, "c2")
	c.SetRules(`[{"_id":"r"}]`, "r2")
	for path, want := range map[string]string{"/v1/config": `{"sample_rate":50}`, "/v1/rules": `[{"_id":"r"}]`} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		require.NoError(t, err)
		req.Header.Set("X-Moesif-Application-Id", "app")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		assert.Equal(t, want, string(body))
		assert.Equal(t, "c2 r2", resp.Header.Get("X-Moesif-Config-Etag")+" "+resp.Header.Get("X-Moesif-Rules-Tag"))
	}
}

func TestCollectorForgetsTheOldest(t *testing.T) {
	c := New()
	event := json.RawMessage(goodEvent)
	for i := range 3 {
		c.keep(Batch{Events: 1, Bytes: maxKeptBytes / 2, UserAgent: fmt.Sprint(i)}, []json.RawMessage{event})
	}
	assert.Len(t, c.Events(), 2)
	assert.Equal(t, "1", c.Batches()[0].UserAgent)
	total, _ := c.Total()
	assert.Equal(t, 3, total)
}

// Whatever arrives, the answer is a documented status, and what was accepted
// are whole events.
func FuzzCollector(f *testing.F) {
	f.Add([]byte("["+goodEvent+"]"), "")
	f.Add([]byte(gzipped("["+goodEvent+"]")), "gzip")
	f.Add([]byte(deflated("[]")), "deflate")
	f.Add([]byte(`[{"request":{"time":1}}]`), "identity")
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		c := New()
		r := httptest.NewRequest(http.MethodPost, "/v1/events/batch", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Moesif-Application-Id", "app")
		r.Header["Content-Encoding"] = []string{encoding}
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		accepted, refused := c.Total()
		switch w.Code {
		case 201:
			if refused != 0 || accepted != len(c.Events()) {
				t.Fatalf("accepted %d, kept %d, refused %d", accepted, len(c.Events()), refused)
			}
			for _, e := range c.Events() {
				if _, err := checkEvent(e); err != nil {
					t.Fatalf("kept %q: %v", e, err)
				}
			}
		case 400, 413, 415:
			if accepted != 0 || refused != 1 || !json.Valid(w.Body.Bytes()) {
				t.Fatalf("status %d: accepted %d, refused %d, body %q", w.Code, accepted, refused, w.Body)
			}
		default:
			t.Fatalf("status %d", w.Code)
		}
	})
}
