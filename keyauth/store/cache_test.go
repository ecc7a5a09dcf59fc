package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// remote is a store whose content and health a test sets, and that counts its questions.
type remote struct {
	mu      sync.Mutex
	entries map[key.Digest]*store.Entry
	err     error
	panics  bool
	takes   time.Duration
	asked   atomic.Int64
	notify  func(store.Change)
	closed  bool
}

var errDown = errors.New("the store is down")

func newRemote(keys ...string) *remote {
	r := &remote{entries: map[key.Digest]*store.Entry{}}
	for _, k := range keys {
		r.put(k, store.Entry{ID: k})
	}
	return r
}

func (r *remote) put(k string, e store.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries[digest(k)] = &e
}

func (r *remote) remove(k string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.entries, digest(k))
}

func (r *remote) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *remote) Lookup(ctx context.Context, d key.Digest) (store.Entry, error) {
	r.asked.Add(1)
	r.mu.Lock()
	e, err, panics, takes := r.entries[d], r.err, r.panics, r.takes
	r.mu.Unlock()
	if takes > 0 { // an answer that is there is given, however late whoever asked is on a busy machine
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return store.Entry{}, ctx.Err()
		}
	}
	switch {
	case panics:
		panic("a bug")
	case err != nil:
		return store.Entry{}, err
	case e == nil:
		return store.Entry{}, store.ErrNotFound
	}
	return *e, nil
}

func (r *remote) Notify(f func(store.Change)) { r.notify = f }

func (r *remote) Close() error {
	r.closed = true
	return nil
}

func cached(t *testing.T, r *remote, o store.CacheOptions) store.Store {
	t.Helper()
	c := store.NewCache(r, o)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		assert.True(t, r.closed)
	})
	return c
}

func get(t *testing.T, s store.Store, k string) (string, error) {
	t.Helper()
	e, err := s.Lookup(t.Context(), digest(k))
	if err != nil {
		return "", err
	}
	return e.ID, nil
}

func TestCacheAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		r.takes = time.Second
		c := cached(t, r, store.CacheOptions{})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				id, err := get(t, c, "a")
				assert.NoError(t, err)
				assert.Equal(t, "a", id)
				_, err = get(t, c, "b")
				assert.ErrorIs(t, err, store.ErrNotFound)
			})
		}
		wg.Wait()
		assert.Equal(t, int64(2), r.asked.Load())
		assert.Equal(t, uint64(2), c.(*store.Cache).Stats().Questions)
	})
}

func TestCacheTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		c := cached(t, r, store.CacheOptions{})
		asks := func(k string, want int64) {
			t.Helper()
			before := r.asked.Load()
			_, _ = get(t, c, k)
			synctest.Wait()
			assert.Equal(t, want, r.asked.Load()-before)
		}
		asks("a", 1)
		time.Sleep(40 * time.Second)
		asks("a", 0)
		time.Sleep(20 * time.Second) // older than 60 s
		asks("a", 1)
		asks("b", 1)
		time.Sleep(4999 * time.Millisecond)
		asks("b", 0)
		time.Sleep(time.Millisecond)
		asks("b", 1)
		r.put("b", store.Entry{ID: "b"})
		time.Sleep(5 * time.Second)
		id, err := get(t, c, "b")
		require.NoError(t, err)
		assert.Equal(t, "b", id)
	})
}

// An entry that is in use is renewed before it is too old, and no request waits for that.
func TestCacheRenewsInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		r.takes = time.Second
		c := cached(t, r, store.CacheOptions{})
		_, err := get(t, c, "a")
		require.NoError(t, err)
		waited := time.Duration(0)
		for range 600 {
			time.Sleep(time.Second)
			start := time.Now()
			_, err := get(t, c, "a")
			require.NoError(t, err)
			waited += time.Since(start)
		}
		assert.Zero(t, waited)
		assert.InDelta(t, 600/46, r.asked.Load(), 3)
	})
}

func TestCacheKeepsNothingBeyondItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.put("a", store.Entry{ID: "a", ExpiresAt: time.Now().Add(10 * time.Second).Unix()})
		c := cached(t, r, store.CacheOptions{})
		_, err := get(t, c, "a")
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		_, err = get(t, c, "a")
		require.NoError(t, err, "the caller judges")
		assert.Equal(t, int64(2), r.asked.Load())
	})
}

