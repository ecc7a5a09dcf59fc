package cli

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/redistest"
	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// A node's keys file is mirrored into a Redis, where readers find each key until it is revoked.
func TestMirror(t *testing.T) {
	server := redistest.Start(t)
	dir := t.TempDir()
	urlFile := filepath.Join(dir, "url")
	require.NoError(t, os.WriteFile(urlFile, []byte("redis://"+server.Addr()+"/0\n"), 0o600))
	reader, err := store.OpenRedis(store.RedisOptions{URL: "redis://" + server.Addr(), Timeout: time.Minute}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, reader.Close()) })
	keys := func(args ...string) (out, errs string, status int) {
		var o, e bytes.Buffer
		status = run(append(args, "-store", filepath.Join(dir, "keys.jsonl")), streams{strings.NewReader(""), &o, &e, time.Now, outlives})
		return o.String(), e.String(), status
	}
	known := func(k string) bool {
		e, err := store.Find(t.Context(), reader, []byte(k), new(key.Hasher).Digests([]byte(k)))
		if err != nil {
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		return err == nil && e.Consumer.Username == "alice"
	}
	_, errs, status := keys("mirror", "-redis-url-file", urlFile)
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "keys.jsonl does not exist; nothing was mirrored")

	out, errs, status := keys("create", "-consumer", "alice", "-create-consumer")
	require.Zero(t, status, errs)
	secret := strings.TrimSpace(out)
	out, errs, status = keys("mirror", "-redis-url-file", urlFile)
	require.Zero(t, status, errs)
	assert.Equal(t, []string{"1", "keys", "in"}, strings.Fields(out)[:3])
	assert.Contains(t, out, "2  entries written")
	assert.True(t, known(secret))
	out, _, _ = keys("mirror", "-redis-url-file", urlFile, "-o", "json")
	assert.JSONEq(t, `{"keys":1,"written":0,"removed":0}`, out, "all is there")

	admin, err := store.OpenJournalAdmin(filepath.Join(dir, "keys.jsonl"))
	require.NoError(t, err)
	page, _, err := admin.Credentials(t.Context(), store.CredentialQuery{Size: 10})
	require.NoError(t, err)
	require.NoError(t, admin.Close())
	_, errs, status = keys("revoke", page[0].ID)
	require.Zero(t, status, errs)
	_, errs, status = keys("mirror", "-redis-url-file", urlFile)
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "has no key, and the Redis has some: nothing was changed; -empty takes them out")
	assert.True(t, known(secret))
	_, errs, status = keys("mirror", "-redis-url-file", urlFile, "-empty")
	require.Zero(t, status, errs)
	assert.False(t, known(secret))
}

// What is wrong with the address is said without showing it.
func TestMirrorOfAWrongAddress(t *testing.T) {
	dir := t.TempDir()
	for url, want := range map[string]string{
		"redis://u:secret@h:port":      "-redis-url-file: it cannot be read; write special characters",
		"secret":                       "-redis-url-file: want redis://",
		"redis://u:secret@127.0.0.1:1": "connection refused",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "url"), []byte(url), 0o600))
		var out, errs bytes.Buffer
		status := run([]string{"mirror", "-empty", "-redis-url-file", filepath.Join(dir, "url"), "-store", filepath.Join(dir, "keys.jsonl")}, streams{strings.NewReader(""), &out, &errs, time.Now, outlives})
		assert.Equal(t, 1, status, url)
		assert.Contains(t, errs.String(), want)
		assert.NotContains(t, errs.String(), "secret")
	}
}

// With -follow changes arrive, also after the Redis was away and has lost everything.
func TestMirrorFollows(t *testing.T) {
	server := redistest.Start(t)
	dir := t.TempDir()
	path, urlFile := filepath.Join(dir, "keys.jsonl"), filepath.Join(dir, "url")
	require.NoError(t, os.WriteFile(urlFile, []byte("redis://"+server.Addr()), 0o600))
	ctx, stop := context.WithCancel(t.Context())
	var errs lockedBuffer
	now := func() time.Time { return today } // so that the time for everything never comes
	s := &session{streams: streams{strings.NewReader(""), &lockedBuffer{}, &errs, now, outlives}, common: &common{store: path, output: "table"}, ctx: ctx}
	done := make(chan error, 1)
	go func() { done <- (&mirror{urlFile: urlFile, prefix: "keyauth:", follow: true}).run(s) }()
	t.Cleanup(func() { // before the server ends
		stop()
		assert.NoError(t, <-done)
	})
	reader, err := store.OpenRedis(store.RedisOptions{URL: "redis://" + server.Addr()}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, reader.Close()) })
	known := func(k string) bool {
		_, err := reader.Lookup(t.Context(), new(key.Hasher).Hash([]byte(k)).Digest)
		return err == nil
	}
	admin, err := store.OpenJournalAdmin(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, admin.Close()) })
	create := func(k string) {
		require.NoError(t, admin.CreateCredential(t.Context(), store.Credential{Entry: store.Entry{ID: store.NewID(), ConsumerRef: "bob"}, Hash: new(key.Hasher).Hash([]byte(k))}))
	}
	const patience = time.Minute
	require.Eventually(t, func() bool { return strings.Contains(errs.String(), "does not exist") }, patience, 5*time.Millisecond)
	create("a")
	require.Eventually(t, func() bool { return known("a") }, patience, 5*time.Millisecond)
	server.Kill()
	create("b")
	require.Eventually(t, func() bool { return strings.Contains(errs.String(), "connection refused") }, patience, 5*time.Millisecond)
	server.Restart(t)
	require.Eventually(t, func() bool { return known("a") && known("b") }, patience, 5*time.Millisecond)
	require.NoError(t, server.Client(t).FlushAll(t.Context()).Err()) // or it was back before anybody looked
	require.Eventually(t, func() bool { return known("a") && known("b") }, patience, 5*time.Millisecond)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
