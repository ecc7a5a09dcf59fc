package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
)

// Memory keeps entries in this process, up to a number of bytes; beyond it those go that are used least.
type Memory struct {
	entries *otter.Cache[string, kept]
	most    int // bytes of one entry
}

type kept struct {
	Entry
	keep time.Duration
	size uint32
}

// NewMemory returns an empty store for about maxBytes of keys and values. One entry may have an eighth of it.
func NewMemory(maxBytes int) *Memory {
	return &Memory{
		most: min(maxBytes/8, math.MaxUint32),
		entries: otter.Must(&otter.Options[string, kept]{
			MaximumWeight:    uint64(maxBytes),
			Weigher:          func(_ string, k kept) uint32 { return k.size },
			ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, kept]) time.Duration { return e.Value.keep }),
			Executor:         func(f func()) { f() }, // no goroutine but the one that Close ends
		}),
	}
}

// Close ends the store.
func (m *Memory) Close() error {
	m.entries.StopAllGoroutines()
	return nil
}

// Load returns the entry of a key.
func (m *Memory) Load(_ context.Context, key string) (Entry, bool, error) {
	k, ok := m.entries.GetIfPresent(key)
	return k.Entry, ok, nil
}

// Save keeps an entry.
func (m *Memory) Save(_ context.Context, key string, e Entry, keep time.Duration) error {
	size, err := sizeOf(e.Value)
	if err != nil {
		return err
	}
	if size += len(key) + entrySize; size > m.most {
		return fmt.Errorf("the value takes about %d bytes, and this cache keeps values up to %d", size, m.most)
	}
	e.Value = copied(e.Value)
	m.entries.Set(strings.Clone(key), kept{e, keep, uint32(size)})
	return nil
}

// About what a value takes in memory, in bytes.
const (
	entrySize  = 200 // an entry without its key and value
	memberSize = 48  // a member of an object without its key and value
	valueSize  = 16
)

var errNotFinite = errors.New("the value holds a number that is not finite, which JSON cannot say")

// maxDepth is how deep a value may be nested. Readers of JSON take 10,000 levels, those of an entry around it included.
const maxDepth = 9990

var errTooDeep = fmt.Errorf("the value is nested deeper than %d levels", maxDepth)

// sizeOf is about what a value takes. Values that cannot be written as JSON and read again are refused, so that all stores
// keep the same.
func sizeOf(v any) (size int, err error) { return sizeWithin(v, maxDepth) }

func sizeWithin(v any, depth int) (size int, err error) {
	switch v := v.(type) {
	case string:
		return valueSize + len(v), nil
	case json.Number:
		return valueSize + len(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, errNotFinite
		}
	case *big.Int:
		return valueSize + v.BitLen()/8, nil
	case []any:
		if depth == 0 {
			return 0, errTooDeep
		}
		size = valueSize
		for _, e := range v {
			n, err := sizeWithin(e, depth-1)
			if err != nil {
				return 0, err
			}
			size += n
		}
		return size, nil
	case map[string]any:
		if _, twice := v[bytesMember]; twice { // as text it has a level more
			depth--
		}
		if depth <= 0 {
			return 0, errTooDeep
		}
		size = valueSize
		for key, e := range v {
			n, err := sizeWithin(e, depth-1)
			if err != nil {
				return 0, err
			}
			size += memberSize + len(key) + n
		}
		return size, nil
	}
	return valueSize, nil
}

// copied is a value with memory of its own. A text or a list is often a small part of a large one, which would stay as
// long as the part does.
func copied(v any) any {
	switch v := v.(type) {
	case string:
		return strings.Clone(v)
	case json.Number:
		return json.Number(strings.Clone(string(v)))
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = copied(e)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, e := range v {
			m[strings.Clone(key)] = copied(e)
		}
		return m
	}
	return v
}
