package pluginserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// How long an instance that Kong no longer names stays usable. A closed one may still be named by another worker of
// Kong; one that no event has named for a long time was left by a worker of Kong that died, and naming it again only
// makes Kong start it once more.
const (
	closedGrace = time.Minute
	idleGrace   = 6 * time.Hour
)

// An instance is one configuration as Kong started it. It is a cheap handle: nothing is decoded before its first event.
type instance struct {
	id      int32
	raw     []byte // the configuration, JSON
	hash    [sha256.Size]byte
	started time.Time

	used   atomic.Int64 // server clock of the last event
	closed atomic.Int64 // server clock of CloseInstance, 0 when open

	once     sync.Once
	config   any
	handlers handlerSet
	err      error

	preparing sync.Once
}

// build decodes the configuration, once. A panic in New or in an UnmarshalJSON is that instance's error.
func (in *instance) build(newConfig func() any) error {
	in.once.Do(func() {
		defer func() {
			if p := recover(); p != nil {
				in.err = fmt.Errorf("decoding the configuration panicked: %v\n%s", p, debug.Stack())
			}
		}()
		config := newConfig()
		if err := json.Unmarshal(in.raw, config); err != nil {
			in.err = fmt.Errorf("configuration: %w", err)
			return
		}
		in.config, in.handlers = config, handlersOf(config)
	})
	return in.err
}

// prepare builds the configuration ahead of its first event and calls its Prepare, once. A configuration that cannot be
// built is spoken of at its first event.
func (in *instance) prepare(newConfig func() any) {
	in.preparing.Do(func() {
		if in.build(newConfig) == nil {
			in.config.(preparer).Prepare()
		}
	})
}

// instances is the table of those that Kong may name.
type instances struct {
	mu   sync.RWMutex
	byID map[int32]*instance
}

func (t *instances) get(id int32) *instance {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// use is get for an event: from then on the instance is in use, and does not expire under its handler.
func (t *instances) use(id int32, now int64) *instance {
	t.mu.RLock()
	defer t.mu.RUnlock()
	in := t.byID[id]
	if in != nil {
		in.used.Store(now)
	}
	return in
}

// start enters a configuration and returns its instance. The id must mean the same configuration for every process
// that Kong can still be talking to: it is Kong's __seq__ (unique over workers and reloads from 3.7 on) unless another
// configuration holds that number, else random. Never a counter that starts again.
func (t *instances) start(raw []byte, now int64) *instance {
	var meta struct {
		Seq float64 `json:"__seq__"`
	}
	_ = json.Unmarshal(raw, &meta) // a configuration that is not JSON fails at its first event, with its cause
	in := &instance{raw: raw, hash: configHash(raw), started: time.Now()}
	in.used.Store(now)

	t.mu.Lock()
	defer t.mu.Unlock()
	in.id = randomID()
	if seq := int32(meta.Seq); seq > 0 && float64(seq) == meta.Seq {
		held := t.byID[seq]
		if held != nil && held.hash == in.hash {
			held.closed.Store(0)
			held.used.Store(now)
			return held
		}
		if held == nil {
			in.id = seq
		}
	}
	for t.byID[in.id] != nil {
		in.id = randomID()
	}
	t.byID[in.id] = in
	return in
}

// restore enters an instance that an earlier worker of this plugin started, and returns the one of that id.
func (t *instances) restore(id int32, raw []byte, now int64) *instance {
	in := &instance{id: id, raw: raw, hash: configHash(raw), started: time.Now()}
	in.used.Store(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if held := t.byID[id]; held != nil {
		return held
	}
	t.byID[id] = in
	return in
}

// expire removes the instances that nobody names any more and returns them.
func (t *instances) expire(now int64) (gone []*instance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, in := range t.byID {
		since := time.Duration(now - in.used.Load())
		closed := in.closed.Load()
		if closed != 0 && since > closedGrace && time.Duration(now-closed) > closedGrace || since > idleGrace {
			delete(t.byID, id)
			gone = append(gone, in)
		}
	}
	return gone
}

func (t *instances) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.byID)
}

// close tells a built configuration that its instance is gone. A panic in its Close is an error.
func (in *instance) close() (err error) {
	in.once.Do(func() { in.err = errEnded }) // never built: nothing to close, and too late to build
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("closing the configuration panicked: %v\n%s", p, debug.Stack())
		}
	}()
	if c, ok := in.config.(interface{ Close() }); ok {
		c.Close()
	}
	return nil
}

// configHash is equal for configurations that differ only in the order of their keys, which Kong does not keep.
func configHash(raw []byte) [sha256.Size]byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) == nil {
		if canonical, err := json.Marshal(v); err == nil {
			raw = canonical
		}
	}
	return sha256.Sum256(raw)
}

// randomID returns 1 to 2^31-1.
func randomID() int32 { return 1 + rand.Int32N(1<<31-2) }
