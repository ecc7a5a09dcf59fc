package store_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

func digest(k string) key.Digest { return hasher.Hash([]byte(k)).Digest }

var hasher key.Hasher // read-only

func lookup(t *testing.T, s store.Store, k string) *store.Entry {
	t.Helper()
	e, err := s.Lookup(t.Context(), digest(k))
	if err != nil {
		require.ErrorIs(t, err, store.ErrNotFound)
		return nil
	}
	return &e
}

func TestBuilderLaterCallsWin(t *testing.T) {
	t.Parallel()
	b := store.NewBuilder(0)
	alice := store.Consumer{ID: "c1", Username: "alice"}
	put := func(k, id, consumer string) {
		require.NoError(t, b.Put(digest(k), store.Entry{ID: id, ConsumerRef: consumer}))
	}
	put("a", "1", "c1") // before its consumer is known
	require.NoError(t, b.PutConsumer(store.Consumer{ID: "c1", Username: "old"}))
	require.NoError(t, b.PutConsumer(alice))
	put("b", "2", "c1")
	put("b", "3", "c1")
	put("c", "4", "c1")
	b.Remove(digest("c"))
	b.Remove(digest("c"))
	b.Remove(digest("unknown"))
	put("d", "5", "c2")
	put("e", "6", "c1")
	b.Remove(digest("e"))
	put("e", "7", "c1")
	b.RemoveConsumer("c2")
	put("f", "8", "c2") // a consumer made anew does not bring back the keys of the one before
	require.NoError(t, b.PutConsumer(store.Consumer{ID: "c2", Username: "bob"}))

	s := b.Snapshot()
	assert.Equal(t, 4, s.Len())
	assert.Equal(t, &store.Entry{ID: "1", Consumer: alice}, lookup(t, s, "a"))
	assert.Equal(t, &store.Entry{ID: "3", Consumer: alice}, lookup(t, s, "b"))
	assert.Nil(t, lookup(t, s, "c"))
	assert.Nil(t, lookup(t, s, "d"))
	assert.Equal(t, "7", lookup(t, s, "e").ID)
	assert.Equal(t, "bob", lookup(t, s, "f").Consumer.Username)
}

func TestBuilderAgainstMap(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	b, want := store.NewBuilder(0), map[string]string{}
	for i := range 20000 {
		k, id := fmt.Sprint(rnd.IntN(3000)), fmt.Sprint(i)
		if rnd.IntN(4) == 0 {
			b.Remove(digest(k))
			delete(want, k)
			continue
		}
		require.NoError(t, b.Put(digest(k), store.Entry{ID: id}))
		want[k] = id
	}
	s := b.Snapshot()
	assert.Equal(t, len(want), s.Len())
	for n := range 3000 {
		k := fmt.Sprint(n)
		if e := lookup(t, s, k); want[k] == "" {
			assert.Nil(t, e, k)
		} else if assert.NotNil(t, e, k) {
			assert.Equal(t, want[k], e.ID)
		}
	}
}

func TestInlineRefusesAKeyWithTwoOwners(t *testing.T) {
	t.Parallel()
	c := store.Credential{Entry: store.Entry{ID: "1"}, Hash: hasher.Hash([]byte("a"))}
	_, err := store.NewInline([]store.Credential{c, {Entry: store.Entry{ID: "2"}, Hash: hasher.Hash([]byte("b"))}, c})
	require.ErrorContains(t, err, "credentials[2].digest: it is that of credentials[0] too")
}

// million is what the budgets are about: each tenth key has another consumer.
const million = 1_000_000

func numbered(n int) string { return fmt.Sprintf("key_%d", n) }

func buildMillion(tb testing.TB) *store.Snapshot {
	tb.Helper()
	b := store.NewBuilder(million)
	for n := range million {
		require.NoError(tb, b.Put(digest(numbered(n)), store.Entry{
			ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), Hint: "key_...abcd", CreatedAt: 1700000000,
			Consumer: store.Consumer{ID: fmt.Sprintf("10000000-0000-4000-8000-%012d", n/10), Username: fmt.Sprintf("user-%d", n/10)},
		}))
	}
	return b.Snapshot()
}

// heap is what the program has in use, garbage left out.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkSnapshotLookup looks up each of a million keys in an order that no cache can guess, and reports the memory. The
// plainest thing that finds a number by digest stands beside it.
func BenchmarkSnapshotLookup(b *testing.B) {
	before := heap()
	s := buildMillion(b)
	perKey := float64(heap()-before) / million
	digests, absent := make([]key.Digest, million), make([]key.Digest, million)
	plain := make(map[key.Digest]uint32, million)
	for at, n := range rand.Perm(million) {
		digests[at], absent[at] = digest(numbered(n)), digest(fmt.Sprintf("absent %d", n))
		plain[digests[at]] = uint32(n)
	}
	ctx := b.Context()
	for _, c := range []struct {
		name    string
		digests []key.Digest
		found   bool
	}{{"hit", digests, true}, {"miss", absent, false}} {
		b.Run(c.name+"/map", func(b *testing.B) {
			eachDigest(b, c.digests, func(d key.Digest) bool { _, ok := plain[d]; return ok == c.found })
		})
		b.Run(c.name+"/snapshot", func(b *testing.B) {
			eachDigest(b, c.digests, func(d key.Digest) bool { e, err := s.Lookup(ctx, d); return (e.ID != "" && err == nil) == c.found })
			b.ReportMetric(perKey, "B/key")
		})
	}
	runtime.KeepAlive(s)
}

// eachDigest measures f, and the processor time as well: a busy machine tells little by the clock.
func eachDigest(b *testing.B, digests []key.Digest, f func(key.Digest) bool) {
	b.ReportAllocs()
	i, before := 0, processorTime(b)
	for b.Loop() {
		if !f(digests[i]) {
			b.Fatal("wrong answer")
		}
		if i++; i == len(digests) {
			i = 0
		}
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func processorTime(tb testing.TB) int64 {
	var u unix.Rusage
	require.NoError(tb, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

// A million keys or one, a lookup makes no garbage.
func TestSnapshotLookupAllocatesNothing(t *testing.T) {
	s := openInline(t, nil)
	b := store.NewBuilder(1)
	require.NoError(t, b.Put(digest("a"), store.Entry{ID: "1", Hint: "h", Groups: []string{"g"}, Consumer: store.Consumer{ID: "c", Tags: []string{"t"}}}))
	full, d := b.Snapshot(), digest("a")
	assert.Equal(t, 0.0, testing.AllocsPerRun(100, func() { _, _ = full.Lookup(t.Context(), d) }))
	assert.Equal(t, 0.0, testing.AllocsPerRun(100, func() { _, _ = s.Lookup(t.Context(), d) }))
}
