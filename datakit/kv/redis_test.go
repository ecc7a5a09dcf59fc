package kv_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/datakit/kv"
	"kong-go-plugins/internal/redistest"
)

// patient gives a Redis more time than a busy machine takes, so that only what is wrong fails.
func patient(o kv.RedisOptions) kv.RedisOptions {
	o.ConnectTimeout, o.SendTimeout, o.ReadTimeout = time.Minute, time.Minute, time.Minute
	return o
}

func openRedis(t *testing.T, o kv.RedisOptions) *kv.Redis {
	r := kv.OpenRedis(o)
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	return r
}

// load and save are one question each; both errors are joined.
func ask(ctx context.Context, r *kv.Redis) error {
	_, _, loaded := r.Load(ctx, "token-key")
	return errors.Join(loaded, r.Save(ctx, "token-key", kv.Entry{Value: "token-value"}, time.Hour))
}

func TestRedisKeysAndRights(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	ctx := t.Context()
	require.NoError(t, admin.Do(ctx, "ACL", "SETUSER", "writer", "on", ">token-password", "~datakit:*", "+get", "+set").Err())
	require.NoError(t, admin.Do(ctx, "ACL", "SETUSER", "reader", "on", ">token-password", "~datakit:*", "+get").Err())
	require.NoError(t, admin.Do(ctx, "ACL", "SETUSER", "stranger", "on", ">token-password", "~other:*", "+get", "+set").Err())
	require.NoError(t, admin.Do(ctx, "ACL", "SETUSER", "default", "resetpass", ">other").Err())
	for _, x := range []struct {
		name, user, password, want string
		tls                        *tls.Config
	}{
		{"all rights", "writer", "token-password", "", s.TLS(t)},
		{"any certificate", "writer", "token-password", "", &tls.Config{InsecureSkipVerify: true}},
		{"unknown authority", "writer", "token-password", "unknown authority", &tls.Config{}},
		{"no user", "", "", "it asks for a password", s.TLS(t)},
		{"wrong password", "writer", "token-wrong", "the user name or the password is wrong", s.TLS(t)},
		{"may not write", "reader", "token-password", "give it the rights", s.TLS(t)},
		{"other keys", "stranger", "token-password", "give it the rights", s.TLS(t)},
	} {
		r := openRedis(t, patient(kv.RedisOptions{Addresses: []string{s.TLSAddr()}, Username: x.user, Password: x.password, TLS: x.tls}))
		err := ask(ctx, r)
		if x.want == "" {
			require.NoError(t, err, x.name)
			continue
		}
		require.ErrorContains(t, err, x.want, x.name)
		assert.NotContains(t, err.Error(), "token-", x.name)
	}
	require.NoError(t, admin.Do(ctx, "AUTH", "other").Err())
	text, err := admin.Get(ctx, "datakit:token-key").Result()
	require.NoError(t, err)
	assert.JSONEq(t, `{"value":"token-value"}`, text)
}

func TestRedisForeignEntries(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	admin := s.Client(t)
	r := openRedis(t, patient(kv.RedisOptions{Addresses: []string{s.Addr()}}))
	for _, text := range []string{"secret", "", "[1]", `{"value":`, `{"value":1,"fresh_until":"x"}`} {
		require.NoError(t, admin.Set(t.Context(), "datakit:k", text, 0).Err())
		_, _, err := r.Load(t.Context(), "k")
		require.EqualError(t, err, "redis: what stands under this key is not an entry of this cache; remove it", text)
	}
	require.NoError(t, admin.Del(t.Context(), "datakit:k").Err())
	require.NoError(t, admin.LPush(t.Context(), "datakit:k", "x").Err())
	_, _, err := r.Load(t.Context(), "k")
	require.EqualError(t, err, "redis: what stands under this key is not an entry of this cache; remove it")
}

