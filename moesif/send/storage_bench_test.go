package send

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// cpu returns the CPU time that this process has used, all threads together.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What an event costs from the encoded bytes on, all goroutines included: cpu-ns/op with and without the spool. The
// collector takes everything at once, or is down.
func BenchmarkQueueAdd(b *testing.B) {
	for _, size := range []int{2 << 10, 10 << 10} {
		for _, where := range []string{"memory", "spool"} {
			for _, rate := range []string{"burst", "paced"} {
				for _, down := range []bool{false, true} {
					b.Run(fmt.Sprintf("%dKB/%s/%s/down=%t", size>>10, where, rate, down), func(b *testing.B) {
						benchmarkQueueAdd(b, size, where == "spool", rate == "paced", down)
					})
				}
			}
		}
	}
}

func benchmarkQueueAdd(b *testing.B, size int, onDisk, paced, down bool) {
	set := Settings{MaxEvents: 100000, MaxBytes: 64 << 20, BatchEvents: 200, FlushAfter: time.Second}
	if onDisk {
		set.SpoolDir, set.SpoolMaxBytes, set.SpoolMaxAge = b.TempDir(), 128<<20, 24*time.Hour
	}
	collector := func(Settings) sender { return &fakeDiscard{down: down} }
	q := newQueue(set, quietEnv(), collector)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		q.Close(ctx)
	}()
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	before := cpu()
	for i := range b.N {
		q.Add(make([]byte, size))
		if paced && i%20 == 19 { // 5000 events a second or so
			time.Sleep(4 * time.Millisecond)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(counterValue(b, q.env.Metrics.dropped)/float64(b.N), "lost/op")
}

// A fakeDiscard takes everything, or is down.
type fakeDiscard struct{ down bool }

func (d *fakeDiscard) upload(context.Context, [][]byte) outcome {
	if d.down {
		return outcome{class: retry, status: 503}
	}
	return outcome{class: sent, status: 201}
}
func (*fakeDiscard) close() {}
