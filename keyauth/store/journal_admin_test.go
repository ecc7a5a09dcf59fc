package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kong-go-plugins/keyauth/store"
)

// filled has consumers c0 to c2 and credentials 00 to 09, of which each third has the same consumer.
func filled(t *testing.T) *store.JournalAdmin {
	t.Helper()
	a := openAdmin(t, journalPath(t))
	var consumers []store.Consumer
	var keys []store.Credential
	for n := range 3 {
		consumers = append(consumers, store.Consumer{ID: fmt.Sprint("c", n), Username: fmt.Sprint("user", n), CustomID: fmt.Sprint("custom", n)})
	}
	for n := range 10 {
		c := credential(fmt.Sprintf("%02d", n), fmt.Sprint("k", n))
		c.Consumer.ID = fmt.Sprint("c", n%3)
		keys = append(keys, c)
	}
	require.NoError(t, a.Import(t.Context(), consumers, keys))
	return a
}

func TestJournalAdminPages(t *testing.T) {
	t.Parallel()
	a := filled(t)
	all := func(q store.CredentialQuery) (ids []string, pages int) {
		for {
			page, next, err := a.Credentials(t.Context(), q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), q.Size)
			for _, c := range page {
				ids = append(ids, c.ID)
			}
			pages++
			if q.Offset = next; next == "" {
				return ids, pages
			}
		}
	}
	everything := []string{"00", "01", "02", "03", "04", "05", "06", "07", "08", "09"}
	for size, want := range map[int]int{1: 10, 3: 4, 5: 2, 10: 1, 1000: 1} {
		ids, pages := all(store.CredentialQuery{Size: size})
		assert.Equal(t, everything, ids)
		assert.Equal(t, want, pages, "the last page has no successor (size %d)", size)
	}
	ids, pages := all(store.CredentialQuery{Size: 2, ConsumerID: "c1"})
	assert.Equal(t, []string{"01", "04", "07"}, ids)
	assert.Equal(t, 2, pages)
	ids, _ = all(store.CredentialQuery{Size: 2, Match: func(c store.Credential) bool { return c.Consumer.Username == "user2" }})
	assert.Equal(t, []string{"02", "05", "08"}, ids)
	ids, _ = all(store.CredentialQuery{Size: 2, ConsumerID: "c"})
	assert.Empty(t, ids)

	// What is removed between two pages costs no other one its place.
	page, next, err := a.Credentials(t.Context(), store.CredentialQuery{Size: 3})
	require.NoError(t, err)
	require.NoError(t, a.DeleteCredential(t.Context(), page[2].ID))
	page, _, err = a.Credentials(t.Context(), store.CredentialQuery{Size: 3, Offset: next})
	require.NoError(t, err)
	assert.Equal(t, "03", page[0].ID)

	var offset *store.OffsetError
	_, _, err = a.Credentials(t.Context(), store.CredentialQuery{Size: 1, Offset: "!"})
	require.ErrorAs(t, err, &offset)
	_, _, err = a.Consumers(t.Context(), store.ConsumerQuery{Size: 1, Offset: "!"})
	require.ErrorAs(t, err, &offset)
	people, next, err := a.Consumers(t.Context(), store.ConsumerQuery{Size: 2})
	require.NoError(t, err)
	require.Len(t, people, 2)
	people, next, err = a.Consumers(t.Context(), store.ConsumerQuery{Size: 2, Offset: next})
	require.NoError(t, err)
	assert.Equal(t, "c2", people[0].ID)
	assert.Empty(t, next)
}

