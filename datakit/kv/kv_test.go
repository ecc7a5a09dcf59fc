package kv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/datakit/kv"
	"kong-go-plugins/internal/redistest"
)

// stores are all kinds of stores, empty.
var stores = map[string]func(*testing.T) kv.Store{ // read-only
	"memory": func(*testing.T) kv.Store { return kv.NewMemory(4 << 20) },
	"redis": func(t *testing.T) kv.Store {
		return kv.OpenRedis(patient(kv.RedisOptions{Addresses: []string{redistest.Start(t).Addr()}}))
	},
	"redis with TLS": func(t *testing.T) kv.Store {
		s := redistest.Start(t)
		return kv.OpenRedis(patient(kv.RedisOptions{Addresses: []string{s.TLSAddr()}, TLS: s.TLS(t), Database: 3}))
	},
	"redis behind a proxy": func(t *testing.T) kv.Store {
		return kv.OpenRedis(patient(kv.RedisOptions{Addresses: []string{redistest.Start(t).Addr()}, Proxied: true, MaxWaiting: new(5)}))
	},
	"redis with sentinels": func(t *testing.T) kv.Store {
		sentinel := redistest.StartSentinel(t, "main", redistest.Start(t))
		return kv.OpenRedis(patient(kv.RedisOptions{Addresses: []string{sentinel.Addr()}, Master: "main"}))
	},
	"redis as a cluster": func(t *testing.T) kv.Store {
		var addresses []string
		for _, s := range redistest.StartCluster(t)[:2] {
			addresses = append(addresses, s.Addr())
		}
		return kv.OpenRedis(patient(kv.RedisOptions{Addresses: addresses, Cluster: true}))
	},
}

// asJSON is a value as its JSON text, in which a number has its digits.
func asJSON(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestStores(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := kv.New(open(t))
			t.Cleanup(func() { assert.NoError(t, c.Close()) })
			ctx := t.Context()
			for i, v := range []any{
				nil, true, false, 0, -7, 1.5, json.Number("1.10"), json.Number("12345678901234567890123"), new(big.Int).Lsh(big.NewInt(1), 100), "", "text <&> \u2028 \x00",
				[]any{}, map[string]any{}, []any{nil, map[string]any{"a": []any{json.Number("9007199254740993")}}},
				map[string]any{"status": 200, "headers": map[string]any{"X-A": []any{"1", "2"}}, "body": nil},
			} {
				key := fmt.Sprint("key-", i)
				_, hit, err := c.Get(ctx, key, 0)
				require.NoError(t, err)
				require.False(t, hit)
				require.NoError(t, c.Set(ctx, key, v, time.Hour, 0))
				got, hit, err := c.Get(ctx, key, 0)
				require.NoError(t, err)
				require.True(t, hit)
				assert.Equal(t, asJSON(t, v), asJSON(t, got))
			}
			binary := map[string]any{"png": "\x89PNG\r\n\xff", "list": []any{"\xfe", "a"}, "looks": map[string]any{"bytes": "eA=="}, "coded": map[string]any{"\x00bytes": "eA=="}}
			require.NoError(t, c.Set(ctx, "binary", binary, time.Hour, 0))
			got, _, err := c.Get(ctx, "binary", 0)
			require.NoError(t, err)
			assert.Equal(t, binary, got, "bytes survive")

			require.NoError(t, c.Set(ctx, "binary", "new", time.Hour, 0))
			got, _, _ = c.Get(ctx, "binary", 0)
			assert.Equal(t, "new", got, "put in place of another one")
			require.Error(t, c.Set(ctx, "k", math.Inf(1), time.Hour, 0))
			require.Error(t, c.Set(ctx, "k", []any{map[string]any{"x": math.NaN()}}, time.Hour, 0))
			require.Error(t, c.Set(ctx, "k", "v", 0, 0))
			deepest := any("\xff")
			for range 9990 {
				deepest = []any{deepest}
			}
			require.NoError(t, c.Set(ctx, "deep", deepest, time.Hour, 0))
			got, hit, err := c.Get(ctx, "deep", 0)
			require.NoError(t, err)
			require.True(t, hit)
			require.True(t, reflect.DeepEqual(deepest, got), "what is kept can be read again")
			coded := any("x")
			for range 9990/2 + 1 {
				coded = map[string]any{"\x00bytes": coded}
			}
			for _, deeper := range []any{[]any{deepest}, map[string]any{"a": deepest}, coded} {
				require.EqualError(t, c.Set(ctx, "deep", deeper, time.Hour, 0), "the value is nested deeper than 9990 levels")
			}
			long := strings.Repeat("k", 64<<10)
			require.NoError(t, c.Set(ctx, long, "v", time.Hour, 0))
			require.EqualError(t, c.Set(ctx, long+"k", "v", time.Hour, 0), "the key has 65537 bytes; it may have 65536")
			_, _, err = c.Get(ctx, long+"k", 0)
			require.Error(t, err)

			require.NoError(t, c.Set(ctx, "short", "v", 50*time.Millisecond, 0))
			require.Eventually(t, func() bool {
				_, hit, err := c.Get(ctx, "short", 0)
				return err == nil && !hit
			}, time.Minute, 10*time.Millisecond, "it ends")

			require.NoError(t, c.Set(ctx, "stale", "v", time.Millisecond, time.Hour))
			var first atomic.Int64
			require.Eventually(t, func() bool {
				v, hit, err := c.Get(ctx, "stale", 0)
				require.NoError(t, err)
				if !hit {
					first.Add(1)
				} else {
					require.Equal(t, "v", v)
				}
				return first.Load() > 0 && hit
			}, time.Minute, time.Millisecond, "one is told to renew it, others get it")
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where the store's own goroutine does not get into the way
		const most = 1 << 20
		c := kv.New(kv.NewMemory(most))
		defer func() { assert.NoError(t, c.Close()) }()
		value := strings.Repeat("x", 10_000)
		hits := 0
		for i := range 1000 {
			require.NoError(t, c.Set(t.Context(), fmt.Sprint(i), value, time.Hour, 0))
		}
		for i := range 1000 {
			if _, hit, _ := c.Get(t.Context(), fmt.Sprint(i), 0); hit {
				hits++
			}
		}
		assert.Positive(t, hits)
		assert.LessOrEqual(t, hits*len(value), most)
		require.NoError(t, c.Set(t.Context(), "k", "old", time.Hour, 0))
		err := c.Set(t.Context(), "k", []any{strings.Repeat("x", most/8)}, time.Hour, 0)
		require.ErrorContains(t, err, "this cache keeps values up to 131072")
	})
}

