package datakit

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/redistest"
)

// throughCache gets a value from the cache, and else from a service, whose answer it puts in.
func throughCache(resources, get, set, url string) string {
	return fmt.Sprintf(`
resources: {cache: %s}
nodes:
- {name: S, type: static, values: {key: k}}
- {name: GET, type: cache, %s inputs: {key: S.key}}
- {name: MISS, type: branch, input: GET.miss, then: [CALL, SET]}
- {name: CALL, type: call, url: '%s'}
- {name: SET, type: cache, %s inputs: {key: S.key, data: CALL}}
- {name: OUT, type: jq, jq: '(.new.data // .old).body.n', inputs: {new: SET, old: GET.data}}
- {name: EXIT, type: exit, inputs: {body: OUT}}`, resources, get, url, set)
}

// startCounter starts a service that answers with how often it was asked.
func startCounter(t *testing.T, wait time.Duration) (url string, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := asked.Add(1)
		time.Sleep(wait)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"n":9007199254740993%d.10}`, n)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func answerOf(t *testing.T, p *Plan) string {
	t.Helper()
	o := p.Access(t.Context(), &testHost{}, false)
	if !assert.Nil(t, o.Failure) || !assert.NotNil(t, o.Answer) {
		return ""
	}
	return string(o.Answer.Body)
}

// patient is more time for a Redis than a busy machine takes.
const patient = "connect_timeout: 60000, send_timeout: 60000, read_timeout: 60000"

const firstAnswer = "90071992547409931.10"

// Who names the same cache shares it: in memory within a process, in Redis everywhere. Numbers keep their digits.
func TestCachesAreShared(t *testing.T) {
	t.Parallel()
	url, asked := startCounter(t, 0)
	s := redistest.Start(t)
	redis := fmt.Sprintf("{strategy: redis, redis: {host: 127.0.0.1, port: %d, database: 1, %s}}", s.Port, patient)
	encrypted := fmt.Sprintf("{strategy: redis, redis: {host: 127.0.0.1, port: %d, database: 1, ssl: true, ssl_verify: false, %s}}", s.TLSPort, patient)
	assert.Equal(t, firstAnswer, answerOf(t, mustCompile(t, throughCache(redis, "", "ttl: 60,", url))))
	assert.Equal(t, firstAnswer, answerOf(t, mustCompile(t, throughCache(encrypted, "", "ttl: 60,", url))), "another process")
	assert.EqualValues(t, 1, asked.Load())

	asked.Store(0)
	e := newTestEngine(t)
	in := func(name string) string {
		p, err := compileWith(t, e, throughCache("{strategy: memory, memory: {dictionary_name: "+name+"}}", "", "", url))
		require.NoError(t, err)
		return answerOf(t, p)
	}
	assert.Equal(t, firstAnswer, in("a"))
	assert.Equal(t, firstAnswer, in("a"))
	assert.NotEqual(t, firstAnswer, in("b"), "another name is another cache")
}

// A flood of requests for what is not there costs the service one call.
func TestRequestsWaitForOneCall(t *testing.T) {
	t.Parallel()
	url, asked := startCounter(t, 20*time.Millisecond)
	p := mustCompile(t, throughCache("{strategy: memory}", "wait_ms: 30000,", "", url))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { assert.Equal(t, firstAnswer, answerOf(t, p)) })
	}
	wg.Wait()
	assert.EqualValues(t, 1, asked.Load())
}

// Others wait for a value no longer than the request that gets it lasts, be it by a failure or by an answer of its own.
func TestNobodyWaitsForARequestThatIsOver(t *testing.T) {
	t.Parallel()
	const get = `
resources: {cache: {strategy: memory}}
nodes:
- {name: S, type: static, values: {key: k, data: v}}
- {name: GET, type: cache, wait_ms: 20000, inputs: {key: S.key}}
`
	for name, c := range map[string]struct {
		nodes string
		wait  time.Duration
	}{
		"it failed":                   {"- {name: A, type: jq, input: GET, jq: 'error(\"no\")'}", 0},
		"it answered":                 {"- {name: A, type: exit, inputs: {body: GET.miss}}", 0},
		"it puts nothing in":          {"- {name: A, type: jq, inputs: {a: GET, b: service_response.status}, jq: '.'}", 0},
		"it may put it in at its end": {"- {name: A, type: jq, inputs: {a: GET, b: service_response.status}, jq: 'empty'}\n- {name: SET, type: cache, inputs: {key: S.key, data: A}}", 20 * time.Second},
		"it put it in":                {"- {name: D, type: jq, input: GET.miss, jq: '\"v\"'}\n- {name: SET, type: cache, inputs: {key: S.key, data: D}}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := mustCompile(t, get+c.nodes)
				p.Access(t.Context(), &testHost{}, false)
				began := time.Now()
				p.Access(t.Context(), &testHost{}, false)
				assert.Equal(t, c.wait, time.Since(began))
			})
		})
	}
}

// Values that are not fresh any more are given on while one request gets a new one.
func TestStaleValues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := mustCompile(t, throughCache("{strategy: memory}", "", "ttl: 10, stale_ms: 60000,", "http://service/"))
		calls := 0
		p.with("CALL", func(context.Context, values) (values, error) {
			calls++
			time.Sleep(time.Second)
			return values{{"body", map[string]any{"n": calls}}}, nil
		})
		assert.Equal(t, "1", answerOf(t, p))
		assert.Equal(t, "1", answerOf(t, p))
		time.Sleep(11 * time.Second)
		done := make(chan string)
		go func() { done <- answerOf(t, p) }()
		synctest.Wait() // that one is at the service
		began := time.Now()
		assert.Equal(t, "1", answerOf(t, p))
		assert.Zero(t, time.Since(began), "the others do not wait")
		assert.Equal(t, "2", <-done)
		assert.Equal(t, "2", answerOf(t, p))
		time.Sleep(71 * time.Second)
		assert.Equal(t, "3", answerOf(t, p), "in the end it is gone")
	})
}

// With bypass_on_error a Redis that hangs costs its timeout, and nothing more.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	url, asked := startCounter(t, 0)
	s := redistest.Start(t)
	resources := fmt.Sprintf("{strategy: redis, redis: {host: 127.0.0.1, port: %d, connect_timeout: 50, send_timeout: 50, read_timeout: 50}}", s.Port)
	bypass := mustCompile(t, throughCache(resources, "bypass_on_error: true,", "bypass_on_error: true,", url))
	strict := mustCompile(t, throughCache(resources, "", "", url))
	s.Hang()
	for range 5 {
		assert.NotEmpty(t, answerOf(t, bypass))
	}
	assert.EqualValues(t, 5, asked.Load(), "the service was asked each time")
	o := strict.Access(t.Context(), &testHost{}, false)
	require.NotNil(t, o.Failure)
	assert.True(t, strings.HasPrefix(o.Failure.Error(), "node #2 (GET) failed with error: \"redis: no answer in time"), o.Failure.Error())
	s.Resume()
	require.Eventually(t, func() bool { return strict.Access(t.Context(), &testHost{}, false).Failure == nil }, time.Minute, 20*time.Millisecond)
}