func TestJournalAdminFinds(t *testing.T) {
	t.Parallel()
	a, ctx := filled(t), t.Context()
	c, err := a.Credential(ctx, "04")
	require.NoError(t, err)
	assert.Equal(t, "user1", c.Consumer.Username)
	assert.Empty(t, c.ConsumerRef)
	c, err = a.CredentialByDigest(ctx, digest("k5"))
	require.NoError(t, err)
	assert.Equal(t, "05", c.ID)
	for _, name := range []string{"c1", "user1"} {
		o, err := a.Consumer(ctx, name)
		require.NoError(t, err)
		assert.Equal(t, "c1", o.ID)
	}
	o, err := a.ConsumerByCustomID(ctx, "custom2")
	require.NoError(t, err)
	assert.Equal(t, "c2", o.ID)
	for _, find := range []func() error{
		func() error { _, err := a.Credential(ctx, ""); return err },
		func() error { _, err := a.Credential(ctx, "k1"); return err },
		func() error { _, err := a.CredentialByDigest(ctx, digest("x")); return err },
		func() error { _, err := a.Consumer(ctx, ""); return err },
		func() error { _, err := a.Consumer(ctx, "custom1"); return err },
		func() error { _, err := a.ConsumerByCustomID(ctx, ""); return err },
		func() error { return a.DeleteCredential(ctx, "x") },
		func() error { return a.DeleteConsumer(ctx, "user1") },
		func() error {
			_, err := a.UpdateCredential(ctx, "x", func(*store.Credential) error { return nil })
			return err
		},
		func() error {
			_, err := a.UpdateConsumer(ctx, "x", func(*store.Consumer) error { return nil })
			return err
		},
	} {
		require.ErrorIs(t, find(), store.ErrNotFound)
	}
}

func TestJournalAdminConflicts(t *testing.T) {
	t.Parallel()
	a, ctx := filled(t), t.Context()
	unknown := credential("new", "new")
	unknown.Consumer.ID = "nobody"
	update := func(id string, change func(*store.Credential)) error {
		_, err := a.UpdateCredential(ctx, id, func(c *store.Credential) error { change(c); return nil })
		return err
	}
	rename := func(change func(*store.Consumer)) error {
		_, err := a.UpdateConsumer(ctx, "c0", func(c *store.Consumer) error { change(c); return nil })
		return err
	}
	own := errors.New("the caller's own")
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"id", a.CreateCredential(ctx, credential("01", "new")), `key: there is one with id "01" already`},
		{"key", a.CreateCredential(ctx, credential("new", "k1")), "key: there is one with this key already"},
		{"no id", a.CreateCredential(ctx, credential("", "new")), "key.id: it is missing"},
		{"no hash", a.CreateCredential(ctx, store.Credential{Entry: store.Entry{ID: "new"}}), "key.hash: it is missing"},
		{"consumer", a.CreateCredential(ctx, unknown), `consumer: there is none with id "nobody"`},
		{"another's key", update("01", func(c *store.Credential) { c.Hash = credential("", "k2").Hash }), "key: there is one with this key already"},
		{"unknown owner", update("01", func(c *store.Credential) { c.Consumer.ID = "nobody" }), `consumer: there is none with id "nobody"`},
		{"consumer's id", a.CreateConsumer(ctx, store.Consumer{ID: "c1"}), `consumer: there is one with id "c1" already`},
		{"username", a.CreateConsumer(ctx, store.Consumer{ID: "new", Username: "user1"}), `consumer: there is one with username "user1" already`},
		{"custom id", a.CreateConsumer(ctx, store.Consumer{ID: "new", CustomID: "custom1"}), `consumer: there is one with custom_id "custom1" already`},
		{"no consumer id", a.CreateConsumer(ctx, store.Consumer{}), "consumer.id: it is missing"},
		{"renamed", rename(func(c *store.Consumer) { c.Username = "user1" }), `username "user1" already`},
		{"import twice", a.Import(ctx, nil, []store.Credential{credential("x", "same"), credential("y", "same")}), "this key already"},
		{"import of nobody", a.Import(ctx, nil, []store.Credential{unknown}), `none with id "nobody"`},
		{"import name", a.Import(ctx, []store.Consumer{{ID: "new", Username: "user1"}}, nil), `username "user1" already`},
		{"import without id", a.Import(ctx, []store.Consumer{{}}, nil), "consumer.id: it is missing"},
	} {
		require.ErrorContains(t, c.err, c.want, c.name)
	}
	_, err := a.UpdateCredential(ctx, "01", func(c *store.Credential) error { c.Disabled = true; return own })
	require.ErrorIs(t, err, own)
	c, err := a.Credential(ctx, "01")
	require.NoError(t, err)
	assert.False(t, c.Disabled)
	page, _, err := a.Credentials(ctx, store.CredentialQuery{Size: 100})
	require.NoError(t, err)
	assert.Len(t, page, 10, "nothing of all that was stored")

	// What a consumer has given up is free for others.
	require.NoError(t, rename(func(c *store.Consumer) { c.ID, c.Username = "other", "user9" }))
	require.NoError(t, a.CreateConsumer(ctx, store.Consumer{ID: "new", Username: "user0"}))
	o, err := a.Consumer(ctx, "user9")
	require.NoError(t, err)
	assert.Equal(t, "c0", o.ID, "an id stays")
}

