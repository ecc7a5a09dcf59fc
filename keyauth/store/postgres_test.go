package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/store"
	"kong-go-plugins/keyauth/store/storetest"
)

// create does what Kong's Admin API does, the event included.
func (db *kongDB) create(t *testing.T, g storetest.Given) {
	t.Helper()
	c := g.Consumer
	db.exec(t, `INSERT INTO consumers (id, created_at, updated_at, username, custom_id, tags, ws_id)
		VALUES ($1, to_timestamp($2), to_timestamp($3), $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		c.ID, c.CreatedAt, c.UpdatedAt, c.Username, nullable(c.CustomID), c.Tags, workspaceID)
	db.exec(t, `INSERT INTO keyauth_credentials (id, created_at, consumer_id, key, tags, ws_id)
		VALUES ($1, to_timestamp($2), $3, $4, $5, $6)`, g.ID, g.CreatedAt, c.ID, g.Key, g.Tags, workspaceID)
	db.event(t, "keyauth_credentials:"+g.Key+":::::"+workspaceID, "NULL")
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (db *kongDB) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func (db *kongDB) event(t *testing.T, data, nbf string) {
	t.Helper()
	db.exec(t, `INSERT INTO cluster_events (id, node_id, at, nbf, expire_at, channel, data)
		VALUES (gen_random_uuid(), gen_random_uuid(), clock_timestamp(), `+nbf+`, clock_timestamp() + interval '1 hour', 'invalidations', $1)`, data)
}

func openPostgres(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	db := newKongDB(t)
	for _, g := range given {
		db.create(t, g)
	}
	for _, g := range given { // after the inserts, at which Kong's trigger removes what has expired
		if g.ExpiresAt != 0 {
			db.exec(t, "UPDATE keyauth_credentials SET ttl = to_timestamp($1) WHERE id = $2", g.ExpiresAt, g.ID)
		}
	}
	s, err := store.OpenPostgres(store.PostgresOptions{DSN: db.dsn, Timeout: patience}, &hasher, quiet)
	require.NoError(t, err)
	return store.NewCache(s, store.CacheOptions{Timeout: patience})
}

func rawFind(ctx context.Context, s store.Store, k string) (store.Entry, error) {
	return store.Find(ctx, s, []byte(k), storetest.Digests(k))
}

func given(n int, k string) storetest.Given {
	return storetest.NewGiven(k, store.Entry{ID: storetest.ID(n), Consumer: store.Consumer{ID: storetest.ID(100 + n), Username: fmt.Sprint("user", n)}})
}

// withNoReader runs f while nobody can read events, so that none becomes too old to be told before it is there.
func (db *kongDB) withNoReader(t *testing.T, f func()) {
	t.Helper()
	db.exec(t, "BEGIN")
	db.exec(t, "LOCK TABLE cluster_events")
	f()
	db.exec(t, "COMMIT")
}

// lateEvent is of five seconds ago: it was written, and is visible only now.
func (db *kongDB) lateEvent(t *testing.T, data string) {
	t.Helper()
	db.exec(t, `INSERT INTO cluster_events (id, node_id, at, expire_at, channel, data)
		VALUES (gen_random_uuid(), gen_random_uuid(), clock_timestamp() - interval '5 seconds', clock_timestamp() + interval '1 hour', 'invalidations', $1)`, data)
}

// changes follows the database and returns what is told after the first time, which is that all may have changed.
func changes(t *testing.T, db *kongDB) func() []store.Change {
	t.Helper()
	s, err := store.OpenPostgres(store.PostgresOptions{DSN: db.dsn, Poll: 20 * time.Millisecond, Timeout: patience}, &hasher, quiet)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	var mu sync.Mutex
	var got []store.Change
	s.Notify(func(c store.Change) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, c)
	})
	take := func() []store.Change {
		mu.Lock()
		defer mu.Unlock()
		return append([]store.Change{}, got...)
	}
	require.Eventually(t, func() bool { return len(take()) > 0 }, time.Minute, 5*time.Millisecond)
	assert.Equal(t, store.Change{All: true}, take()[0], "nobody knows what happened before")
	return func() []store.Change { return take()[1:] }
}

// A key that is made, changed or revoked through Kong's Admin API works, or does not, within seconds.
func TestPostgresFollowsKong(t *testing.T) {
	t.Parallel()
	db := newKongDB(t)
	s, err := store.OpenPostgres(store.PostgresOptions{DSN: db.dsn, Timeout: patience}, &hasher, quiet)
	require.NoError(t, err)
	var told atomic.Int64 // changes that the cache has heard of
	c := store.NewCache(&counted{s, &told}, store.CacheOptions{Positive: time.Hour, Negative: time.Hour, Timeout: patience})
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	within := func(what string, ok func() bool) {
		t.Helper()
		start := time.Now()
		require.Eventually(t, ok, time.Minute, 20*time.Millisecond, what)
		t.Logf("%s: %s", what, time.Since(start).Round(time.Millisecond))
	}
	known := func(k string) bool { _, err := rawFind(t.Context(), c, k); return err == nil }

	_, err = rawFind(t.Context(), c, "a:b")
	require.ErrorIs(t, err, store.ErrNotFound)
	within("following", func() bool { return told.Load() == 1 }) // nobody knows what happened before
	db.create(t, given(1, "a:b"))
	within("made", func() bool { return told.Load() == 2 && known("a:b") })

	db.exec(t, "UPDATE keyauth_credentials SET key = 'new' WHERE key = 'a:b'")
	assert.True(t, known("a:b"), "nothing was announced yet")
	db.event(t, "keyauth_credentials:a:b:::::"+workspaceID, "NULL")
	db.event(t, "keyauth_credentials:new:::::"+workspaceID, "NULL")
	within("changed", func() bool { return !known("a:b") && known("new") })

	db.exec(t, "UPDATE consumers SET username = 'renamed'")
	db.event(t, "consumers:"+storetest.ID(101)+":::::"+workspaceID, "NULL")
	within("consumer renamed", func() bool {
		e, err := rawFind(t.Context(), c, "new")
		return err == nil && e.Consumer.Username == "renamed"
	})
	db.exec(t, "DELETE FROM consumers") // and the key with it
	db.event(t, "keyauth_credentials:new:::::"+workspaceID, "NULL")
	within("revoked", func() bool { return !known("new") })
	require.NoError(t, s.Health())
}

// A counted database counts the changes that it has told.
type counted struct {
	*store.Postgres
	told *atomic.Int64
}

func (c *counted) Notify(f func(store.Change)) {
	c.Postgres.Notify(func(change store.Change) {
		f(change)
		c.told.Add(1)
	})
}

func TestPostgresEvents(t *testing.T) {
	t.Parallel()
	db := newKongDB(t)
	var got func() []store.Change
	db.withNoReader(t, func() {
		got = changes(t, db) // its first look is at the server's clock, which has no lock
		db.lateEvent(t, "keyauth_credentials:before:::::"+workspaceID)
	})
	var want []store.Change
	key := func(k, nbf string) {
		db.event(t, "keyauth_credentials:"+k+":::::"+workspaceID, nbf)
		want = append(want, store.Change{Digest: digest(k)})
	}
	db.event(t, "services:x:::::"+workspaceID, "NULL")
	db.event(t, "nonsense", "NULL")
	db.event(t, "keyauth_credentials:short", "NULL")
	want = append(want, store.Change{Digest: digest("before")}) // within the overlap
	key("k", "NULL")
	key("::::::", "NULL")
	key("ü", "clock_timestamp() - interval '1 second'")
	db.event(t, "consumers:c:::::"+workspaceID, "NULL")
	want = append(want, store.Change{ConsumerID: "c"})
	key("later", "clock_timestamp() + interval '1 second'")
	require.Eventually(t, func() bool { return len(got()) >= len(want) }, time.Minute, 5*time.Millisecond)
	var over bool
	require.NoError(t, db.QueryRow(t.Context(), "SELECT clock_timestamp() >= max(nbf) FROM cluster_events").Scan(&over))
	assert.True(t, over, "an event is not told before its time")

	db.withNoReader(t, func() { db.lateEvent(t, "keyauth_credentials:slow:::::"+workspaceID) })
	want = append(want, store.Change{Digest: digest("slow")})
	db.exec(t, `INSERT INTO cluster_events (id, node_id, at, expire_at, channel, data)
		SELECT gen_random_uuid(), gen_random_uuid(), now(), now() + interval '1 hour', 'invalidations', 'keyauth_credentials:many' || n || ':::::' || $1
		FROM generate_series(1, 2500) n`, workspaceID) // all of one moment, more than two pages
	require.Eventually(t, func() bool { return len(got()) >= len(want)+2500 }, time.Minute, 5*time.Millisecond)
	time.Sleep(100 * time.Millisecond) // a few more polls see them all again
	all := got()
	assert.Len(t, all, len(want)+2500, "each event is told once")
	assert.ElementsMatch(t, want, all[:len(want)])

	for n := range 30 {
		db.event(t, fmt.Sprintf("consumers:c%d:::::%s", n, workspaceID), "NULL")
	}
	require.Eventually(t, func() bool { return len(got()) > len(all) }, time.Minute, 5*time.Millisecond)
}

func TestPostgresRefusals(t *testing.T) {
	t.Parallel()
	db := newKongDB(t)
	db.create(t, given(1, "a"))
	_, err := db.Exec(t.Context(), "CREATE DATABASE "+db.name+"_other")
	require.NoError(t, err)
	for _, c := range []struct{ name, dsn, workspace, want string }{
		{"password", strings.Replace(db.dsn, "reader-secret", "wrong-secret", 1), "", "correct the password in postgres.dsn"},
		{"database", strings.Replace(db.dsn, db.name+"?", "nowhere?", 1), "", "correct the database's name"},
		{"not Kong's", strings.Replace(db.dsn, db.name+"?", db.name+"_other?", 1), "", "is it Kong's database?"},
		{"rights", db.stranger, "", "GRANT SELECT ON keyauth_credentials"},
		{"workspace", db.dsn, "nowhere", `the database has no workspace "nowhere"`},
		{"nobody there", "postgres://reader:secret@127.0.0.1:1/kong?sslmode=disable", "", "connection refused"},
		{"no TLS there", strings.Replace(db.dsn, "disable", "require", 1), "", "refused TLS"},
	} {
		s, err := store.OpenPostgres(store.PostgresOptions{DSN: c.dsn, Workspace: c.workspace, Timeout: patience}, &hasher, quiet)
		require.NoError(t, err, c.name)
		_, err = rawFind(t.Context(), s, "a")
		require.ErrorContains(t, err, c.want, c.name)
		assert.NotErrorIs(t, err, store.ErrNotFound, c.name)
		assert.NotContains(t, err.Error(), "secret", c.name)
		require.NoError(t, s.Close())
	}
	for _, dsn := range []string{"", "postgres://u:top-secret@h:x/db", "host=h password=top-secret port=x", "mysql://top-secret"} {
		_, err := store.OpenPostgres(store.PostgresOptions{DSN: dsn}, &hasher, quiet)
		require.ErrorContains(t, err, "postgres.dsn: ", dsn)
		assert.NotContains(t, err.Error(), "top-secret")
	}
}

// The connection is lost and comes back; while it is gone, what is remembered works and a wrong key is an error.
func TestPostgresConnectionLost(t *testing.T) {
	t.Parallel()
	db := newKongDB(t)
	// With one connection, none is being made at the moment at which all are ended.
	s, err := store.OpenPostgres(store.PostgresOptions{DSN: db.dsn, Pool: 1, Poll: 20 * time.Millisecond, Timeout: patience}, &hasher, quiet)
	require.NoError(t, err)
	var told atomic.Int64
	c := store.NewCache(&counted{s, &told}, store.CacheOptions{Positive: time.Hour, Timeout: patience})
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	require.Eventually(t, func() bool { return told.Load() == 1 }, time.Minute, time.Millisecond, "that all may have changed")
	db.create(t, given(1, "a"))
	require.Eventually(t, func() bool { return told.Load() == 2 }, time.Minute, time.Millisecond, "the key, and nothing more is to be told")
	_, err = rawFind(t.Context(), c, "a")
	require.NoError(t, err)
	db.exec(t, "ALTER ROLE reader_"+db.name+" NOLOGIN")
	db.exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", "reader_"+db.name)
	require.Eventually(t, func() bool { return s.Health() != nil }, time.Minute, 5*time.Millisecond)
	_, err = rawFind(t.Context(), c, "a")
	require.NoError(t, err)
	_, err = rawFind(t.Context(), c, "b")
	require.Error(t, err)
	assert.NotErrorIs(t, err, store.ErrNotFound)
	db.exec(t, "ALTER ROLE reader_"+db.name+" LOGIN")
	require.Eventually(t, func() bool { return s.Health() == nil }, time.Minute, 5*time.Millisecond)
	_, err = rawFind(t.Context(), c, "b")
	require.ErrorIs(t, err, store.ErrNotFound)
}

// A server that was restarted, or a balancer in front of it, leaves connections that do not work. Nobody is refused for them.
func TestPostgresLostConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	db := newKongDB(t)
	db.create(t, given(1, "a"))
	s, err := store.OpenPostgres(store.PostgresOptions{DSN: db.dsn, Pool: 4, Timeout: patience}, &hasher, quiet)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	lookups := func() {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				_, err := rawFind(t.Context(), s, "a")
				assert.NoError(t, err)
			})
		}
		all.Wait()
	}
	for range 3 {
		lookups()
		db.exec(t, "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = $1", "reader_"+db.name)
		lookups()
	}
}
