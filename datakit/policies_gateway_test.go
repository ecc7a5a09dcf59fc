package datakit_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/internal/redistest"
)

// startService starts a service that answers by how often it was asked.
func startService(t *testing.T, answer func(w http.ResponseWriter, asked int)) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, int(asked.Add(1)))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// Whatever a client writes into a URL, the call goes where the workflow lets it, and the client is not told why it did not.
func TestDeniedHosts(t *testing.T) {
	url, asked := startService(t, func(w http.ResponseWriter, _ int) { _, _ = io.WriteString(w, "inside") })
	port := url[strings.LastIndexByte(url, ':'):]
	workflow := func(options string) string {
		return "nodes:\n- {name: CALL, type: call, " + options + "inputs: {url: request.query.to}}\n- {name: EXIT, type: exit, inputs: {body: CALL.body}}"
	}
	g := startGateway(t, nil, map[string]string{
		"plain":   workflow(""),
		"allowed": workflow("allowed_hosts: [127.0.0.1], "),
		"denied":  workflow("allowed_hosts: [127.0.0.0/8], denied_hosts: [127.0.0.1, localhost], "),
		"debug":   "debug: true\n" + workflow("allowed_hosts: [127.0.0.0/8], denied_hosts: [127.0.0.1], "),
	})
	r := g.Send("GET", "/allowed?to="+url, "")
	assert.Equal(t, []any{200, "inside"}, []any{r.Status, r.Body})
	for _, target := range []string{
		"/plain?to=" + url, "/plain?to=http://169.254.169.254/latest/meta-data/", "/plain?to=http://localhost" + port, "/plain?to=file:///etc/passwd",
		"/plain?to=http://[::1]" + port, "/plain?to=http://2130706433" + port, "/denied?to=" + url, "/denied?to=http://localhost" + port,
	} {
		r = g.Send("GET", target, "")
		assert.Equal(t, 500, r.Status, target)
		assert.Contains(t, r.Body, "An unexpected error occurred", target)
	}
	assert.Contains(t, g.Send("GET", "/debug?to="+url, "").Body, "in denied_hosts")
	assert.EqualValues(t, 1, asked.Load(), "only the allowed one has reached the service")
}

// A POST is sent again only where the workflow says that it does no harm.
func TestRetriesOfAnyMethod(t *testing.T) {
	url, asked := startService(t, func(w http.ResponseWriter, n int) {
		if n%3 != 0 {
			w.WriteHeader(503)
			return
		}
		_, _ = io.WriteString(w, "done")
	})
	workflow := func(options string) string {
		return "debug: true\nnodes:\n- {name: CALL, type: call, method: POST, " + options + "url: '" + url + "', inputs: {body: request.body}}\n- {name: EXIT, type: exit, inputs: {body: CALL.body}}"
	}
	g := startGateway(t, nil, map[string]string{
		"any":   workflow("retries: {count: 2, backoff_ms: 1, any_method: true}, "),
		"once":  workflow(""),
		"wrong": workflow("retries: {count: 2}, "),
	})
	r := g.Send("POST", "/any", "order")
	assert.Equal(t, []any{200, "done"}, []any{r.Status, r.Body})
	assert.EqualValues(t, 3, asked.Load())
	r = g.Send("POST", "/once", "order")
	assert.Contains(t, r.Body, "non-2XX response code: 503")
	assert.EqualValues(t, 4, asked.Load())
	assert.Contains(t, g.Send("POST", "/wrong", "order").Body, "set any_method: true if that does no harm")
	assert.EqualValues(t, 4, asked.Load())
}

// cached answers with what a cache has, which else asks a service and puts its answer in.
func cached(resources, get, set, url string) string {
	return fmt.Sprintf(`
debug: true
resources: {cache: %s}
nodes:
- {name: KEY, type: static, values: {key: some key}}
- {name: GET, type: cache, %s inputs: {key: KEY.key}}
- {name: MISS, type: branch, input: GET.miss, then: [CALL, SET]}
- {name: CALL, type: call, url: '%s'}
- {name: SET, type: cache, %s inputs: {key: KEY.key, data: CALL.body}}
- {name: OUT, type: jq, jq: '.new // .old', inputs: {new: SET.data, old: GET.data}}
- {name: EXIT, type: exit, inputs: {body: OUT}}`, resources, get, url, set)
}

