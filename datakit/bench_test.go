package datakit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The benchmarks below run parts of the plugin in this process; those of its real process are in the folder benchmark.
// Each compares in one run, in rounds that take turns, and reports medians: run them with -benchtime 1x.

const rounds = 11

// compare returns the processor time of one run of each candidate, in microseconds.
func compare(b *testing.B, runs int, candidates ...func()) []float64 {
	b.Helper()
	taken := make([][]float64, len(candidates))
	for b.Loop() {
		for range rounds {
			for i, run := range candidates {
				before := processorTime(b)
				for range runs {
					run()
				}
				taken[i] = append(taken[i], float64(processorTime(b)-before)/1000/float64(runs))
			}
		}
	}
	medians := make([]float64, len(candidates))
	for i, list := range taken {
		medians[i] = median(list)
	}
	b.ReportMetric(0, "ns/op")
	return medians
}

// processorTime is that of this process so far.
func processorTime(b *testing.B) time.Duration {
	var ts unix.Timespec
	require.NoError(b, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts))
	return time.Duration(ts.Nano())
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// BenchmarkWorkflow is static, jq and a header to the service, without the way to Kong.
func BenchmarkWorkflow(b *testing.B) {
	p := mustCompile(b, `
- {name: S, type: static, values: {headers: {X-Static: fixed}}}
- {name: J, type: jq, jq: '.headers * {"X-Query": (.query.q // "none")}', inputs: {headers: S.headers, query: request.query}, output: service_request.headers}`)
	h := &testHost{request: Message{RawQuery: "q=1&r=2"}}
	b.ReportAllocs()
	for b.Loop() {
		if o := p.Access(b.Context(), h, false); len(o.Service.Headers) != 2 {
			b.Fatal(o.Failure)
		}
	}
}

// document is a JSON text of about 10 KB.
func document() []byte {
	var items []map[string]any
	for i := range 100 {
		items = append(items, map[string]any{"id": i, "name": fmt.Sprintf("item number %d", i), "price": 1.5 * float64(i), "tags": []string{"a", "b"}, "in_stock": i%2 == 0})
	}
	text, _ := json.Marshal(map[string]any{"items": items, "total": 100})
	return text
}

// BenchmarkJQ is jq over a JSON body of 10 KB, from the bytes of the request to those for the upstream: in a workflow,
// and with the library alone.
func BenchmarkJQ(b *testing.B) {
	const program = `{names: [.items[] | select(.in_stock) | .name], sum: ([.items[].price] | add)}`
	body := document()
	query, err := gojq.Parse(program)
	require.NoError(b, err)
	code, err := gojq.Compile(query)
	require.NoError(b, err)
	library := func() {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			b.Fatal(err)
		}
		out, _ := code.RunWithContext(b.Context(), v).Next()
		if _, err := gojq.Marshal(out); err != nil {
			b.Fatal(err)
		}
	}
	p := mustCompile(b, `
- {name: J, type: jq, input: request.body, output: service_request.body, jq: '`+program+`'}`)
	h := &testHost{request: Message{Body: body, Size: int64(len(body)), Header: map[string][]string{"content-type": {"application/json"}}}}
	workflow := func() {
		if o := p.Access(b.Context(), h, false); !o.Service.HasBody {
			b.Fatal(o.Failure)
		}
	}
	took := compare(b, 200, library, workflow)
	b.ReportMetric(took[0], "library-us")
	b.ReportMetric(took[1], "workflow-us")
	b.ReportMetric(took[1]/took[0], "workflow/library")
}

// BenchmarkCacheHit is a workflow that finds a value in memory, next to one without the node for it, and the cache alone.
func BenchmarkCacheHit(b *testing.B) {
	const static = "\nnodes:\n- {name: S, type: static, values: {key: token, data: {access_token: t, expires_in: 3600}}}"
	e := newTestEngine(b)
	workflow := func(nodes string) func() {
		p, err := compileWith(b, e, memory+static+nodes)
		require.NoError(b, err)
		return func() {
			if o := p.Access(b.Context(), &testHost{}, false); o.Failure != nil {
				b.Fatal(o.Failure)
			}
		}
	}
	workflow("\n- {name: PUT, type: cache, inputs: {key: S.key, data: S.data}}")()
	cache, release := e.caches.Acquire("memory kong_db_cache", nil)
	defer release()
	alone := func() {
		if _, hit, err := cache.Get(b.Context(), "token", 0); !hit {
			b.Fatal(err)
		}
	}
	took := compare(b, 20_000, alone, workflow(""), workflow("\n- {name: GET, type: cache, inputs: {key: S.key}}"))
	b.ReportMetric(took[0], "alone-us")
	b.ReportMetric(took[1], "without-us")
	b.ReportMetric(took[2], "hit-us")
	b.ReportMetric(took[2]-took[1], "node-us")
}

// BenchmarkTwoCalls is how much longer a workflow takes than the service that it calls, for one call, and for two at the
// same time. The service's own time is taken where it answers, so that what its timers are late does not count.
func BenchmarkTwoCalls(b *testing.B) {
	var mu sync.Mutex
	var longest time.Duration
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		began := time.Now()
		time.Sleep(20 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		longest = max(longest, time.Since(began))
	}))
	defer server.Close()
	one := "\n- {name: A, type: call, url: '" + server.URL + "/'}"
	plans := []*Plan{mustCompile(b, one), mustCompile(b, one+"\n- {name: B, type: call, url: '"+server.URL+"/'}")}
	over := make([][]float64, len(plans))
	for b.Loop() {
		for range 50 {
			for i, p := range plans {
				longest = 0
				began := time.Now()
				if o := p.Access(b.Context(), &testHost{}, false); o.Failure != nil {
					b.Fatal(o.Failure)
				}
				took := time.Since(began)
				mu.Lock()
				over[i] = append(over[i], float64((took - longest).Microseconds()))
				mu.Unlock()
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(over[0]), "us-over-one-call")
	b.ReportMetric(median(over[1]), "us-over-longer-of-two")
}
