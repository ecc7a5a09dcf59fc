package send

import (
	"context"
	"sync"
	"time"

	"kong-go-plugins/moesif/spool"
)

// A Queue holds the events of one application until the collector has them, in order. One goroutine sends; Add never
// waits for it. Safe for concurrent use.
type Queue struct {
	env   Env
	drops *drops
	build func(Settings) sender
	spool *spool.Log // nil: events wait in memory only

	closing chan struct{} // closed by Close: send what is there and end
	ctx     context.Context
	cancel  context.CancelFunc // the time for that is over
	done    chan struct{}      // the sender has ended
	wake    chan struct{}      // there may be something to do

	mu      sync.Mutex
	set     Settings
	upload  sender
	window  window // those that wait in memory
	count   int    // in memory, those on their way included
	bytes   int
	reading bool // events are on their way from disk to the window
	ended   bool
	// patience is the longest pause while closing.
	patience time.Duration
}

// A sender makes one attempt to send events.
type sender interface {
	// upload may be called by several goroutines at a time. The events must not be changed, not even afterwards: a
	// connection that was given up may still read them.
	upload(ctx context.Context, events [][]byte) outcome
	close() // gives up what is idle; may be called at any time
}

// NewQueue starts a queue. Close ends it.
func NewQueue(set Settings, env Env) *Queue {
	return newQueue(set, env, func(set Settings) sender { return newSender(set, env) })
}

func newQueue(set Settings, env Env, build func(Settings) sender) *Queue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &Queue{
		env: env, drops: newDrops(env.Metrics, env.Notice), build: build,
		closing: make(chan struct{}), ctx: ctx, cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1),
		set: set, upload: build(set),
	}
	q.spool = q.openSpool(set)
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
		q.configureSpoolLocked(set)
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

// Close sends what is queued and returns when that is done or ctx is. What is left then stays in the spool, or is dropped,
// counted and its number returned. A later Add drops its event. Close may be called again, also at the same time and with less time.
func (q *Queue) Close(ctx context.Context) (lost int) {
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
	q.upload.close()
	q.mu.Unlock()
	lost = q.leave(ctx)
	q.drops.close()
	q.env.Metrics.ended(q)
	return lost
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
