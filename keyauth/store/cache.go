package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"kong-go-plugins/keyauth/key"
)

// CacheOptions are for NewCache; zero fields have the defaults named here.
type CacheOptions struct {
	Size     int           // of entries that are found, and as many that are not: 100,000
	Positive time.Duration // how long an entry is used: 60 s, less where it expires earlier
	Negative time.Duration // how long a key that is not found is not asked for again: 5 s; below 0 it always is
	Stale    time.Duration // how long an entry is used beyond that while the store fails: 30 s; below 0 not at all
	Timeout  time.Duration // of one question to the store: 3 s
}

func (o CacheOptions) withDefaults() CacheOptions {
	setDefault(&o.Size, 100_000)
	setDefault(&o.Positive, time.Minute)
	setDefault(&o.Negative, 5*time.Second)
	setDefault(&o.Stale, 30*time.Second)
	setDefault(&o.Timeout, 3*time.Second)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// A Cache remembers what a slower store answered. What is found and what is not are kept apart, so that a flood of wrong
// keys evicts no good one; one question per key is asked at a time; entries in use are renewed before they are too old, so
// that requests do not wait for it; and while the store fails, entries are used for a while longer.
type Cache struct {
	store Store
	o     CacheOptions
	good  *otter.Cache[key.Digest, remembered]
	bad   *otter.Cache[key.Digest, time.Time] // until when

	flights singleflight.Group
	running sync.WaitGroup
	open    context.Context // until Close
	end     context.CancelFunc

	mu     sync.RWMutex // held for writing by changes, for reading by those who put an answer
	epoch  atomic.Uint64
	missed atomic.Pointer[doubt] // nil: no changes

	stats cacheCounters
}

// A remembered entry. Its times follow each other.
type remembered struct {
	entry *Entry
	renew time.Time // ask again, in the background
	until time.Time // ask again, and wait
	stale time.Time // the end, also while the store fails
	retry time.Time // not asked for in the background before

	failing bool   // the last question failed
	epoch   uint64 // of the last question
}

// A doubt is about all entries that were last asked for before an epoch: changes of them may have been missed.
type doubt struct {
	before uint64
	end    time.Time // after it they are not used any more, also while the store fails
}

// about returns the end of an entry that is in doubt.
func (d *doubt) about(r remembered) (end time.Time, is bool) {
	if d == nil || r.epoch >= d.before {
		return r.stale, false
	}
	if d.end.Before(r.stale) {
		return d.end, true
	}
	return r.stale, true
}

// CacheStats count since the start.
type CacheStats struct {
	Hits, NegativeHits, Questions, Failures, Stale uint64
}

type cacheCounters struct{ hits, negativeHits, questions, failures, stale atomic.Uint64 }

// retryAfter is how long a question is not repeated for an entry that can be used meanwhile.
const retryAfter = time.Second

// NewCache returns s behind a Cache. A RawStore stays one, and changes that s tells of are followed. Closing the cache closes s.
func NewCache(s Store, o CacheOptions) Store {
	c := &Cache{store: s, o: o.withDefaults()}
	c.open, c.end = context.WithCancel(context.Background())
	now := func(f func()) { f() } // otter shall start no goroutines
	c.good = otter.Must(&otter.Options[key.Digest, remembered]{MaximumSize: c.o.Size, Executor: now})
	c.bad = otter.Must(&otter.Options[key.Digest, time.Time]{MaximumSize: c.o.Size, Executor: now})
	if w, ok := s.(Watcher); ok {
		w.Notify(c.changed)
	}
	if raw, ok := s.(RawStore); ok {
		return &rawCache{Cache: c, raw: raw}
	}
	return c
}

type rawCache struct {
	*Cache
	raw RawStore
}

// RawLookup is like Lookup for a store that needs the key in clear.
func (c *rawCache) RawLookup(ctx context.Context, raw []byte, d key.Digest) (Entry, error) {
	return c.get(ctx, d, func(ctx context.Context) (Entry, error) { return c.raw.RawLookup(ctx, raw, d) })
}

// Lookup returns the entry of a digest.
func (c *Cache) Lookup(ctx context.Context, d key.Digest) (Entry, error) {
	return c.get(ctx, d, func(ctx context.Context) (Entry, error) { return c.store.Lookup(ctx, d) })
}

// Health is the store's.
func (c *Cache) Health() error {
	if r, ok := c.store.(Reporter); ok {
		return r.Health()
	}
	return nil
}

// Close ends questions that are under way, and closes the store.
func (c *Cache) Close() error {
	c.end()
	err := c.store.Close() // which ends what looks at no context
	c.running.Wait()
	return err
}

// Stats returns what was counted.
func (c *Cache) Stats() CacheStats {
	return CacheStats{
		Hits: c.stats.hits.Load(), NegativeHits: c.stats.negativeHits.Load(), Questions: c.stats.questions.Load(),
		Failures: c.stats.failures.Load(), Stale: c.stats.stale.Load(),
	}
}

type question func(context.Context) (Entry, error)

func (c *Cache) get(ctx context.Context, d key.Digest, ask question) (Entry, error) {
	now := time.Now()
	r, ok := c.good.GetIfPresent(d)
	if _, is := c.missed.Load().about(r); is {
		ok = false
	}
	switch {
	case ok && now.Before(r.until):
		c.stats.hits.Add(1)
		if now.After(r.renew) && now.After(r.retry) {
			c.postpone(d, r)
			c.ask(ctx, d, ask) // nobody waits for it
		}
		return *r.entry, nil
	case ok && r.failing && now.Before(r.stale):
		c.stats.stale.Add(1)
		if now.After(r.retry) {
			c.postpone(d, r)
			c.ask(ctx, d, ask) // a store that hangs has been waited for once
		}
		return *r.entry, nil
	}
	if until, ok := c.bad.GetIfPresent(d); ok && now.Before(until) {
		c.stats.negativeHits.Add(1)
		return Entry{}, ErrNotFound
	}
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case got := <-c.ask(ctx, d, ask):
		if got.err == nil {
			return *got.entry, nil
		}
		if errors.Is(got.err, ErrNotFound) {
			return Entry{}, got.err
		}
		err = got.err
	}
	// Not r: it may have been revoked while the store was asked.
	if r, ok := c.good.GetIfPresent(d); ok {
		if end, _ := c.missed.Load().about(r); time.Now().Before(end) {
			c.stats.stale.Add(1)
			return *r.entry, nil
		}
	}
	return Entry{}, err
}

