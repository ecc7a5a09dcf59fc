package pluginserver

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapSlack is how much garbage a worker may gather before it is collected, however little is in use. Left to itself, Go
// collects whenever the heap has doubled: with the few megabytes that most plugins hold that is dozens of times a second
// under load, and was a quarter of the plugin's processor time. A memory limit that a plugin sets still holds.
const heapSlack = 32 << 20

// maxGCPercent bounds what the heap may grow to when what is in use grows at once.
const maxGCPercent = 1000

// spareCollector gives the heap its slack, anew after each collection, unless the operator has set GOGC.
func spareCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := 100
	var tune func(*collected)
	tune = func(*collected) {
		metrics.Read(live)
		if want := gcPercent(live[0].Value.Uint64()); want < percent || want > percent*5/4 { // each change stops the program for a moment
			percent = want
			debug.SetGCPercent(percent)
		}
		runtime.SetFinalizer(new(collected), tune)
	}
	tune(nil)
}

// A collected is an object that nobody holds: its finalizer runs after the next collection.
type collected struct{ _ [16]byte }

// gcPercent is how much the heap may grow, in percent of what is in use: at least to twice of it, as Go has it.
func gcPercent(live uint64) int {
	return int(min(max(heapSlack*100/max(live, 1), 100), maxGCPercent))
}