func TestJournalAdminMoves(t *testing.T) {
	t.Parallel()
	a, ctx := filled(t), t.Context()
	moved, err := a.UpdateCredential(ctx, "00", func(c *store.Credential) error {
		c.Consumer = store.Consumer{ID: "c1"}
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, "user1", moved.Consumer.Username)
	require.NoError(t, a.DeleteConsumer(ctx, "c0"))
	_, err = a.Credential(ctx, "00")
	require.NoError(t, err)
	_, err = a.Credential(ctx, "03")
	require.ErrorIs(t, err, store.ErrNotFound)
	// A key that is imported under another id is one key all the same.
	require.NoError(t, a.Import(ctx, nil, []store.Credential{credential("imported", "k1")}))
	_, err = a.Credential(ctx, "01")
	require.ErrorIs(t, err, store.ErrNotFound)
	c, err := a.CredentialByDigest(ctx, digest("k1"))
	require.NoError(t, err)
	assert.Equal(t, "imported", c.ID)
}

func TestJournalAdminDeletesExpired(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	a, ctx := openAdmin(t, path), t.Context()
	gone, err := a.DeleteExpired(ctx, 100)
	require.NoError(t, err)
	assert.Empty(t, gone)
	assert.NoFileExists(t, path, "nothing to write")
	for id, at := range map[string]int64{"never": 0, "before": 99, "long before": 1, "then": 100, "later": 101} {
		c := credential(id, id)
		c.ExpiresAt = at
		require.NoError(t, a.CreateCredential(ctx, c))
	}
	gone, err = openAdmin(t, path).DeleteExpired(ctx, 100)
	require.NoError(t, err)
	require.Len(t, gone, 2)
	assert.Equal(t, "before", gone[0].ID)
	assert.Equal(t, "long before", gone[1].ID)
	for id, there := range map[string]bool{"never": true, "before": false, "long before": false, "then": true, "later": true} {
		_, err := a.CredentialByDigest(ctx, digest(id))
		assert.Equal(t, there, err == nil, id)
	}
}

func TestJournalAdminManyAtOnce(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	var wg sync.WaitGroup
	for p := range 4 {
		a := openAdmin(t, path)
		for n := range 4 {
			wg.Go(func() {
				for i := range 10 {
					id := fmt.Sprint(p, n, i)
					assert.NoError(t, a.CreateCredential(t.Context(), credential(id, id)))
				}
			})
		}
	}
	wg.Wait()
	page, _, err := openAdmin(t, path).Credentials(t.Context(), store.CredentialQuery{Size: 1000})
	require.NoError(t, err)
	assert.Len(t, page, 160)
}

func TestJournalAdminWaitsForTheLock(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	a := openAdmin(t, path)
	require.NoError(t, a.CreateCredential(t.Context(), credential("1", "a")))
	f, err := os.Open(path + ".lock")
	require.NoError(t, err)
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, a.CreateCredential(ctx, credential("2", "b")), context.Canceled)
	_, err = a.Credential(t.Context(), "1")
	require.NoError(t, err, "readers need no lock")
	require.NoError(t, f.Close())
	require.NoError(t, a.CreateCredential(t.Context(), credential("2", "b")))
}

// A folder that cannot be written to is an error of the change, and the file stays as it is.
func TestJournalAdminWithoutAFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := store.OpenJournalAdmin(filepath.Join(file, "keys.jsonl"))
	require.ErrorContains(t, err, "not a directory")
}

// What root writes into the folder of Kong's user belongs to that user, who has to read it.
func TestJournalAdminAsRoot(t *testing.T) {
	t.Parallel()
	prefix := t.TempDir()
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(prefix, 65534, 65534))
	}
	want, err := os.Stat(prefix)
	require.NoError(t, err)
	path := filepath.Join(prefix, "keyauth", "keys.jsonl")
	require.NoError(t, openAdmin(t, path).CreateCredential(t.Context(), credential("1", "a")))
	for _, name := range []string{filepath.Dir(path), path, path + ".lock", path + ".lock.next"} {
		got, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, want.Sys().(*syscall.Stat_t).Uid, got.Sys().(*syscall.Stat_t).Uid, name)
	}
}
