package kv

import (
	"fmt"
	"sync"
	"time"
)

// An outage spares requests the wait for a server that does not answer: after a few failures in a row, one question a
// second finds out whether it is back, and all others fail at once. The zero value is ready.
type outage struct {
	mu       sync.Mutex
	failures int // in a row
	next     time.Time
	last     error
}

const (
	toleratedFailures = 3
	probeEvery        = time.Second
)

// refuse returns why a question is not to be asked, or nil.
func (o *outage) refuse() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failures < toleratedFailures {
		return nil
	}
	if now := time.Now(); !now.Before(o.next) {
		o.next = now.Add(probeEvery) // this one asks
		return nil
	}
	return fmt.Errorf("%w; it is asked again once a second", o.last)
}

// answered notes that the server is there.
func (o *outage) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures, o.last = 0, nil
}

// failed notes that it was not.
func (o *outage) failed(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures++
	o.last, o.next = err, time.Now().Add(probeEvery)
}
