package send

import (
	"math"
	"runtime/debug"
	"sync"
)

const (
	// windowBytes is what a queue keeps in memory when its events are on disk as well: more would gain nothing.
	windowBytes = 16 << 20
	// muchMemory is what a queue holds when the garbage collector is told of it, littleMemory when that ends.
	muchMemory, littleMemory = 24 << 20, 16 << 20
	// otherMemory is for what is not in queues.
	otherMemory = 40 << 20
)

// memory is what the queues that hold much may hold. It is the process's, as the garbage collector is: left to itself that
// lets the heap grow to twice of what is in use, which during an outage is the queue_max_bytes of each queue.
var memory struct {
	mu     sync.Mutex
	queues int64
	limit  int64 // before the first of them
}

// grantMemory changes what the queues may hold by so many bytes. A limit that somebody else has set stays.
func grantMemory(bytes int64) {
	memory.mu.Lock()
	defer memory.mu.Unlock()
	if memory.queues == 0 {
		memory.limit = debug.SetMemoryLimit(-1)
	}
	memory.queues += bytes
	switch {
	case memory.limit != math.MaxInt64:
	case memory.queues == 0:
		debug.SetMemoryLimit(math.MaxInt64)
	default:
		debug.SetMemoryLimit(memory.queues + otherMemory)
	}
}

// accountLocked changes what the queue holds in memory.
func (q *Queue) accountLocked(events, bytes int) {
	q.count += events
	q.bytes += bytes
	switch granted := q.window.granted; {
	case granted == 0 && q.bytes > muchMemory:
		q.window.granted = int64(q.set.MaxBytes)
		grantMemory(q.window.granted)
	case granted != 0 && q.bytes < littleMemory:
		q.window.granted = 0
		grantMemory(-granted)
	}
}
