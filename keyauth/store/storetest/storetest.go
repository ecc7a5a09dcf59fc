// Package storetest is the suite that every backend of package store passes: a caller cannot tell them apart.
package storetest

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// A Given is a credential with its key in clear, since some backends can only hold that.
type Given struct {
	Key string
	store.Credential
}

// A Fixture makes stores of one backend.
type Fixture struct {
	// Open returns a store that holds the given keys and no others. The suite closes it.
	Open func(t *testing.T, given []Given) store.Store
	// Kong says that the backend holds what Kong's own entities have, and nothing of ours (groups, hints ...).
	Kong bool
	// NotUTF8 says that the backend can hold keys that are not text.
	NotUTF8 bool
	// Hints says that the backend adds hints of its own, since it sees keys in clear.
	Hints bool
	// Owned says that each consumer must have an id and a username.
	Owned bool
}

var hasher key.Hasher // read-only; plain SHA-256

// Digests are those of a key, as every fixture stores it.
func Digests(k string) []key.Digest { return hasher.Digests([]byte(k)) }

// NewGiven makes a credential as storetest's fixtures take it.
func NewGiven(k string, e store.Entry) Given {
	return Given{Key: k, Credential: store.Credential{Entry: e, Hash: hasher.Hash([]byte(k))}}
}

// ID returns a UUID that ends in n.
func ID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func consumer(n int) store.Consumer {
	return store.Consumer{
		ID: ID(1000 + n), Username: fmt.Sprintf("user-%d", n), CustomID: fmt.Sprintf("custom-%d", n), Tags: []string{"team"},
		CreatedAt: 1700000000, UpdatedAt: 1700000001,
	}
}

// Keys are what the suite fills a backend with.
func Keys(f Fixture) []Given {
	given := []Given{
		NewGiven("plain-key", store.Entry{ID: ID(1), Consumer: consumer(1), CreatedAt: 1700000002}),
		NewGiven("Plain-Key", store.Entry{ID: ID(2), Consumer: consumer(2), CreatedAt: 1700000002}),
		NewGiven("plain-key-2", store.Entry{ID: ID(3), Consumer: consumer(1), CreatedAt: 1700000002, Tags: []string{"a", "b c"}}),
		NewGiven("a:b/c?d e%20ü\"'", store.Entry{ID: ID(4), Consumer: consumer(2), CreatedAt: 1700000002}),
		NewGiven("expired", store.Entry{ID: ID(5), Consumer: consumer(1), CreatedAt: 1700000002, ExpiresAt: 1700000003}),
		NewGiven("expires", store.Entry{ID: ID(6), Consumer: consumer(1), CreatedAt: 1700000002, ExpiresAt: 4000000000}),
		NewGiven(strings.Repeat("long", 1000), store.Entry{ID: ID(7), Consumer: consumer(3), CreatedAt: 1700000002}),
	}
	if !f.Kong {
		given = append(given,
			NewGiven("disabled", store.Entry{ID: ID(8), Consumer: consumer(1), Disabled: true}),
			NewGiven("later", store.Entry{ID: ID(9), Consumer: consumer(1), NotBefore: 4000000000}),
			NewGiven("limited", store.Entry{
				ID: ID(10), Consumer: consumer(1), Groups: []string{"gold", "eu"}, Scopes: []string{"method:GET"},
				CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}, Hint: "...ited",
			}))
	}
	if !f.Kong && !f.Owned {
		given = append(given,
			NewGiven("by-name", store.Entry{ID: ID(11), ConsumerRef: "somebody"}),
			NewGiven("by-id", store.Entry{ID: ID(12), ConsumerRef: ID(2000)}))
	}
	if f.NotUTF8 {
		given = append(given, NewGiven("\xff\x00\xfe", store.Entry{ID: ID(13), Consumer: consumer(1)}))
	}
	return given
}

// Run runs the suite. It counts goroutines, so that nothing else of package store may run meanwhile.
func Run(t *testing.T, f Fixture) {
	given := Keys(f)

	t.Run("finds what it holds", func(t *testing.T) {
		s := open(t, f, given)
		for _, g := range given {
			e, err := find(t.Context(), s, g.Key)
			require.NoErrorf(t, err, "%.80q", g.Key)
			want := g.Entry
			if f.Hints && want.Hint == "" {
				want.Hint = key.Hint(g.Key)
			}
			assert.Equalf(t, want, e, "%.80q", g.Key)
		}
	})

	t.Run("nothing else", func(t *testing.T) {
		s := open(t, f, given)
		absent := []string{
			"", "unknown", "plain-key ", " plain-key", "PLAIN-KEY", "plain", "plain-key\x00", "\x00", "\xff", "%", "_", "plain_key",
			"plain-key%00", "' OR '1'='1", strings.Repeat("x", 1<<16), "*", "plain-*",
		}
		for _, g := range given { // what is stored is not what opens
			absent = append(absent, g.Hash.String(), string(g.Hash.Digest[:]), strings.Split(g.Hash.String(), ":")[2], g.ID)
		}
		for _, k := range absent {
			e, err := find(t.Context(), s, k)
			require.ErrorIsf(t, err, store.ErrNotFound, "%.80q", k)
			assert.Zero(t, e)
		}
	})

	t.Run("empty", func(t *testing.T) {
		_, err := find(t.Context(), open(t, f, nil), "plain-key")
		require.ErrorIs(t, err, store.ErrNotFound)
	})

	t.Run("a request that is given up finds its key or fails", func(t *testing.T) {
		s := open(t, f, given)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := find(ctx, s, "plain-key")
		assert.NotErrorIs(t, err, store.ErrNotFound)
		_, err = find(t.Context(), s, "plain-key")
		require.NoError(t, err, "the next request is not affected")
	})

	t.Run("many at once", func(t *testing.T) {
		s := open(t, f, given)
		var wg sync.WaitGroup
		for n := range 16 {
			wg.Go(func() {
				for i := range 50 {
					g := given[(n+i)%len(given)]
					e, err := find(t.Context(), s, g.Key)
					if assert.NoErrorf(t, err, "%q", g.Key) {
						assert.Equal(t, g.ID, e.ID)
					}
					_, err = find(t.Context(), s, fmt.Sprintf("unknown-%d-%d", n, i))
					assert.ErrorIs(t, err, store.ErrNotFound)
				}
			})
		}
		wg.Wait()
	})

	t.Run("leaves nothing behind", func(t *testing.T) {
		before := runtime.NumGoroutine()
		s := f.Open(t, given)
		_, err := find(t.Context(), s, "plain-key")
		require.NoError(t, err)
		require.NoError(t, s.Close())
		assert.EventuallyWithT(t, func(c *assert.CollectT) {
			buf := make([]byte, 1<<20)
			assert.Zero(c, strings.Count(string(buf[:runtime.Stack(buf, true)]), "kong-go-plugins/keyauth/store.("))
			assert.LessOrEqual(c, runtime.NumGoroutine(), before+goroutinesOfFakes)
		}, time.Minute, 10*time.Millisecond)
	})
}

// goroutinesOfFakes is what a fixture's own servers and idle connections may add until the test ends.
const goroutinesOfFakes = 20

func open(t *testing.T, f Fixture, given []Given) store.Store {
	t.Helper()
	s := f.Open(t, given)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

func find(ctx context.Context, s store.Store, k string) (store.Entry, error) {
	return store.Find(ctx, s, []byte(k), Digests(k))
}
