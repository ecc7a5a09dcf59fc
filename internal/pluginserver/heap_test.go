package pluginserver

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: maxGCPercent, 1 << 20: maxGCPercent, 4 << 20: 800, 16 << 20: 200, 32 << 20: 100, 1 << 30: 100} {
		assert.Equal(t, want, gcPercent(live), "%d bytes in use", live)
	}
}

// TestSpareCollector sees that the heap's slack follows what is in use.
func TestSpareCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	current := func() int { // only read: a finalizer sets it at the same time
		percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(percent)
		return int(percent[0].Value.Uint64())
	}
	before := current()
	t.Cleanup(func() { debug.SetGCPercent(before) })
	spareCollector()
	held := make([]byte, 64<<20)
	require.Eventually(t, func() bool { runtime.GC(); return current() == 100 }, time.Minute, time.Millisecond, "much is in use")
	runtime.KeepAlive(held)
	require.Eventually(t, func() bool { runtime.GC(); return current() > 100 }, time.Minute, time.Millisecond, "little is in use")
}
