package store_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/redistest"
	"kong-go-plugins/keyauth/store"
	"kong-go-plugins/keyauth/store/storetest"
)

// patience is the time limit of a store under test, where the test is not about that: a busy machine may leave a process alone
// for seconds.
const patience = time.Minute

func redisStore(t *testing.T, o store.RedisOptions) *store.Redis {
	t.Helper()
	o.Timeout = patience
	r, err := store.OpenRedis(o, quiet)
	require.NoError(t, err)
	return r
}

func mirror(t *testing.T, r *store.Redis, consumers []store.Consumer, credentials []store.Credential) store.Mirrored {
	t.Helper()
	done, err := r.Mirror(t.Context(), consumers, credentials, false)
	require.NoError(t, err)
	return done
}

func openRedis(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	s := redistest.Start(t)
	r := redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr()})
	var consumers []store.Consumer
	for _, g := range given {
		if g.Consumer.ID != "" {
			consumers = append(consumers, g.Consumer)
		}
	}
	mirror(t, r, consumers, credentials(given))
	return store.NewCache(r, store.CacheOptions{Timeout: patience})
}

func TestRedisFollowsChanges(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	writer := redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr()})
	t.Cleanup(func() { assert.NoError(t, writer.Close()) })
	var ready atomic.Int64
	reader := redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr()})
	c := store.NewCache(notified{reader, &ready}, store.CacheOptions{Positive: time.Hour, Negative: time.Hour, Timeout: patience})
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	require.Eventually(t, func() bool { return ready.Load() > 0 }, time.Minute, time.Millisecond)

	ctx := t.Context()
	alice := store.Consumer{ID: "c1", Username: "alice"}
	k1, k2 := credential("1", "a"), credential("2", "b")
	k1.Consumer, k2.Consumer = alice, alice
	soon := func(what string, ok func() bool) {
		t.Helper()
		require.Eventually(t, ok, time.Minute, time.Millisecond, what)
	}
	require.False(t, has(c, "a"))
	assert.Equal(t, store.Mirrored{Written: 2}, mirror(t, writer, nil, []store.Credential{k1, k2}))
	soon("made", func() bool { return has(c, "a") && has(c, "b") })
	assert.Equal(t, "c1", lookup(t, c, "a").ConsumerRef, "its consumer is not there yet")
	assert.Equal(t, store.Mirrored{Written: 1}, mirror(t, writer, []store.Consumer{alice}, []store.Credential{k1, k2}))
	soon("its consumer", func() bool { return lookup(t, c, "a").Consumer.Username == "alice" })
	k1.Disabled = true
	assert.Equal(t, store.Mirrored{Written: 1}, mirror(t, writer, []store.Consumer{alice}, []store.Credential{k1, k2}))
	soon("changed", func() bool { return lookup(t, c, "a").Disabled })
	assert.Zero(t, mirror(t, writer, []store.Consumer{alice}, []store.Credential{k1, k2}), "all is there")
	assert.Equal(t, store.Mirrored{Removed: 1}, mirror(t, writer, []store.Consumer{alice}, []store.Credential{k2}))
	soon("removed", func() bool { return !has(c, "a") })
	assert.Equal(t, store.Mirrored{Removed: 1}, mirror(t, writer, nil, []store.Credential{k2}))
	soon("its consumer is gone", func() bool { return lookup(t, c, "b").ConsumerRef == "c1" })

	_, err := writer.Mirror(ctx, nil, nil, false)
	require.ErrorIs(t, err, store.ErrMirrorEmpty)
	assert.True(t, has(writer, "b"), "nothing was changed")
	_, err = writer.Mirror(ctx, nil, nil, true)
	require.NoError(t, err)
	soon("all are gone", func() bool { return !has(c, "b") })
	require.NoError(t, reader.Health())
}

// notified counts what a store tells.
type notified struct {
	*store.Redis
	n *atomic.Int64
}

func (s notified) Notify(f func(store.Change)) {
	s.Redis.Notify(func(c store.Change) {
		f(c)
		s.n.Add(1)
	})
}

// The server is killed and comes back without its data: what was missed meanwhile is not believed any longer.
func TestRedisServerLost(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var told atomic.Int64
	r := redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr()})
	mirror(t, r, nil, []store.Credential{credential("1", "a")})
	c := store.NewCache(notified{r, &told}, store.CacheOptions{Positive: time.Hour, Timeout: patience})
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	require.Eventually(t, func() bool { return told.Load() > 0 }, time.Minute, time.Millisecond)
	require.True(t, has(c, "a"))
	s.Kill()
	require.Eventually(t, func() bool { return r.Health() != nil }, time.Minute, time.Millisecond)
	assert.True(t, has(c, "a"))
	_, err := c.Lookup(t.Context(), digest("b"))
	require.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrNotFound)
	s.Restart(t)
	require.Eventually(t, func() bool { return r.Health() == nil && !has(c, "a") }, time.Minute, time.Millisecond)
}

// A server that has just come back may take subscriptions and not know its keys yet.
func TestRedisServerThatIsNotReady(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := s.Client(t)
	var told atomic.Int64
	r := redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr()})
	mirror(t, r, nil, []store.Credential{credential("1", "a")})
	c := store.NewCache(notified{r, &told}, store.CacheOptions{Positive: time.Hour, Stale: time.Hour, Timeout: patience})
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	require.Eventually(t, func() bool { return told.Load() > 0 }, time.Minute, time.Millisecond)
	require.True(t, has(c, "a"))

	name := "keyauth:key:" + strings.Split(hasher.Hash([]byte("a")).String(), ":")[2]
	require.NoError(t, client.Del(t.Context(), name).Err())
	require.NoError(t, client.LPush(t.Context(), name, "an error to who asks").Err())
	before := told.Load()
	require.NoError(t, client.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err())
	require.Eventually(t, func() bool { return told.Load() > before }, time.Minute, time.Millisecond, "it has subscribed again")
	assert.True(t, has(c, "a"))
	require.NoError(t, client.Del(t.Context(), name).Err())
	require.Eventually(t, func() bool { return !has(c, "a") }, time.Minute, time.Millisecond)
}

