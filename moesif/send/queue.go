package send

import (
	"context"
	"sync"
	"time"
)

// maxBatchBytes is the largest upload, in bytes before compression. The collector takes 50 MB; an event that is larger
// alone still goes, by itself.
const maxBatchBytes = 8 << 20

// keepRoom is the room for events that an empty queue keeps.
const keepRoom = 4096

// eventOverhead is what an event costs in memory beside its bytes.
const eventOverhead = 48

// A Queue holds the events of one application until the collector has them, in order. One goroutine sends; Add never
// waits for it. Safe for concurrent use.
type Queue struct {
	env   Env
	drops *drops
	build func(Settings) sender

	closing chan struct{} // closed by Close: send what is there and end
	ctx     context.Context
	cancel  context.CancelFunc // the time for that is over
	done    chan struct{}      // the sender has ended
	wake    chan struct{}      // there may be something to do

	mu     sync.Mutex
	set    Settings
	upload sender
	events []queued // FIFO; [:head] is gone
	head   int
	count  int // waiting and on their way
	bytes  int
	ended  bool
	// patience is the longest pause while closing.
	patience time.Duration

	// Of the sending goroutine alone.
	settled int // events of the current batch that were sent or dropped, from its front
	held    int // the status that holds the queue, 0 for none
	refused int // events refused in a row
}

// A sender makes one attempt to send events.
type sender interface {
	upload(ctx context.Context, events [][]byte) outcome // called by one goroutine at a time
	close()                                              // gives idle connections back; may be called at any time
}

type queued struct {
	event []byte
	at    time.Time
}

// NewQueue starts a queue. Close ends it.
func NewQueue(set Settings, env Env) *Queue {
	return newQueue(set, env, func(set Settings) sender { return newUploader(set, env) })
}

func newQueue(set Settings, env Env, build func(Settings) sender) *Queue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &Queue{
		env: env, drops: newDrops(env.Metrics, env.Notice), build: build,
		closing: make(chan struct{}), ctx: ctx, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1),
		set: set, upload: build(set),
	}
	env.Metrics.started(q)
	go q.send()
	return q
}

// Configure changes the settings of a running queue: those of the newest configuration count. A batch on its way keeps
// the old ones.
func (q *Queue) Configure(set Settings) {
	q.mu.Lock()
	changed := set != q.set
	if changed {
		q.set = set
		q.upload.close()
		q.upload = q.build(set)
	}
	q.mu.Unlock()
	if changed {
		q.signal()
	}
}

// Settings returns those that count at present.
func (q *Queue) Settings() Settings {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.set
}

// Add queues an event and reports whether there was room. It never blocks: an event that does not fit is dropped and
// counted. The event must not be changed afterwards.
func (q *Queue) Add(event []byte) bool {
	size := cap(event) + eventOverhead
	q.mu.Lock()
	reason := ""
	switch {
	case q.ended:
		reason = dropClosed
	case size > q.set.MaxBytes:
		reason = dropTooLarge
	case q.count >= q.set.MaxEvents || q.bytes+size > q.set.MaxBytes:
		reason = dropQueueFull
	}
	if reason != "" {
		q.mu.Unlock()
		q.drops.add(reason, 1)
		return false
	}
	waiting := len(q.events) - q.head
	q.events = append(q.events, queued{event, time.Now()})
	q.count++
	q.bytes += size
	wake := waiting == 0 || (waiting+1)%q.set.BatchEvents == 0 || q.bytes >= maxBatchBytes
	q.mu.Unlock()
	q.env.Metrics.queued.Inc()
	if wake {
		q.signal()
	}
	return true
}

// Size returns how many events the queue holds, those on their way included, and their memory.
func (q *Queue) Size() (events, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}

// Close sends what is queued and returns when that is done or ctx is; what is left then is dropped, counted and its
// number returned. A later Add drops its event. Close may be called again, also at the same time and with less time.
func (q *Queue) Close(ctx context.Context) (left int) {
	q.mu.Lock()
	first := !q.ended
	q.ended = true
	q.patience = time.Second
	if until, ok := ctx.Deadline(); ok {
		q.patience = time.Until(until) / 5 // so that there are some more attempts
	}
	q.mu.Unlock()
	if first {
		close(q.closing)
	} else {
		q.signal()
	}
	select {
	case <-q.done:
	case <-ctx.Done():
		q.cancel()
		<-q.done
	}
	q.cancel()
	q.mu.Lock()
	left = q.count
	q.count, q.bytes, q.events, q.head = 0, 0, nil, 0
	q.upload.close()
	q.mu.Unlock()
	q.drops.add(dropShutdown, left)
	q.drops.close()
	q.env.Metrics.ended(q)
	return left
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) isClosing() bool {
	select {
	case <-q.closing:
		return true
	default:
		return false
	}
}

// take removes the next batch from the waiting events, or says how long to wait for one. Its events still count until
// settle is called.
func (q *Queue) take() (b batch, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.events[q.head:]
	if len(waiting) == 0 {
		return batch{}, time.Hour
	}
	n, bytes := 0, 0
	for n < len(waiting) && n < q.set.BatchEvents {
		if bytes += len(waiting[n].event) + 1; n > 0 && bytes > maxBatchBytes {
			break
		}
		n++
	}
	full := n == q.set.BatchEvents || n < len(waiting)
	if age := time.Since(waiting[0].at); !full && age < q.set.FlushAfter && !q.isClosing() {
		return batch{}, q.set.FlushAfter - age
	}
	b.events = make([][]byte, n)
	for i := range b.events {
		b.events[i] = waiting[i].event
		waiting[i] = queued{}
	}
	q.head += n
	if q.head == len(q.events) {
		if q.events, q.head = q.events[:0], 0; cap(q.events) > keepRoom {
			q.events = nil // an outage has filled it
		}
	} else if q.head > len(q.events)/2 {
		q.events = q.events[:copy(q.events, q.events[q.head:])]
		clear(q.events[len(q.events):cap(q.events)])
		q.head = 0
	}
	return b, 0
}

// settle takes events off the account that were sent or dropped: all of a batch or a part of it.
func (q *Queue) settle(b batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count -= len(b.events)
	for _, e := range b.events {
		q.bytes -= cap(e) + eventOverhead
	}
}

// waiting returns how many events wait for an upload, those on their way left out.
func (q *Queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events) - q.head
}
