package kv

import (
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

// begin makes the caller the one who gets the value of a key, within a time, or returns who is at it.
func (f *fills) begin(key string, within time.Duration) (other *fill, mine bool) {
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
	if len(f.byKey) < maxFills {
		f.byKey[key] = &fill{now.Add(within), make(chan struct{})}
	}
	return nil, true
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
