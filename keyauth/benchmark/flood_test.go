package benchmark

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// BenchmarkFlood measures requests with a valid key while 32 clients send wrong ones as fast as they can. As in
// BenchmarkGateway both plugins take turns; wrong keys are refused without Kong's connection being lost.
func BenchmarkFlood(b *testing.B) {
	roles := []string{peer, ours}
	good, bad := map[string][]*caller{}, map[string][]*caller{}
	for _, role := range roles {
		url := startGateway(b, role)
		good[role] = dialCallers(b, url, goodKey, connections)
		bad[role] = dialCallers(b, url, wrongKey, 32)
	}
	spent := map[string]time.Duration{}
	b.ResetTimer()
	for range b.N {
		for _, role := range roles {
			stop := make(chan struct{})
			var flood sync.WaitGroup
			for _, c := range bad[role] {
				flood.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if err := c.send(http.StatusUnauthorized); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			begin := time.Now()
			err := turn(good[role], http.StatusOK)
			spent[role] += time.Since(begin)
			close(stop)
			flood.Wait()
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	reportRatio(b, spent)
}