// Times in memory, without waiting for them.
// A part of something large is kept without the rest of it.
func TestMemoryHoldsNoMoreThanItKeeps(t *testing.T) {
	t.Parallel()
	c := kv.New(kv.NewMemory(1 << 20))
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	text, list := strings.Repeat("x", 1<<20), make([]any, 1<<20)
	part := text[:5]
	list[0] = part
	require.NoError(t, c.Set(t.Context(), "k", map[string]any{"text": part, "list": list[:1]}, time.Hour, 0))
	v, _, err := c.Get(t.Context(), "k", 0)
	require.NoError(t, err)
	got := v.(map[string]any)
	kept := got["list"].([]any)
	assert.Equal(t, 1, cap(kept))
	for _, s := range []string{got["text"].(string), kept[0].(string)} {
		assert.Equal(t, part, s)
		assert.NotSame(t, unsafe.StringData(part), unsafe.StringData(s))
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := kv.New(kv.NewMemory(1 << 20))
		defer func() { assert.NoError(t, c.Close()) }()
		ctx := t.Context()
		state := func(key string) string {
			v, hit, err := c.Get(ctx, key, 0)
			require.NoError(t, err)
			if !hit {
				return "miss"
			}
			return v.(string)
		}
		require.NoError(t, c.Set(ctx, "a", "v", 10*time.Second, 0))
		require.NoError(t, c.Set(ctx, "b", "v", 100*time.Second, 0))
		require.NoError(t, c.Set(ctx, "s", "old", 10*time.Second, 60*time.Second))
		time.Sleep(9 * time.Second)
		assert.Equal(t, []string{"v", "v", "old"}, []string{state("a"), state("b"), state("s")})
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"miss", "v"}, []string{state("a"), state("b")})
		assert.Equal(t, []string{"miss", "old", "old"}, []string{state("s"), state("s"), state("s")}, "one renews")
		time.Sleep(6 * time.Second)
		assert.Equal(t, []string{"miss", "old"}, []string{state("s"), state("s")}, "it did not; the next one does")
		require.NoError(t, c.Set(ctx, "s", "new", 10*time.Second, 60*time.Second))
		assert.Equal(t, []string{"new", "new"}, []string{state("s"), state("s")})
		time.Sleep(80 * time.Second)
		assert.Equal(t, []string{"miss", "miss", "v"}, []string{state("s"), state("s"), state("b")})
	})
}

