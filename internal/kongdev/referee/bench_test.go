package referee

import (
	"io"
	"net/http"
	"testing"

	"github.com/Kong/go-pdk"
)

// noop is a plugin that does nothing.
type noop struct{}

// Access does nothing.
func (*noop) Access(*pdk.PDK) {}

// BenchmarkNoop is what a load test of a plugin can reach: kongdev, client and upstream in one process, the plugin that
// does nothing in another, all on the same cores.
func BenchmarkNoop(b *testing.B) {
	for _, server := range []string{onGoPDK, onOurs} {
		b.Run(server, func(b *testing.B) {
			g := newBench(b, "noop", server)
			g.quiet.Store(true)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
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
