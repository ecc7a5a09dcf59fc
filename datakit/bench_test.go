package datakit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/require"
)

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

const program = `{names: [.items[] | select(.in_stock) | .name], sum: ([.items[].price] | add)}`

// BenchmarkJQ is jq over a JSON body of 10 KB, from the bytes of the request to those for the upstream: in a workflow,
// and with the library alone.
func BenchmarkJQ(b *testing.B) {
	body := document()
	b.Run("library", func(b *testing.B) {
		query, err := gojq.Parse(program)
		require.NoError(b, err)
		code, err := gojq.Compile(query)
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
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
	})
	b.Run("workflow", func(b *testing.B) {
		p := mustCompile(b, `
- {name: J, type: jq, input: request.body, output: service_request.body, jq: '`+program+`'}`)
		h := &testHost{request: Message{Body: body, Size: int64(len(body)), Header: map[string][]string{"content-type": {"application/json"}}}}
		b.ReportAllocs()
		for b.Loop() {
			if o := p.Access(b.Context(), h, false); !o.Service.HasBody {
				b.Fatal(o.Failure)
			}
		}
	})
}

// BenchmarkHundredCalls is a workflow whose call takes 50 ms, by a hundred at the same time: at most 2,000 requests/s.
func BenchmarkHundredCalls(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"token":"t"}`))
	}))
	defer server.Close()
	p := mustCompile(b, `
- {name: C, type: call, url: "`+server.URL+`/"}
- {name: J, type: jq, jq: '{"X-Token": .token}', input: C.body, output: service_request.headers}`)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	began := time.Now()
	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			for left.Add(-1) >= 0 {
				if o := p.Access(b.Context(), &testHost{}, false); o.Failure != nil {
					b.Error(o.Failure)
				}
			}
		})
	}
	clients.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "requests/s")
}
