package pluginserver

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRegistryKeepsAValueForTheGraceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var built, ended atomic.Int64
		build := func() int { return int(built.Add(1)) }
		r := NewRegistry[string](time.Minute, func(int) { ended.Add(1) })
		v, release := r.Acquire("a", build)
		w, again := r.Acquire("a", build)
		require.Equal(t, v, w)
		release()
		release() // a second call changes nothing
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Zero(t, ended.Load(), "the other user still has it")
		again()
		time.Sleep(59 * time.Second)
		w, again = r.Acquire("a", build)
		require.Equal(t, v, w, "found again within the grace time")
		time.Sleep(time.Hour)
		require.Zero(t, ended.Load())
		again()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, ended.Load())
		w, release = r.Acquire("a", build)
		require.Equal(t, 2, w)
		r.Each(func(k string, v int) { require.Equal(t, "a", k); require.Equal(t, 2, v) })
		r.Close()
		require.EqualValues(t, 2, ended.Load())
		release()
		_, release = r.Acquire("b", build) // after Close: ends with its release
		release()
		synctest.Wait()
		require.EqualValues(t, 3, ended.Load())
	})
}

func TestRegistryBuildsOncePerKey(t *testing.T) {
	var built atomic.Int64
	r := NewRegistry[int, int](time.Hour, nil)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			v, release := r.Acquire(i%2, func() int { built.Add(1); return i % 2 })
			defer release()
			if v != i%2 {
				t.Errorf("key %d has value %d", i%2, v)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 2, built.Load())
	r.Close()
}

func TestReportsSayACauseOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReports()
		r.configure(slog.New(slog.DiscardHandler), "moesif")
		for range 5 {
			r.Report("queue", "dropped")
		}
		require.Len(t, r.texts, 1)
		require.Equal(t, "moesif: dropped", r.texts[0])
		time.Sleep(61 * time.Second)
		r.Report("queue", "dropped")
		r.Report("other", "bad \xff byte")
		require.Equal(t, []string{"moesif: dropped", "moesif: dropped", "moesif: bad ? byte"}, r.texts)
		for i := range 3000 { // causes and texts are bounded
			r.Report(string(rune(i)), "x")
		}
		require.Len(t, r.texts, maxReports)
		require.LessOrEqual(t, len(r.causes), maxCauses)
	})
}
