package kongdev

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/external"
)

// BenchmarkRequest measures the gateway with everything in one process: client,
// upstream and a plugin that does nothing, or makes one call.
func BenchmarkRequest(b *testing.B) {
	for _, bm := range []struct {
		name, phases string
		calls        int
	}{{"no plugin", `"rewrite"`, 0}, {"access", `"access"`, 0}, {"access, one call", `"access"`, 1}, {"access, response, log", `"access","response","log"`, 0}} {
		b.Run(bm.name, func(b *testing.B) {
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
			defer upstream.Close()
			dir, err := os.MkdirTemp("", "kd")
			require.NoError(b, err)
			defer func() { _ = os.RemoveAll(dir) }()
			g, err := Start(context.Background(), Options{
				Config: recordedConfig(upstream.URL), Prefix: dir,
				Plugins: []external.Server{{Name: "tplug", QueryCmd: `echo '{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"tplug","Phases":[` + bm.phases + `],"Version":"1","Priority":1,"Schema":{}}]}'`}},
			})
			require.NoError(b, err)
			defer func() { _ = g.Close() }()
			startFakePlugin(b, dir, func(c *fakeConn, _ string, _ int32) {
				for range bm.calls {
					c.ask("kong.request.get_header", str("accept"))
				}
			})
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			b.ReportAllocs()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := client.Get(g.URL())
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode != 200 {
						b.Error(resp.Status)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// BenchmarkLogEntry prints what kong.log.serialize shows.
func BenchmarkLogEntry(b *testing.B) {
	ev := newTestEvent(b, phaseLog)
	b.ReportAllocs()
	for b.Loop() {
		s := serialized{base: ev.req}
		if len(s.message()) == 0 {
			b.Fatal("no entry")
		}
	}
}
