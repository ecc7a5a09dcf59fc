// Package kv keeps JSON values by key, in the memory of the process or in Redis.
//
// A value is what JSON can say: nil, bool, int, float64, *big.Int, json.Number, string, []any and map[string]any of such.
// Numbers come back as they were, to the last digit, and so do strings that are not UTF-8. Nobody changes a value that was
// put in or taken out: those who get it share it.
package kv

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Store keeps entries. It is safe for concurrent use. Its errors hold no key and no value.
type Store interface {
	// Load returns the entry of a key; ok is false when there is none, or none any more.
	Load(ctx context.Context, key string) (e Entry, ok bool, err error)

	// Save puts an entry in place of any other of the key, for at most the time keep.
	Save(ctx context.Context, key string, e Entry, keep time.Duration) error

	Close() error
}

// An Entry is a value, and until when it is fresh. The zero time is as long as it is kept.
type Entry struct {
	Value any
	Fresh time.Time
}

// A Cache is a Store that can spare the sources of its values: of those who find nothing, or nothing fresh, one is told
// so and goes to the source, and the others wait for the value that this one puts in, or get the old one. It knows of
// those in this process only.
type Cache struct {
	store Store
	fills fills
}

// New returns a cache that keeps its entries in s, and closes it.
func New(s Store) *Cache { return &Cache{store: s, fills: fills{byKey: map[string]*fill{}}} }

// Close closes the store.
func (c *Cache) Close() error { return c.store.Close() }

// renewal is how long one who found an old value has to put in a new one before another one is told to.
const renewal = 5 * time.Second

// maxKeyBytes bounds keys, which may be made of what clients send.
const maxKeyBytes = 64 << 10

func checkKey(key string) error {
	if len(key) > maxKeyBytes {
		return fmt.Errorf("the key has %d bytes; it may have %d", len(key), maxKeyBytes)
	}
	return nil
}

// Get returns the value of a key. hit is false when there is none; then, with wait above 0, others that ask within that
// time wait for a Set of the key, or until the Claims of ctx are given up.
func (c *Cache) Get(ctx context.Context, key string, wait time.Duration) (v any, hit bool, err error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	e, ok, err := c.store.Load(ctx, key)
	switch {
	case err != nil:
		return nil, false, err
	case ok && (e.Fresh.IsZero() || time.Now().Before(e.Fresh)):
		return e.Value, true, nil
	case ok:
		if _, mine := c.fills.begin(key, max(wait, renewal)); mine {
			return nil, false, nil
		}
		return e.Value, true, nil
	case wait <= 0:
		return nil, false, nil
	}
	return c.wait(ctx, key, time.Now().Add(wait))
}

// wait returns once there is a value, or it is this one's turn to get it.
func (c *Cache) wait(ctx context.Context, key string, until time.Time) (any, bool, error) {
	for {
		left := time.Until(until)
		if left <= 0 {
			return nil, false, nil
		}
		at, mine := c.fills.begin(key, left)
		if !mine {
			timer := time.NewTimer(min(left, time.Until(at.until)))
			select {
			case <-at.done:
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return nil, false, context.Cause(ctx)
			}
			timer.Stop()
		}
		e, ok, err := c.store.Load(ctx, key) // also for mine: another one may have ended just before
		if ok || err != nil {
			if mine {
				c.fills.end(key)
			}
			return e.Value, ok, err
		}
		if mine {
			c.fills.claim(ctx, key, at)
			return nil, false, nil
		}
	}
}

// Set puts a value in for the time ttl. It is kept for the time stale on top: then one at a time of those who ask is told
// that there is none, and the others still get it.
func (c *Cache) Set(ctx context.Context, key string, v any, ttl, stale time.Duration) error {
	if err := checkKey(key); err != nil {
		return err
	}
	defer c.fills.end(key)
	if ttl <= 0 {
		return errors.New("the time to live is not above 0")
	}
	e := Entry{Value: v}
	if stale > 0 {
		e.Fresh = time.Now().Add(ttl)
	}
	return c.store.Save(ctx, key, e, ttl+stale)
}
