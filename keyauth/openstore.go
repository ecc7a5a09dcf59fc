package keyauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// An openStore is a store of some settings, opened by whoever needs it first. One that cannot be opened is tried again.
// Safe for concurrent use.
type openStore struct {
	name  string
	open  func() (store.Store, error)
	ready atomic.Pointer[store.Named]

	mu    sync.Mutex
	err   error
	tried time.Time
}

// retryOpening is how long a failure to open counts.
const retryOpening = time.Second

// get returns the store, or why it cannot be opened.
func (o *openStore) get() (store.Named, error) {
	if s := o.ready.Load(); s != nil {
		return *s, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.ready.Load(); s != nil {
		return *s, nil
	}
	if o.err == nil || time.Since(o.tried) >= retryOpening {
		s, err := o.open()
		if err == nil {
			named := store.Named{Name: o.name, Store: s}
			o.ready.Store(&named)
			return named, nil
		}
		o.err, o.tried = err, time.Now()
	}
	return store.Named{}, o.err
}

// An unopened store stands in the place of one that cannot be opened: it cannot answer.
type unopened struct{ err error }

// Lookup implements store.Store.
func (u unopened) Lookup(context.Context, key.Digest) (store.Entry, error) {
	return store.Entry{}, u.err
}

// Close implements store.Store.
func (u unopened) Close() error { return nil }

// close ends the store; nobody uses it any more.
func (o *openStore) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.ready.Load(); s != nil {
		_ = s.Store.Close() // it was only read from, so nothing is lost
	}
}

// A lease holds the stores of one configuration, and the record of their keys' use, from their first use until the
// configuration is gone.
type lease struct {
	ready    atomic.Pointer[store.Chain]
	lastUsed atomic.Pointer[store.LastUsed] // nil: nowhere

	mu       sync.Mutex
	held     []*openStore
	releases []func()
	ended    bool
}

// stores returns the stores of a configuration, those of the process that others may use, too. A late event has them for
// itself only: done gives them back. err says which could not be opened; the others are in their places.
func (l *lease) stores(g *Gate, s *settings) (stores store.Chain, done func(), err error) {
	done = func() {}
	if c := l.ready.Load(); c != nil {
		return *c, done, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.ready.Load(); c != nil {
		return *c, done, nil
	}
	held, releases := l.held, l.releases
	if held == nil {
		for _, shared := range s.stores {
			o, release := g.stores.Acquire(shared.id, func() *openStore {
				return &openStore{name: shared.name, open: func() (store.Store, error) { return shared.open(g.storeLog()) }}
			})
			held, releases = append(held, o), append(releases, release)
		}
	}
	if l.ended {
		done = func() { releaseAll(releases) }
	} else {
		l.held, l.releases = held, releases
		l.recordUseLocked(g, s)
	}
	stores = s.inline
	for _, o := range held {
		named, failed := o.get()
		if failed != nil {
			named = store.Named{Name: o.name, Store: unopened{failed}}
			err = errors.Join(err, fmt.Errorf("store %s: %w", o.name, failed))
		}
		stores = append(stores[:len(stores):len(stores)], named)
	}
	if !l.ended && err == nil {
		l.ready.Store(&stores)
	}
	return stores, done, err
}

// recordUseLocked opens the record of when keys were used, once.
func (l *lease) recordUseLocked(g *Gate, s *settings) {
	if s.lastUsed == "" || l.lastUsed.Load() != nil {
		return
	}
	lastUsed, release := g.lastUsed.Acquire(s.lastUsed, func() *store.LastUsed {
		return store.OpenLastUsed(s.lastUsed, g.storeLog())
	})
	l.lastUsed.Store(lastUsed)
	l.releases = append(l.releases, release)
}

// used notes that a key was accepted, unless the configuration is gone.
func (l *lease) used(e *store.Entry, now time.Time) {
	if record := l.lastUsed.Load(); record != nil && e.ID != "" {
		record.Note(e.ID, now.Unix())
	}
}

// end gives the stores back.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.ready.Store(nil)
	l.lastUsed.Store(nil)
	releaseAll(l.releases)
	l.held, l.releases = nil, nil
}

func releaseAll(releases []func()) {
	for _, release := range releases {
		release()
	}
}
