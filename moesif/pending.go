package moesif

import (
	"container/list"
	"maps"
	"slices"
	"sync"
	"time"
)

// What one phase leaves for another is kept for a minute, and only so much of it. Beyond that it is lost, which costs
// that request's event a body or its own id, nothing more. It is lost, too, when Kong runs the later phase on another
// process, as it does while a worker of ours is replaced.
const (
	pendingTime  = time.Minute
	pendingCount = 100000
	pendingBytes = 64 << 20
)

// Why pending state was lost.
const (
	lostFull    = "full"
	lostExpired = "expired" // the later phase never came, or ran elsewhere
)

// expectTime is how long await waits for what is expected. Kong has sent it before the later phase began, so it takes no
// longer than this process is held up.
const expectTime = 10 * time.Second

// A heldState is what the earlier phases leave for log.
type heldState struct {
	request     []byte // its body
	requestRead bool   // nobody needs to ask for the body, though it may be nil
	buffered    bool   // our response handler has run: the response's body may be asked for
	blockedBy   string // the rule that has answered the request
	response    []byte // that answer's body
}

// A pending table keeps values between two phases of one request. Safe for concurrent use.
type pending[V any] struct {
	cost func(V) int // bytes
	lost func(reason string)

	mu       sync.Mutex
	order    *list.List // of pendingEntry, oldest first
	byKey    map[string]*list.Element
	bytes    int
	expected map[chan struct{}]bool // one for each expect, closed at its end
}

type pendingEntry[V any] struct {
	key   string
	value V
	cost  int
	until time.Time
}

func newPending[V any](cost func(V) int, lost func(reason string)) *pending[V] {
	return &pending[V]{cost: cost, lost: lost, order: list.New(), byKey: make(map[string]*list.Element), expected: make(map[chan struct{}]bool)}
}

// put keeps v for key and reports whether there was room.
func (p *pending[V]) put(key string, v V) bool {
	now := time.Now()
	cost := p.cost(v) + len(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.order.Front(); e != nil && !e.Value.(pendingEntry[V]).until.After(now); e = p.order.Front() {
		p.removeLocked(e)
		p.lost(lostExpired)
	}
	if e := p.byKey[key]; e != nil { // Kong repeats an event whose connection was lost
		p.removeLocked(e)
	}
	if p.order.Len() >= pendingCount || p.bytes+cost > pendingBytes {
		p.lost(lostFull)
		return false
	}
	p.byKey[key] = p.order.PushBack(pendingEntry[V]{key, v, cost, now.Add(pendingTime)})
	p.bytes += cost
	return true
}

// expect announces a value whose key is not known yet. done is called after its put, or when there will be none.
func (p *pending[V]) expect() (done func()) {
	arrived := make(chan struct{})
	p.mu.Lock()
	p.expected[arrived] = true
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		delete(p.expected, arrived)
		p.mu.Unlock()
		close(arrived)
	}
}

// await is take, after waiting for what was expected when it was called.
func (p *pending[V]) await(key string) (v V, ok bool) {
	p.mu.Lock()
	v, ok = p.takeLocked(key)
	var expected []chan struct{}
	if !ok {
		expected = slices.Collect(maps.Keys(p.expected))
	}
	p.mu.Unlock()
	if len(expected) == 0 {
		return v, ok
	}
	timeout := time.NewTimer(expectTime)
	defer timeout.Stop()
	for _, arrived := range expected {
		select {
		case <-arrived:
		case <-timeout.C:
			return p.take(key)
		}
	}
	return p.take(key)
}

// take returns what was kept for key, once.
func (p *pending[V]) take(key string) (v V, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.takeLocked(key)
}

func (p *pending[V]) takeLocked(key string) (v V, ok bool) {
	e := p.byKey[key]
	if e == nil {
		return v, false
	}
	return p.removeLocked(e).value, true
}

func (p *pending[V]) removeLocked(e *list.Element) pendingEntry[V] {
	entry := p.order.Remove(e).(pendingEntry[V])
	delete(p.byKey, entry.key)
	p.bytes -= entry.cost
	return entry
}