// While one request renews a value that is not fresh any more, the others get the old one at once. With wait_ms that one has
// that long before another one is told to.
func TestStaleThroughTheGateway(t *testing.T) {
	renewing, renew := make(chan struct{}), make(chan struct{})
	url, _ := startService(t, func(w http.ResponseWriter, n int) {
		if n == 2 {
			renewing <- struct{}{}
			<-renew
		}
		_, _ = fmt.Fprintf(w, "answer %d", n)
	})
	g := startGateway(t, nil, map[string]string{"stale": cached("{strategy: memory}", "wait_ms: 50000,", "ttl: 1, stale_ms: 600000,", url)})
	assert.Equal(t, "answer 1", g.Send("GET", "/stale", "").Body)
	renewed := make(chan string, 1)
	go func() { // one request after the other, until one has a new value
		for {
			body, err := get(g.URL() + "/stale")
			if err != nil || body != "answer 1" {
				renewed <- fmt.Sprint(body, err)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	select {
	case <-renewing:
	case <-time.After(kongdevtest.Patience):
		require.Fail(t, "the value stays fresh")
	}
	for range 5 {
		assert.Equal(t, "answer 1", g.Send("GET", "/stale", "").Body, "nobody else waits")
	}
	close(renew)
	assert.Equal(t, "answer 2<nil>", <-renewed)
	assert.NotEqual(t, "answer 1", g.Send("GET", "/stale", "").Body) // on a slow machine it may be a later one
}

func get(url string) (body string, err error) {
	r, err := http.Get(url)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r.Body)
	return string(text), errors.Join(err, r.Body.Close())
}

// A cache in Redis is there for every process: what one has put in, another one finds. Without Redis a request fails in
// time, or goes on where the workflow says so.
func TestRedisThroughTheGateway(t *testing.T) {
	url, asked := startService(t, func(w http.ResponseWriter, n int) { _, _ = fmt.Fprintf(w, "answer %d", n) })
	s := redistest.Start(t)
	redis := fmt.Sprintf("{strategy: redis, redis: {host: 127.0.0.1, port: %d, connect_timeout: 60000, send_timeout: 60000, read_timeout: 60000}}", s.Port)
	routes := map[string]string{
		"shared": cached(redis, "", "ttl: 600,", url),
		"bypass": cached(redis, "bypass_on_error: true,", "ttl: 600, bypass_on_error: true,", url),
	}
	g := startGateway(t, nil, routes)
	assert.Equal(t, "answer 1", g.Send("GET", "/shared", "").Body)
	assert.Equal(t, "answer 1", g.Send("GET", "/bypass", "").Body, "equal keys are one value")
	assert.Equal(t, "answer 1", startGateway(t, nil, routes).Send("GET", "/shared", "").Body, "in another process")
	assert.EqualValues(t, 1, asked.Load())
	left, err := s.Client(t).TTL(t.Context(), "datakit:some key").Result()
	require.NoError(t, err)
	assert.Positive(t, left)
	assert.LessOrEqual(t, left, 10*time.Minute)

	s.Kill()
	r := g.Send("GET", "/shared", "")
	assert.Equal(t, 500, r.Status)
	assert.Contains(t, r.Body, `"name":"GET"`)
	r = g.Send("GET", "/bypass", "")
	assert.Equal(t, []any{200, "answer 2"}, []any{r.Status, r.Body})
	require.Eventually(t, func() bool { // a report reaches Kong with the next event of the process that made it
		g.Send("GET", "/bypass", "")
		return strings.Contains(g.Log(), "goes on without its cache")
	}, kongdevtest.Patience, 20*time.Millisecond)
}
