package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/store"
	"kong-go-plugins/keyauth/store/storetest"
)

// A redisServer is a Redis of its own, on free ports, in a temporary folder. It loses what it holds when it ends.
type redisServer struct {
	port, tlsPort int
	dir           string
	cmd           *exec.Cmd
	died          chan struct{}
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	s := &redisServer{dir: t.TempDir()}
	cert, key := selfSigned(t)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "cert.pem"), []byte(cert), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "key.pem"), []byte(key), 0o600))
	t.Cleanup(func() { s.kill() })
	for range 5 { // free ports may be taken meanwhile
		s.port, s.tlsPort = freePort(t), freePort(t)
		if s.run() == nil {
			return s
		}
	}
	require.FailNow(t, "Redis does not start; is the Debian package redis-server there?")
	return nil
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *redisServer) run() error {
	s.cmd = exec.Command("redis-server", "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--dir", s.dir,
		"--tls-port", strconv.Itoa(s.tlsPort), "--tls-cert-file", filepath.Join(s.dir, "cert.pem"), "--tls-key-file", filepath.Join(s.dir, "key.pem"),
		"--tls-ca-cert-file", filepath.Join(s.dir, "cert.pem"), "--tls-auth-clients", "no")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.died = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.died)
	}()
	c := redis.NewClient(&redis.Options{Addr: s.addr()})
	defer c.Close()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.died:
			return errors.New("it ended")
		default:
		}
		if c.Ping(context.Background()).Err() == nil {
			return nil
		}
	}
	return errors.New("it does not answer")
}

func (s *redisServer) kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		<-s.died
	}
}

func (s *redisServer) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }
func (s *redisServer) url() string  { return "redis://" + s.addr() }

func redisStore(t *testing.T, o store.RedisOptions) *store.Redis {
	t.Helper()
	r, err := store.OpenRedis(o, quiet)
	require.NoError(t, err)
	return r
}

func openRedis(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	s := startRedis(t)
	r := redisStore(t, store.RedisOptions{URL: s.url()})
	var consumers []store.Consumer
	for _, g := range given {
		if g.Consumer.ID != "" {
			consumers = append(consumers, g.Consumer)
		}
	}
	require.NoError(t, r.Import(t.Context(), consumers, credentials(given)))
	return store.NewCache(r, store.CacheOptions{})
}

func TestRedisFollowsChanges(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	writer := redisStore(t, store.RedisOptions{URL: s.url()})
	t.Cleanup(func() { assert.NoError(t, writer.Close()) })
	var ready atomic.Int64
	reader := redisStore(t, store.RedisOptions{URL: s.url()})
	c := store.NewCache(notified{reader, &ready}, store.CacheOptions{Positive: time.Hour, Negative: time.Hour})
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
	require.NoError(t, writer.Import(ctx, nil, []store.Credential{k1, k2}))
	soon("made", func() bool { return has(c, "a") && has(c, "b") })
	assert.Equal(t, "c1", lookup(t, c, "a").ConsumerRef, "its consumer is not there yet")
	require.NoError(t, writer.Import(ctx, []store.Consumer{alice}, nil))
	soon("its consumer", func() bool { return lookup(t, c, "a").Consumer.Username == "alice" })
	k1.Disabled = true
	require.NoError(t, writer.Import(ctx, nil, []store.Credential{k1}))
	soon("changed", func() bool { return lookup(t, c, "a").Disabled })
	require.NoError(t, writer.Remove(ctx, k1.Hash.Digest))
	soon("removed", func() bool { return !has(c, "a") })
	require.ErrorIs(t, writer.Remove(ctx, k1.Hash.Digest), store.ErrNotFound)
	moved := credential("3", "c")
	moved.ConsumerRef = "c1"
	require.NoError(t, writer.Import(ctx, nil, []store.Credential{moved}))
	moved.ConsumerRef = "c2"
	require.NoError(t, writer.Import(ctx, nil, []store.Credential{moved}))
	require.NoError(t, writer.RemoveConsumer(ctx, "c1"))
	assert.True(t, has(writer, "c"), "it belongs to another one now")
	soon("removed with its consumer", func() bool { return !has(c, "b") })
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
	s := startRedis(t)
	var told atomic.Int64
	r := redisStore(t, store.RedisOptions{URL: s.url()})
	require.NoError(t, r.Import(t.Context(), nil, []store.Credential{credential("1", "a")}))
	c := store.NewCache(notified{r, &told}, store.CacheOptions{})
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	require.Eventually(t, func() bool { return told.Load() > 0 }, time.Minute, time.Millisecond)
	require.True(t, has(c, "a"))
	s.kill()
	require.Eventually(t, func() bool { return r.Health() != nil }, time.Minute, time.Millisecond)
	assert.True(t, has(c, "a"))
	_, err := c.Lookup(t.Context(), digest("b"))
	require.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, s.run())
	require.Eventually(t, func() bool { return r.Health() == nil && !has(c, "a") }, time.Minute, time.Millisecond)
}