// Of many who find nothing one goes to the source.
func TestSingleFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := kv.New(kv.NewMemory(1 << 20))
		defer func() { assert.NoError(t, c.Close()) }()
		var sources, hits atomic.Int64
		var wg sync.WaitGroup
		began := time.Now()
		for range 100 {
			wg.Go(func() {
				v, hit, err := c.Get(t.Context(), "k", 10*time.Second)
				assert.NoError(t, err)
				if hit {
					assert.Equal(t, "value", v)
					hits.Add(1)
					return
				}
				sources.Add(1)
				time.Sleep(time.Second)
				assert.NoError(t, c.Set(t.Context(), "k", "value", time.Hour, 0))
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, sources.Load())
		assert.EqualValues(t, 99, hits.Load())
		assert.Equal(t, time.Second, time.Since(began))

		// The one that went to the source never came back.
		_, hit, err := c.Get(t.Context(), "lost", 2*time.Second)
		require.NoError(t, err)
		require.False(t, hit)
		began = time.Now()
		_, hit, err = c.Get(t.Context(), "lost", 10*time.Second)
		require.NoError(t, err)
		assert.False(t, hit)
		assert.Equal(t, 2*time.Second, time.Since(began), "the turn of the next one comes when the time of the first is over")

		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		time.AfterFunc(time.Second, func() { cancel(reason) })
		_, _, err = c.Get(ctx, "lost", 10*time.Second)
		assert.Equal(t, reason, err)
		began = time.Now()
		_, hit, err = c.Get(t.Context(), "lost", 3*time.Second)
		require.NoError(t, err)
		assert.False(t, hit)
		assert.Equal(t, 3*time.Second, time.Since(began), "nobody waits longer than wanted")
	})
}

// A request that ends without a value lets the next one that waits go to the source, at once.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := kv.New(kv.NewMemory(1 << 20))
		defer func() { assert.NoError(t, c.Close()) }()
		miss := func(key string) *kv.Claims {
			claims := &kv.Claims{}
			_, hit, err := c.Get(kv.WithClaims(t.Context(), claims), key, time.Minute)
			require.NoError(t, err)
			require.False(t, hit)
			return claims
		}
		first := miss("k")
		began := time.Now()
		time.AfterFunc(time.Second, first.GiveUp)
		second := miss("k")
		assert.Equal(t, time.Second, time.Since(began))
		first.GiveUp() // again, and too late

		time.AfterFunc(2*time.Second, func() { assert.NoError(t, c.Set(t.Context(), "k", "value", time.Hour, 0)) })
		v, hit, err := c.Get(t.Context(), "k", time.Minute)
		require.NoError(t, err)
		assert.True(t, hit)
		assert.Equal(t, "value", v)
		assert.Equal(t, 3*time.Second, time.Since(began), "the second one was still at it")
		second.GiveUp()
		_, hit, err = c.Get(t.Context(), "k", 0)
		require.NoError(t, err)
		assert.True(t, hit)
	})
}

func BenchmarkMemoryHit(b *testing.B) {
	c := kv.New(kv.NewMemory(64 << 20))
	b.Cleanup(func() { _ = c.Close() })
	for i := range 1000 {
		require.NoError(b, c.Set(b.Context(), fmt.Sprint("key-", i), map[string]any{"body": "x", "status": 200}, time.Hour, 0))
	}
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, hit, err := c.Get(ctx, "key-7", 0); !hit || err != nil {
				b.Error("no hit")
				return
			}
		}
	})
}

func BenchmarkMemorySet(b *testing.B) {
	c := kv.New(kv.NewMemory(64 << 20))
	b.Cleanup(func() { _ = c.Close() })
	v := map[string]any{"body": map[string]any{"a": "x", "b": []any{1, 2, 3}}, "status": 200}
	ctx := b.Context()
	b.ReportAllocs()
	for i := range b.N {
		if err := c.Set(ctx, fmt.Sprint(i%10_000), v, time.Hour, 0); err != nil {
			b.Fatal(err)
		}
	}
}
