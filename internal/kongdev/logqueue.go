package kongdev

import "sync/atomic"

// Kong's limits for the timers that log handlers run in, per worker.
const (
	maxRunningTimers = 4096
	maxPendingTimers = 16384
)

// A logQueue runs log events, a bounded number at a time.
type logQueue struct {
	slots   chan struct{}
	most    int64 // may wait
	waiting atomic.Int64
}

func newLogQueue(workers int) *logQueue {
	return &logQueue{slots: make(chan struct{}, workers*maxRunningTimers), most: int64(workers * maxPendingTimers)}
}

// run starts f in a goroutine of its own; false when too many are waiting.
func (l *logQueue) run(f func()) bool {
	if l.waiting.Load() >= l.most {
		return false
	}
	l.waiting.Add(1)
	go func() {
		l.slots <- struct{}{}
		l.waiting.Add(-1)
		defer func() { <-l.slots }()
		f()
	}()
	return true
}
