package echo

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
)

func TestEcho(t *testing.T) {
	srv, err := kongdev.ServeLoopback(New())
	require.NoError(t, err)
	defer srv.Close()
	tests := []struct {
		path   string
		status int
		body   string
		length int64
	}{
		{"/ok", 200, `{"ok":true}`, 11},
		{"/missing", 404, `{"err":"nope"}`, 14},
		{"/text", 200, "just text\n", 10},
		{"/status/503", 503, `{"status":503}`, 14},
		{"/status/204", 204, "", 0},
		{"/status/x", 400, `{"err":"use /status/N with N from 200 to 599"}`, -2},
		{"/status/99", 400, `{"err":"use /status/N with N from 200 to 599"}`, -2},
		{"/bytes/20", 200, "0123456789abcdef0123", 20},
		{"/bytes/0", 200, "", 0},
		{"/bytes/-1", 400, `{"err":"use /bytes/N with N from 0 to 1073741824"}`, -2},
		{"/bytes/9999999999999", 400, `{"err":"use /bytes/N with N from 0 to 1073741824"}`, -2},
		{"/stream/2/0", 200, "data: {\"n\":0}\n\ndata: {\"n\":1}\n\n", -1},
		{"/stream/x", 400, `{"err":"use /stream/N/MS with N up to 10000"}`, -2},
		{"/delay/x", 400, `{"err":"use /delay/MILLISECONDS"}`, -2},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			resp, err := http.Get(srv.URL() + tt.path)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, tt.status, resp.StatusCode)
			assert.Equal(t, tt.body, string(body))
			if tt.length != -2 {
				assert.Equal(t, tt.length, resp.ContentLength)
			}
		})
	}
}

func TestEchoShowsTheRequest(t *testing.T) {
	for _, path := range []string{"/any//path/../x?a=1&b", "/delay/0?a=1&b", "/", "/gzip"} {
		req := httptest.NewRequest(http.MethodPut, path, strings.NewReader(`{"a":1}`))
		req.Header["X-Two"] = []string{"1", "2"}
		req.Host = "orders.test"
		w := httptest.NewRecorder()
		New().ServeHTTP(w, req)
		var body io.Reader = w.Body
		if w.Header().Get("Content-Encoding") == "gzip" {
			var err error
			body, err = gzip.NewReader(w.Body)
			require.NoError(t, err)
		}
		var got struct {
			Method, URI string
			Headers     map[string]any
			BodyLen     int `json:"body_len"`
		}
		require.NoError(t, json.NewDecoder(body).Decode(&got), path)
		assert.Equal(t, []any{"PUT", path, 7}, []any{got.Method, got.URI, got.BodyLen})
		assert.Equal(t, []any{"1", "2"}, got.Headers["x-two"])
		assert.Equal(t, "orders.test", got.Headers["host"])
		assert.True(t, w.Flushed, "chunked, as recorded")
		assert.Equal(t, 200, w.Code)
	}
}

func TestEchoStreamsOneEventAtATime(t *testing.T) {
	srv, err := kongdev.ServeLoopback(New())
	require.NoError(t, err)
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL()+"/stream/2/60000", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	require.NoError(t, err, "the first event comes before the second is due")
	assert.Equal(t, "data: {\"n\":0}\n", line)
	cancel()
}

func TestEchoDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, start := New(), time.Now()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/delay/1500", nil))
		assert.Equal(t, 1500*time.Millisecond, time.Since(start))
		start = time.Now()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/delay/999999999", nil))
		assert.Equal(t, maxDelay, time.Since(start), "bounded")
	})
}

func TestEchoCutsTheConnection(t *testing.T) {
	srv, err := kongdev.ServeLoopback(New())
	require.NoError(t, err)
	defer srv.Close()
	resp, err := http.Get(srv.URL() + "/cut")
	if err == nil {
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
	}
	assert.Error(t, err)
}

func TestHelpNamesEveryPath(t *testing.T) {
	for _, path := range []string{"/delay/", "/status/", "/stream", "/gzip", "/bytes/", "/text", "/ok", "/missing", "/cut"} {
		assert.Contains(t, "\n"+Help, "\n"+path)
	}
}