type answer struct {
	entry *Entry // nil with an error
	err   error
}

// ask asks the store, once for all who want to know at the same time. It goes on when the request that began it is given up.
func (c *Cache) ask(ctx context.Context, d key.Digest, ask question) <-chan answer {
	// Whoever asks after a change must not be given an answer from before it.
	epoch := c.epoch.Load()
	name := string(binary.LittleEndian.AppendUint64(d[:], epoch))
	got := make(chan answer, 1)
	c.running.Go(func() {
		v, err, _ := c.flights.Do(name, func() (any, error) { return c.askStore(context.WithoutCancel(ctx), d, epoch, ask) })
		e, _ := v.(*Entry)
		got <- answer{e, err}
	})
	return got
}

func (c *Cache) askStore(ctx context.Context, d key.Digest, epoch uint64, ask question) (e *Entry, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, err = nil, fmt.Errorf("panic: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	defer context.AfterFunc(c.open, cancel)()
	c.stats.questions.Add(1)
	found, err := ask(ctx)
	if err == nil {
		e = &found
	}
	c.remember(d, epoch, e, err)
	return e, err
}

// remember keeps an answer, unless something has changed since the question.
func (c *Cache) remember(d key.Digest, epoch uint64, e *Entry, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.epoch.Load() != epoch {
		return
	}
	now := time.Now()
	switch {
	case err == nil:
		life := c.o.Positive
		if e.ExpiresAt != 0 {
			left := time.Unix(e.ExpiresAt, 0).Sub(now)
			if left <= 0 { // to who sends it, it is one that is not found
				left = max(0, c.o.Negative)
			}
			life = min(life, left)
		}
		life -= time.Duration(rand.Int64N(int64(life)/10 + 1)) // so that entries which came together do not end together
		c.good.Set(d, remembered{
			entry: e, renew: now.Add(life / 5 * 4), until: now.Add(life), stale: now.Add(life + max(0, c.o.Stale)), epoch: epoch,
		})
		c.bad.Invalidate(d)
	case errors.Is(err, ErrNotFound):
		c.good.Invalidate(d)
		if c.o.Negative > 0 {
			c.bad.Set(d, now.Add(c.o.Negative))
		}
	default:
		c.stats.failures.Add(1)
		if r, ok := c.good.GetIfPresent(d); ok {
			if end, is := c.missed.Load().about(r); is {
				r.renew, r.until, r.stale = now, now, end
			}
			r.retry, r.failing, r.epoch = now.Add(retryAfter), true, epoch
			c.good.Set(d, r)
		}
	}
}

// postpone has r not asked for again at once.
func (c *Cache) postpone(d key.Digest, r remembered) {
	c.mu.Lock() // no answer and no change comes in between
	defer c.mu.Unlock()
	if now, ok := c.good.GetIfPresent(d); ok && now == r {
		r.retry = time.Now().Add(retryAfter)
		c.good.Set(d, r)
	}
}

// changed forgets what may not be true any more.
func (c *Cache) changed(ch Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch := c.epoch.Add(1)
	switch {
	case ch.Missed:
		c.missed.Store(&doubt{before: epoch, end: time.Now().Add(max(0, c.o.Stale))})
		c.bad.InvalidateAll()
	case ch.All:
		c.good.InvalidateAll()
		c.bad.InvalidateAll()
	case ch.ConsumerID != "":
		for d, r := range c.good.All() {
			if owner := r.entry.Consumer; ch.ConsumerID == owner.ID || ch.ConsumerID == owner.Username || ch.ConsumerID == r.entry.ConsumerRef {
				c.good.Invalidate(d)
			}
		}
		c.bad.InvalidateAll() // a consumer that was missing may be there now
	default:
		c.good.Invalidate(ch.Digest)
		c.bad.Invalidate(ch.Digest)
	}
}