// A client that goes on with a key that has expired costs a question no more often than one with an unknown key.
func TestCacheRemembersWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote()
		r.put("a", store.Entry{ID: "a", ExpiresAt: time.Now().Unix() - 1})
		c := cached(t, r, store.CacheOptions{})
		for range 100 {
			id, err := get(t, c, "a")
			require.NoError(t, err, "the caller judges")
			require.Equal(t, "a", id)
			time.Sleep(10 * time.Millisecond)
		}
		assert.Equal(t, int64(1), r.asked.Load())
		time.Sleep(5 * time.Second)
		_, err := get(t, c, "a")
		require.NoError(t, err)
		assert.Equal(t, int64(2), r.asked.Load(), "somebody may have given it more time")
	})
}

func TestCacheWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a", "new")
		c := cached(t, r, store.CacheOptions{})
		_, err := get(t, c, "a")
		require.NoError(t, err)
		_, err = get(t, c, "wrong")
		require.ErrorIs(t, err, store.ErrNotFound)
		r.fail(errDown)
		time.Sleep(61 * time.Second)
		_, err = get(t, c, "a")
		require.NoError(t, err, "used for a while longer")
		_, err = get(t, c, "new")
		require.ErrorIs(t, err, errDown)
		_, err = get(t, c, "wrong")
		require.ErrorIs(t, err, errDown, "a wrong key is not known to be wrong any more")
		before := r.asked.Load()
		for range 100 {
			_, err = get(t, c, "a")
			require.NoError(t, err)
		}
		assert.LessOrEqual(t, r.asked.Load()-before, int64(1), "the store is left alone for a second")
		time.Sleep(30 * time.Second)
		_, err = get(t, c, "a")
		require.ErrorIs(t, err, errDown, "but not for ever")
		r.fail(nil)
		_, err = get(t, c, "a")
		require.NoError(t, err)
	})
}

func TestCacheWithoutStaleOrNegative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		c := cached(t, r, store.CacheOptions{Stale: -1, Negative: -1})
		_, err := get(t, c, "a")
		require.NoError(t, err)
		for range 3 {
			_, err = get(t, c, "b")
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		assert.Equal(t, int64(4), r.asked.Load())
		r.fail(errDown)
		time.Sleep(61 * time.Second)
		_, err = get(t, c, "a")
		require.ErrorIs(t, err, errDown)
	})
}

// A store that hangs costs a request the time limit once, and a request that is given up costs the others nothing.
func TestCacheOfAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		r.takes = time.Hour
		c := cached(t, r, store.CacheOptions{})
		start := time.Now()
		_, err := get(t, c, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(start))

		r.mu.Lock()
		r.takes = time.Second
		r.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = c.Lookup(ctx, digest("a"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = get(t, c, "a")
		require.NoError(t, err, "the question went on")
		assert.Equal(t, int64(2), r.asked.Load())
	})
}

// A store that hangs is not waited for in the end, however long it may take.
func TestCacheClosesAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		r.takes = time.Hour
		c := store.NewCache(r, store.CacheOptions{Timeout: time.Minute})
		failed := make(chan error, 1)
		go func() {
			_, err := get(t, c, "a")
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, c.Close())
		assert.Zero(t, time.Since(start))
		require.ErrorIs(t, <-failed, context.Canceled)
	})
}

// While a store hangs, one request waits for it, and those after it use what is remembered.
func TestCacheWaitsOnceForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		c := cached(t, r, store.CacheOptions{})
		_, err := get(t, c, "a")
		require.NoError(t, err)
		r.mu.Lock()
		r.takes = time.Hour
		r.mu.Unlock()
		time.Sleep(61 * time.Second)
		start := time.Now()
		_, err = get(t, c, "a")
		require.NoError(t, err)
		assert.Equal(t, 3*time.Second, time.Since(start))
		before := r.asked.Load()
		for range 20 {
			time.Sleep(time.Second)
			start := time.Now()
			_, err = get(t, c, "a")
			require.NoError(t, err)
			assert.Zero(t, time.Since(start))
		}
		assert.LessOrEqual(t, r.asked.Load()-before, int64(20))
		r.mu.Lock()
		r.takes = 0
		r.mu.Unlock()
		time.Sleep(4 * time.Second)
		_, err = get(t, c, "a")
		require.NoError(t, err)
		synctest.Wait()
		stale := c.(*store.Cache).Stats().Stale
		_, err = get(t, c, "a")
		require.NoError(t, err)
		assert.Equal(t, stale, c.(*store.Cache).Stats().Stale, "it is good again")
	})
}

func TestCachePanicOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		r.panics = true
		c := cached(t, r, store.CacheOptions{})
		_, err := get(t, c, "a")
		require.ErrorContains(t, err, "panic")
		assert.NotErrorIs(t, err, store.ErrNotFound)
	})
}

func TestCacheFollowsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a", "b")
		r.put("c", store.Entry{ID: "c", Consumer: store.Consumer{ID: "owner"}})
		c := cached(t, r, store.CacheOptions{})
		all := []string{"a", "b", "c", "wrong"}
		fill := func() {
			for _, k := range all {
				_, _ = get(t, c, k)
			}
		}
		for _, tt := range []struct {
			name   string
			change store.Change
			want   []bool // asked again
		}{
			{"a key", store.Change{Digest: digest("a")}, []bool{true, false, false, false}},
			{"a wrong key", store.Change{Digest: digest("wrong")}, []bool{false, false, false, true}},
			{"a consumer", store.Change{ConsumerID: "owner"}, []bool{false, false, true, true}},
			{"anything", store.Change{All: true}, []bool{true, true, true, true}},
			{"something, perhaps", store.Change{Missed: true}, []bool{true, true, true, true}},
		} {
			fill()
			r.notify(tt.change)
			for i, k := range all {
				before := r.asked.Load()
				_, _ = get(t, c, k)
				assert.Equal(t, tt.want[i], r.asked.Load() > before, "%s: %s", tt.name, k)
			}
		}
	})
}

// After changes that may have been missed the store is asked first. Where it gives no answer, what was known counts for a while,
// and it has been waited for once.
func TestCacheOfAStoreThatMayHaveMissedChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a", "b")
		c := cached(t, r, store.CacheOptions{Positive: time.Hour, Negative: time.Hour, Timeout: 2 * time.Second})
		for _, k := range []string{"a", "b", "new"} {
			_, _ = get(t, c, k)
		}
		r.remove("b")
		r.put("new", store.Entry{ID: "new"})
		r.notify(store.Change{Missed: true})
		_, err := get(t, c, "b")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = get(t, c, "new")
		require.NoError(t, err)

		_, err = get(t, c, "a")
		require.NoError(t, err)
		r.takes = time.Hour // it hangs
		r.notify(store.Change{Missed: true})
		start := time.Now()
		for range 100 {
			_, err = get(t, c, "a")
			require.NoError(t, err)
		}
		assert.Equal(t, 2*time.Second, time.Since(start))
		r.notify(store.Change{Digest: digest("a")})
		_, err = get(t, c, "a")
		require.ErrorIs(t, err, context.DeadlineExceeded, "it is known to have changed")

		_, err = get(t, c, "new")
		require.NoError(t, err)
		time.Sleep(31*time.Second - time.Since(start))
		_, err = get(t, c, "new")
		require.Error(t, err, "the while is over")
	})
}

// A key that is revoked while the store is asked for it is not remembered.
func TestCacheChangeDuringAQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		r.takes = time.Second
		c := cached(t, r, store.CacheOptions{})
		go func() { _, _ = get(t, c, "a") }()
		time.Sleep(500 * time.Millisecond)
		r.remove("a")
		r.notify(store.Change{Digest: digest("a")})
		_, err := get(t, c, "a") // does not join the question from before
		require.ErrorIs(t, err, store.ErrNotFound)
		synctest.Wait()
		_, err = get(t, c, "a")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

// A revoked key is not used longer because the store failed right after.
func TestCacheDoesNotReviveWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote("a")
		c := cached(t, r, store.CacheOptions{})
		_, err := get(t, c, "a")
		require.NoError(t, err)
		r.fail(errDown)
		r.notify(store.Change{Digest: digest("a")})
		_, err = get(t, c, "a")
		require.ErrorIs(t, err, errDown)
	})
}

// A flood of wrong keys takes no room from good ones.
func TestCacheFlood(t *testing.T) {
	t.Parallel()
	r := newRemote()
	const good = 1000
	for n := range good {
		r.put(fmt.Sprint("good", n), store.Entry{ID: fmt.Sprint(n)})
	}
	c := cached(t, r, store.CacheOptions{Size: good, Negative: time.Hour, Positive: time.Hour})
	ask := func() (asked int64) {
		before := r.asked.Load()
		for n := range good * 9 / 10 {
			_, err := get(t, c, fmt.Sprint("good", n))
			require.NoError(t, err)
		}
		return r.asked.Load() - before
	}
	ask()
	settled := ask()
	var wg sync.WaitGroup
	for client := range 32 {
		wg.Go(func() {
			for n := range 500 {
				_, err := get(t, c, fmt.Sprint("wrong", client, "-", n))
				assert.ErrorIs(t, err, store.ErrNotFound)
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, ask(), settled, "no valid key was evicted")
	assert.Zero(t, settled)
}

func BenchmarkCacheHit(b *testing.B) {
	c := store.NewCache(newRemote("a"), store.CacheOptions{})
	d, ctx := digest("a"), b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Lookup(ctx, d); err != nil {
				b.Fatal(err)
			}
		}
	})
}
