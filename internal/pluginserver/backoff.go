package pluginserver

import "time"

const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	// livedLongEnough is how long a worker must have accepted for its death to count as the first one again.
	livedLongEnough = 200 * time.Millisecond
)

// A backoff says how long to wait before a worker is started again: not at all after the first death, then 50 ms,
// doubling to 1 s while workers die young. The zero value is ready.
type backoff struct{ pause time.Duration }

// died takes how long the dead worker had been accepting, 0 if it never did.
func (b *backoff) died(accepted time.Duration) (wait time.Duration) {
	if accepted >= livedLongEnough {
		b.pause = 0
	}
	wait = b.pause
	b.pause = min(max(2*b.pause, firstPause), lastPause)
	return wait
}