func TestRedisACLAndTLS(t *testing.T) {
	t.Parallel()
	s := startRedis(t)
	admin := redis.NewClient(&redis.Options{Addr: s.addr()})
	t.Cleanup(func() { admin.Close() })
	acl := func(args ...any) {
		t.Helper()
		require.NoError(t, admin.Do(t.Context(), append([]any{"ACL", "SETUSER"}, args...)...).Err())
	}
	acl("reader", "on", ">p@ss", "resetchannels", "~keyauth:*", "&keyauth:changes", "+get", "+subscribe", "+unsubscribe", "+ping")
	acl("stranger", "on", ">p@ss", "resetchannels", "+ping")
	w := redisStore(t, store.RedisOptions{URL: s.url()})
	require.NoError(t, w.Import(t.Context(), nil, []store.Credential{credential("1", "a")}))
	require.NoError(t, w.Close())
	acl("default", "resetpass", ">other")

	ca := filepath.Join(s.dir, "cert.pem")
	for _, c := range []struct{ name, url, ca, want string }{
		{"all right", "rediss://reader:p%40ss@127.0.0.1:PORT", ca, ""},
		{"no user", "rediss://127.0.0.1:PORT", ca, "write user and password into redis.url"},
		{"wrong password", "rediss://reader:wrong@127.0.0.1:PORT", ca, "correct user and password in redis.url"},
		{"no rights", "rediss://stranger:p%40ss@127.0.0.1:PORT", ca, "give the user of redis.url the rights"},
		{"unknown authority", "rediss://reader:p%40ss@127.0.0.1:PORT", "", "unknown authority"},
		{"nobody there", "redis://reader:p%40ss@127.0.0.1:1", "", "connection refused"},
	} {
		var told atomic.Int64
		r := redisStore(t, store.RedisOptions{URL: strings.Replace(c.url, "PORT", strconv.Itoa(s.tlsPort), 1), TLS: store.TLSOptions{CA: c.ca}})
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
	s := startRedis(t)
	client := redis.NewClient(&redis.Options{Addr: s.addr()})
	t.Cleanup(func() { client.Close() })
	r := redisStore(t, store.RedisOptions{URL: s.url()})
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	put := func() {
		c := credential("1", "a")
		c.Consumer.ID = "c1"
		require.NoError(t, r.Import(t.Context(), []store.Consumer{{ID: "c1"}}, []store.Credential{c}))
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

func TestOpenRedisRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    store.RedisOptions
		want string
	}{
		{store.RedisOptions{}, "redis.url: want"},
		{store.RedisOptions{URL: "http://u:secret@h"}, "redis.url: want"},
		{store.RedisOptions{URL: "redis://u:secret@h:x"}, "redis.url: want"},
		{store.RedisOptions{URL: "redis://h", TLS: store.TLSOptions{CA: "x"}}, "write rediss://"},
		{store.RedisOptions{URL: "rediss://h", TLS: store.TLSOptions{CA: "x"}}, "redis.ca: "},
	} {
		_, err := store.OpenRedis(c.o, quiet)
		require.ErrorContains(t, err, c.want)
		assert.NotContains(t, err.Error(), "secret")
	}
}
