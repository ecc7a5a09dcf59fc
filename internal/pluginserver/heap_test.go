package pluginserver

import (
	"runtime"
	"runtime/debug"
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
	current := func() int {
		percent := debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		return percent
	}
	before := current()
	t.Cleanup(func() { debug.SetGCPercent(before) })
	spareCollector()
	held := make([]byte, 64<<20)
	require.Eventually(t, func() bool { runtime.GC(); return current() == 100 }, time.Minute, time.Millisecond, "much is in use")
	runtime.KeepAlive(held)
	require.Eventually(t, func() bool { runtime.GC(); return current() > 100 }, time.Minute, time.Millisecond, "little is in use")
}
