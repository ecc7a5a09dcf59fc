package kv

import (
	"context"
	"sync"
	"time"
)

// fills are the keys whose value somebody is getting.
type fills struct {
	mu    sync.Mutex
	byKey map[string]*fill
}

type fill struct {
	until time.Time
	done  chan struct{}
}

// maxFills bounds the keys that are noted; beyond it everybody goes to the source.
const maxFills = 10_000

// begin makes the caller the one who gets the value of a key, within a time, or returns who is at it. The caller's own is
// nil where no more are noted.
func (f *fills) begin(key string, within time.Duration) (at *fill, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if at := f.byKey[key]; at != nil {
		if now.Before(at.until) {
			return at, false
		}
		close(at.done)
		delete(f.byKey, key)
	}
	if len(f.byKey) >= maxFills {
		for k, at := range f.byKey {
			if !now.Before(at.until) {
				close(at.done)
				delete(f.byKey, k)
			}
		}
	}
	if len(f.byKey) >= maxFills {
		return nil, true
	}
	own := &fill{now.Add(within), make(chan struct{})}
	f.byKey[key] = own
	return own, true
}

// giveUp is end without a value, unless another one is at it by now.
func (f *fills) giveUp(key string, own *fill) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byKey[key] == own {
		close(own.done)
		delete(f.byKey, key)
	}
}

// end tells those who wait that there may be a value.
func (f *fills) end(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := f.byKey[key]; at != nil {
		close(at.done)
		delete(f.byKey, key)
	}
}

// Claims are the keys whose values one request has set out to get, while others wait for them. The zero value has none.
type Claims struct {
	mu   sync.Mutex
	list []func()
}

type claimsKey struct{}

// WithClaims has Get note its claims in c.
func WithClaims(ctx context.Context, c *Claims) context.Context {
	return context.WithValue(ctx, claimsKey{}, c)
}

// GiveUp tells those who wait that the request puts no more values in, so that the next one of them goes to the source.
func (c *Claims) GiveUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, giveUp := range c.list {
		giveUp()
	}
	c.list = nil
}

func (f *fills) claim(ctx context.Context, key string, own *fill) {
	c, noted := ctx.Value(claimsKey{}).(*Claims)
	if !noted || own == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, func() { f.giveUp(key, own) })
}