// Whatever a server does, each question has an answer in time.
func TestRedisTrouble(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	quick := kv.RedisOptions{ConnectTimeout: 300 * time.Millisecond, SendTimeout: 300 * time.Millisecond, ReadTimeout: 300 * time.Millisecond}
	in := func(what, want string, r *kv.Redis) {
		t.Helper()
		began := time.Now()
		_, _, err := r.Load(t.Context(), "token-key")
		require.ErrorContains(t, err, want, what)
		assert.NotContains(t, err.Error(), "token-")
		assert.Less(t, time.Since(began), 30*time.Second, what)
	}
	in("nobody", "connection refused", openRedis(t, patient(kv.RedisOptions{Addresses: []string{"127.0.0.1:1"}})))
	for what, o := range map[string]struct{ address, want string }{
		"silent":    {silent.Addr().String(), "no answer in time"},
		"sentinel":  {silent.Addr().String(), "no answer in time"},
		"a cluster": {silent.Addr().String(), "redis: "},
	} {
		options := quick
		options.Addresses = []string{o.address}
		options.Cluster = what == "a cluster"
		if what == "sentinel" {
			options.Master = "main"
			in(what, "redis: ", openRedis(t, options))
			continue
		}
		in(what, o.want, openRedis(t, options))
	}

	quick.Addresses = []string{s.Addr()}
	r := openRedis(t, quick)
	require.Eventually(t, func() bool { return ask(t.Context(), r) == nil }, time.Minute, 10*time.Millisecond) // in time, on a busy machine
	s.Hang()
	in("hangs", "no answer in time", r)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	_, _, err = r.Load(ctx, "k")
	assert.Equal(t, reason, err)
	for range 3 {
		in("hangs", "no answer in time", r)
	}
	spared := func() bool { // not when a second has gone by
		_, _, err := r.Load(t.Context(), "k")
		return err != nil && strings.Contains(err.Error(), "it is asked again once a second")
	}
	require.Eventually(t, spared, time.Minute, time.Millisecond, "hangs for a while")
	s.Resume()
	require.Eventually(t, func() bool { return ask(t.Context(), r) == nil }, time.Minute, 10*time.Millisecond)
	s.Kill()
	in("dead", "redis: ", r)
	s.Restart(t)
	require.Eventually(t, func() bool { return ask(t.Context(), r) == nil }, time.Minute, 10*time.Millisecond, "it comes back")
}

// A server that says nothing is away also for those who have less time than it may take: they are spared the wait.
func TestRedisIsSilentForLong(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	r := openRedis(t, patient(kv.RedisOptions{Addresses: []string{s.Addr()}}))
	require.NoError(t, ask(t.Context(), r))
	s.Hang()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, _, err := r.Load(ctx, "k")
		return assert.Error(t, err) && strings.Contains(err.Error(), "it is asked again once a second")
	}, time.Minute, time.Millisecond)
	s.Resume()
	require.Eventually(t, func() bool { return ask(t.Context(), r) == nil }, time.Minute, 10*time.Millisecond)
}

func TestRedisBacklog(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	r := openRedis(t, patient(kv.RedisOptions{Addresses: []string{s.Addr()}, PoolSize: 1, MaxWaiting: new(0)}))
	require.NoError(t, ask(t.Context(), r))
	s.Hang()
	errs := make(chan error, 10)
	for range cap(errs) {
		go func() {
			_, _, err := r.Load(t.Context(), "k")
			errs <- err
		}()
	}
	for range cap(errs) - 1 {
		assert.EqualError(t, <-errs, "redis: too many wait for a connection (keepalive_pool_size, keepalive_backlog)")
	}
	s.Resume()
	assert.NoError(t, <-errs, "the one that has the connection waits for Redis")
}

// The sentinel makes another server the master when the first one is gone.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 "+portOf(master.Addr()))
	sentinel := redistest.StartSentinel(t, "main", master)
	for _, role := range []string{"master", "any", "slave"} {
		r := openRedis(t, kv.RedisOptions{Addresses: []string{sentinel.Addr()}, Master: "main", Role: role})
		require.Eventually(t, func() bool {
			if r.Save(t.Context(), "k", kv.Entry{Value: role}, time.Hour) != nil {
				return false
			}
			e, ok, err := r.Load(t.Context(), "k")
			return err == nil && ok && e.Value == role
		}, time.Minute, 20*time.Millisecond, role)
	}
	r := openRedis(t, kv.RedisOptions{Addresses: []string{sentinel.Addr()}, Master: "main"})
	copied, watch := replica.Client(t), sentinel.Client(t)
	require.Eventually(t, func() bool {
		if ask(t.Context(), r) != nil { // again each time: a failover in between, of a busy machine, loses what was not copied
			return false
		}
		n, err := copied.Exists(t.Context(), "datakit:token-key").Result()
		replicas, _ := watch.Do(t.Context(), "SENTINEL", "REPLICAS", "main").Slice()
		return err == nil && n == 1 && len(replicas) == 1
	}, 2*time.Minute, 20*time.Millisecond)
	master.Kill()
	require.Eventually(t, func() bool {
		e, ok, err := r.Load(t.Context(), "token-key")
		return err == nil && ok && e.Value == "token-value" && ask(t.Context(), r) == nil
	}, 2*time.Minute, 50*time.Millisecond)
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
