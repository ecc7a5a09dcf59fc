package pluginserver

import (
	"sync"
	"time"
)

// A Registry holds what outlives a configuration: queues, stores, clients, compiled workflows, each made once per
// process for the key that configures it. Kong starts one instance per worker and configuration and starts all of them
// anew when any of them changes, so nothing of value may hang on an instance.
//
// What is no longer used is closed after the grace time, so that a change of configuration finds it again.
// Safe for concurrent use.
type Registry[K comparable, V any] struct {
	grace time.Duration
	end   func(V)

	mu      sync.Mutex
	entries map[K]*entry[V]
	closed  bool
	ending  sync.WaitGroup
}

type entry[V any] struct {
	once  sync.Once
	value V
	built bool
	users int
	timer *time.Timer // runs while users is 0
}

// NewRegistry returns an empty registry. end is called once for each value, after the grace time or in Close; nil: never.
func NewRegistry[K comparable, V any](grace time.Duration, end func(V)) *Registry[K, V] {
	return &Registry[K, V]{grace: grace, end: end, entries: map[K]*entry[V]{}}
}

// Acquire returns the value for k, built by build if there is none. release must be called once when the user is gone;
// further calls do nothing. After Close, build still runs and its value is closed on release.
func (r *Registry[K, V]) Acquire(k K, build func() V) (v V, release func()) {
	r.mu.Lock()
	e := r.entries[k]
	if e == nil {
		e = &entry[V]{}
		if !r.closed {
			r.entries[k] = e
		}
	}
	e.users++
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	r.mu.Unlock()

	e.once.Do(func() { // not under the lock: building may take its time
		v := build()
		r.mu.Lock()
		e.value, e.built = v, true
		r.mu.Unlock()
	})
	var once sync.Once
	return e.value, func() { once.Do(func() { r.release(k, e) }) }
}

func (r *Registry[K, V]) release(k K, e *entry[V]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	if r.closed {
		r.endLater(e)
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(r.grace, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if e.timer != timer || e.users > 0 { // acquired again meanwhile
			return
		}
		delete(r.entries, k)
		e.timer = nil
		r.endLater(e)
	})
	e.timer = timer
}

// endLater closes a value outside the lock: closing may take its time.
func (r *Registry[K, V]) endLater(e *entry[V]) {
	if r.end != nil && e.built {
		e.built = false
		r.ending.Go(func() { r.end(e.value) })
	}
}

// Each calls f for every value that has been built, in no order.
func (r *Registry[K, V]) Each(f func(K, V)) {
	r.mu.Lock()
	type pair struct {
		k K
		v V
	}
	var list []pair
	for k, e := range r.entries {
		if e.built {
			list = append(list, pair{k, e.value})
		}
	}
	r.mu.Unlock()
	for _, p := range list {
		f(p.k, p.v)
	}
}

// Close ends every value, all at once, and returns when they have ended, those whose grace time was over included.
// Values acquired later end with their release.
func (r *Registry[K, V]) Close() {
	r.mu.Lock()
	r.closed = true
	var list []V
	for k, e := range r.entries {
		if e.timer != nil {
			e.timer.Stop()
			e.timer = nil
		}
		if e.built {
			list = append(list, e.value)
			e.built = false
		}
		delete(r.entries, k)
	}
	r.mu.Unlock()
	for _, v := range list {
		if r.end != nil {
			r.ending.Go(func() { r.end(v) })
		}
	}
	r.ending.Wait()
}
