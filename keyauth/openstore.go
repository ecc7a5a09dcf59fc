package keyauth

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kong-go-plugins/keyauth/store"
)

// An openStore is the stores of some settings, opened by whoever needs them first. What cannot be opened is tried again.
// Safe for concurrent use.
type openStore struct {
	open  func() (store.Store, error)
	ready atomic.Pointer[store.Store]

	mu    sync.Mutex
	err   error
	tried time.Time
}

// retryOpening is how long a failure to open counts.
const retryOpening = time.Second

// get returns the stores, or why they cannot be opened.
func (o *openStore) get() (store.Store, error) {
	if s := o.ready.Load(); s != nil {
		return *s, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.ready.Load(); s != nil {
		return *s, nil
	}
	if o.err != nil && time.Since(o.tried) < retryOpening {
		return nil, o.err
	}
	s, err := o.open()
	o.err, o.tried = err, time.Now()
	if err != nil {
		return nil, err
	}
	o.ready.Store(&s)
	return s, nil
}

// close ends the stores; nobody uses them any more.
func (o *openStore) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.ready.Load(); s != nil {
		_ = (*s).Close() // it was read from, so nothing is lost
	}
}

// A lease holds the stores of one configuration from its first use until the configuration is gone.
type lease struct {
	held atomic.Pointer[openStore]

	mu      sync.Mutex
	release func()
	ended   bool
}

// get returns the stores, which a late event has for itself only.
func (l *lease) get(g *Gate, s *settings) (o *openStore, done func()) {
	if o := l.held.Load(); o != nil {
		return o, func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	o, release := g.stores.Acquire(s.stores.id, func() *openStore {
		return &openStore{open: func() (store.Store, error) { return g.open(s.stores, slog.New(storeLog{report: g.report})) }}
	})
	if l.ended {
		return o, release
	}
	if l.release != nil { // another event was first
		release()
		return o, func() {}
	}
	l.release = release
	l.held.Store(o)
	return o, func() {}
}

// end gives the stores back.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.held.Store(nil)
	if l.release != nil {
		l.release()
		l.release = nil
	}
}