func TestRedisACLAndTLS(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	acl := func(args ...any) {
		t.Helper()
		require.NoError(t, admin.Do(t.Context(), append([]any{"ACL", "SETUSER"}, args...)...).Err())
	}
	acl("reader", "on", ">p@ss", "resetchannels", "~keyauth:*", "&keyauth:changes", "+get", "+subscribe", "+unsubscribe", "+ping")
	acl("stranger", "on", ">p@ss", "resetchannels", "+ping")
	w := redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr()})
	mirror(t, w, nil, []store.Credential{credential("1", "a")})
	require.NoError(t, w.Close())
	acl("default", "resetpass", ">other")

	ca := s.CAFile
	for _, c := range []struct{ name, url, ca, want string }{
		{"all right", "rediss://reader:p%40ss@127.0.0.1:PORT", ca, ""},
		{"no user", "rediss://127.0.0.1:PORT", ca, "write user and password into redis.url"},
		{"wrong password", "rediss://reader:wrong@127.0.0.1:PORT", ca, "correct user and password in redis.url"},
		{"no rights", "rediss://stranger:p%40ss@127.0.0.1:PORT", ca, "give the user of redis.url the rights"},
		{"unknown authority", "rediss://reader:p%40ss@127.0.0.1:PORT", "", "unknown authority"},
		{"nobody there", "redis://reader:p%40ss@127.0.0.1:1", "", "connection refused"},
	} {
		var told atomic.Int64
		r := redisStore(t, store.RedisOptions{URL: strings.Replace(c.url, "PORT", strconv.Itoa(s.TLSPort), 1), TLS: store.TLSOptions{CA: c.ca}})
		r.Notify(func(store.Change) { told.Add(1) })
		e, err := r.Lookup(t.Context(), digest("a"))
		if c.want == "" {
			require.NoError(t, err, c.name)
			assert.Equal(t, "1", e.ID)
			assert.Eventually(t, func() bool { return told.Load() > 0 && r.Health() == nil }, time.Minute, time.Millisecond, "changes are followed")
		} else {
			require.ErrorContains(t, err, c.want, c.name)
			assert.NotErrorIs(t, err, store.ErrNotFound)
			assert.NotContains(t, err.Error(), "p@ss")
			assert.Eventually(t, func() bool { return r.Health() != nil }, time.Minute, time.Millisecond, c.name)
		}
		require.NoError(t, r.Close())
	}
}

func TestRedisBrokenEntries(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := s.Client(t)
	r := redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr()})
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	put := func() {
		c := credential("1", "a")
		c.Consumer.ID = "c1"
		mirror(t, r, []store.Consumer{{ID: "c1"}}, []store.Credential{c})
		require.True(t, has(r, "a"))
	}
	name := "keyauth:key:" + strings.Split(hasher.Hash([]byte("a")).String(), ":")[2]
	for _, c := range []struct{ name, at, text, want string }{
		{"no JSON", name, "secret", "it is not one JSON object"},
		{"unknown field", name, `{"id":"1","only_on_sundays":true}`, "only_on_sundays: this field is unknown"},
		{"another hash", name, `{"id":"1","hash":"` + hasher.Hash([]byte("b")).String() + `"}`, "has another hash"},
		{"no hash", name, `{"id":"1"}`, "has another hash"},
		{"consumer", "keyauth:consumer:c1", `[]`, "want an object, not a list"},
		{"another consumer", "keyauth:consumer:c1", `{"id":"c2"}`, "has another id"},
	} {
		put()
		require.NoError(t, client.Set(t.Context(), c.at, c.text, 0).Err())
		_, err := r.Lookup(t.Context(), digest("a"))
		require.ErrorContains(t, err, c.want, c.name)
		assert.NotErrorIs(t, err, store.ErrNotFound)
		assert.NotContains(t, err.Error(), "secret")
	}
	put()
	require.NoError(t, client.Del(t.Context(), name).Err())
	require.NoError(t, client.LPush(t.Context(), name, "x").Err())
	_, err := r.Lookup(t.Context(), digest("a"))
	require.ErrorContains(t, err, "WRONGTYPE")
}

// An entry that has expired goes by itself, a day later; what another program wrote into its place is written over.
func TestRedisMirrorsOverWhatIsThere(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client, r := s.Client(t), redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr(), Prefix: "a*b:"})
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	name := func(k string) string {
		return "a*b:key:" + strings.Split(hasher.Hash([]byte(k)).String(), ":")[2]
	}
	ctx := t.Context()
	require.NoError(t, client.LPush(ctx, name("a"), "x").Err())
	require.NoError(t, client.Set(ctx, "axb:key:other", "of another prefix", 0).Err())
	expired := credential("2", "b")
	expired.ExpiresAt = time.Now().Unix() - 100_000
	assert.Equal(t, store.Mirrored{Written: 2}, mirror(t, r, nil, []store.Credential{credential("1", "a"), expired}))
	assert.True(t, has(r, "a"))
	assert.True(t, has(r, "b"), "it can still be told from an unknown one")
	left, err := client.TTL(ctx, name("b")).Result()
	require.NoError(t, err)
	assert.Greater(t, left, 20*time.Hour)
	assert.Equal(t, int64(1), client.Exists(ctx, "axb:key:other").Val())
}
