package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

func journalPath(t *testing.T) string { return filepath.Join(t.TempDir(), "keyauth", "keys.jsonl") }

func openAdmin(t *testing.T, path string) *store.JournalAdmin {
	t.Helper()
	a, err := store.OpenJournalAdmin(path)
	require.NoError(t, err)
	return a
}

func follow(t *testing.T, path string, log *slog.Logger) *store.Journal {
	t.Helper()
	j := store.OpenJournal(path, &hasher, log)
	t.Cleanup(func() { assert.NoError(t, j.Close()) })
	return j
}

func credential(id, k string) store.Credential {
	return store.Credential{Entry: store.Entry{ID: id}, Hash: hasher.Hash([]byte(k))}
}

// A follower is a store that looks at a file.
type follower interface{ Refresh() }

// soon has the file looked at.
func soon(t *testing.T, f follower, what string, ok func() bool) {
	t.Helper()
	f.Refresh()
	require.True(t, ok(), what)
}

func has(s store.Store, k string) bool {
	_, err := s.Lookup(context.Background(), digest(k))
	return err == nil
}

func TestJournalIsForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	a := openAdmin(t, path)
	require.NoError(t, a.CreateCredential(t.Context(), credential("1", "a")))
	for name, mode := range map[string]os.FileMode{filepath.Dir(path): 0o700 | os.ModeDir, path: 0o600, path + ".lock": 0o600, path + ".lock.next": 0o600} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode(), name)
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Regexp(t, `^{"format":"keyauth-keys","version":1,"id":"[A-Z2-7]{26}"}
{"key":{"id":"1","hash":"sha256::ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs"}}
$`, string(text))
}

func TestJournalFollowsEveryChange(t *testing.T) {
	t.Parallel()
	path, ctx := journalPath(t), t.Context()
	a := openAdmin(t, path)
	other := openAdmin(t, path) // as another process has
	alice := store.Consumer{ID: "c1", Username: "alice"}
	old := credential("1", "a")
	old.ConsumerRef = "c1" // known only later
	require.NoError(t, a.CreateCredential(ctx, old))
	j := follow(t, path, quiet)
	assert.Equal(t, &store.Entry{ID: "1", ConsumerRef: "c1"}, lookup(t, j, "a"))

	require.NoError(t, other.CreateConsumer(ctx, alice))
	soon(t, j, "the consumer", func() bool { return lookup(t, j, "a").Consumer.Username == "alice" })
	_, err := a.UpdateConsumer(ctx, "c1", func(c *store.Consumer) error { c.Username = "bob"; return nil })
	require.NoError(t, err)
	c2 := credential("2", "b")
	c2.Consumer.ID = "c1"
	require.NoError(t, other.CreateCredential(ctx, c2))
	soon(t, j, "the key", func() bool { return has(j, "b") })
	assert.Equal(t, "bob", lookup(t, j, "b").Consumer.Username)
	assert.Equal(t, "bob", lookup(t, j, "a").Consumer.Username)

	changed, err := other.UpdateCredential(ctx, "2", func(c *store.Credential) error {
		c.Hash, c.Disabled = hasher.Hash([]byte("c")), true
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, "bob", changed.Consumer.Username)
	soon(t, j, "another hash", func() bool { return has(j, "c") })
	assert.False(t, has(j, "b"), "the old key is gone with the same change")
	assert.True(t, lookup(t, j, "c").Disabled)

	require.NoError(t, a.DeleteCredential(ctx, "1"))
	soon(t, j, "the key is gone", func() bool { return !has(j, "a") })
	require.NoError(t, a.DeleteConsumer(ctx, "c1"))
	soon(t, j, "its keys too", func() bool { return !has(j, "c") })
	require.NoError(t, a.CreateConsumer(ctx, alice))
	assert.False(t, has(j, "c"))
	require.NoError(t, j.Health())

	again := follow(t, path, quiet)
	for _, k := range []string{"a", "b", "c"} {
		assert.False(t, has(again, k), "reading from the start says the same")
	}
}

// TestJournalTailAgainstWhole makes random changes; following them and reading the file anew must say the same.
func TestJournalTailAgainstWhole(t *testing.T) {
	t.Parallel()
	path, ctx := journalPath(t), t.Context()
	a := openAdmin(t, path)
	require.NoError(t, a.CreateCredential(ctx, credential("0", "k0")))
	j := follow(t, path, quiet)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		for range 60 {
			id, consumer := fmt.Sprint(rnd.IntN(20)), fmt.Sprint("c", rnd.IntN(4))
			k := fmt.Sprint("k", rnd.IntN(30))
			var err error
			switch rnd.IntN(6) {
			case 0, 1:
				c := credential(id, k)
				c.ConsumerRef = consumer
				err = a.CreateCredential(ctx, c)
			case 2:
				_, err = a.UpdateCredential(ctx, id, func(c *store.Credential) error { c.Hash = hasher.Hash([]byte(k)); return nil })
			case 3:
				err = a.DeleteCredential(ctx, id)
			case 4:
				err = a.CreateConsumer(ctx, store.Consumer{ID: consumer, Username: consumer + k})
			case 5:
				err = a.DeleteConsumer(ctx, consumer)
			}
			var conflict *store.ConflictError
			if err != nil && !errors.As(err, &conflict) {
				require.ErrorIs(t, err, store.ErrNotFound)
			}
		}
		require.NoError(t, a.Import(ctx, nil, []store.Credential{credential("mark", fmt.Sprint("mark", rnd.Uint64()))}))
		mark, err := a.Credential(ctx, "mark")
		require.NoError(t, err)
		soon(t, j, "the mark", func() bool { _, err := j.Lookup(ctx, mark.Hash.Digest); return err == nil })
		whole := follow(t, path, quiet)
		for n := range 30 {
			k := fmt.Sprint("k", n)
			assert.Equal(t, lookup(t, whole, k), lookup(t, j, k), k)
			c, err := a.CredentialByDigest(ctx, digest(k))
			if e := lookup(t, j, k); e == nil {
				assert.ErrorIs(t, err, store.ErrNotFound, k)
			} else {
				assert.Equal(t, *e, c.Entry, k)
			}
		}
	}
}

func TestJournalIsCompacted(t *testing.T) {
	t.Parallel()
	path, ctx := journalPath(t), t.Context()
	a := openAdmin(t, path)
	require.NoError(t, a.CreateConsumer(ctx, store.Consumer{ID: "c", Username: "alice"}))
	c := credential("1", "a")
	c.Consumer.ID = "c"
	require.NoError(t, a.CreateCredential(ctx, c))
	j := follow(t, path, quiet)
	require.NoError(t, os.WriteFile(path+".new-left", nil, 0o600))
	for n := range 1100 {
		_, err := a.UpdateCredential(ctx, "1", func(c *store.Credential) error { c.CreatedAt = int64(n); return nil })
		require.NoError(t, err)
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Less(t, strings.Count(string(text), "\n"), 200)
	soon(t, j, "the last change", func() bool { return lookup(t, j, "a").CreatedAt == 1099 })
	assert.Equal(t, "alice", lookup(t, j, "a").Consumer.Username)
	left, err := filepath.Glob(path + ".new-*")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestJournalKeepsTheLastGoodFile(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	require.NoError(t, openAdmin(t, path).CreateCredential(t.Context(), credential("1", "a")))
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	const line = `{"key":{"id":"2","hash":"sha256::ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"}}`
	for _, c := range []struct{ name, text, want string }{
		{"no JSON", string(good) + "secret-key\n", "line 3: it is not one JSON object"},
		{"empty", "", "line 1: the header is missing"},
		{"no header", line + "\n", "line 1: format: want the header"},
		{"newer", `{"format":"keyauth-keys","version":2}` + "\n", "line 1: version: 2 is not known here"},
		{"two headers", string(good) + string(good), "line 3: format: a header in the middle"},
		{"two in a line", string(good) + line + line + "\n", "line 3: it is not one JSON object"},
		{"blank line", string(good) + "\n" + line + "\n", "line 3: it is not one JSON object"},
		{"field twice", string(good) + strings.Replace(line, `"id"`, `"id":"3","id"`, 1) + "\n", "line 3: it is not one JSON object"},
		{"not UTF-8", string(good) + strings.Replace(line, `"2"`, "\"\xff\"", 1) + "\n", "line 3: it is not one JSON object"},
		{"list", string(good) + "[]\n", "line 3: want an object, not a list"},
		{"number", string(good) + strings.Replace(line, `"id"`, `"expires_at":1e99,"id"`, 1) + "\n", "line 3: key.expires_at: want a whole number, not this number"},
		{"over two lines", string(good) + strings.Replace(line, ",", ",\n", 1) + "\n", "line 3: it is not one JSON object"},
		{"unknown field", string(good) + strings.Replace(line, `"id"`, `"ip":"x","id"`, 1) + "\n", "line 3: key.ip: this field is unknown"},
		{"unknown kind", string(good) + `{}` + "\n", "line 3: want one of consumer, key"},
		{"key in clear", string(good) + strings.Replace(line, "sha256::ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", "secret-key", 1) + "\n", "line 3: key.hash: is no stored digest"},
		{"no id", string(good) + strings.Replace(line, `"id":"2"`, `"id":""`, 1) + "\n", "line 3: key.id: it is missing"},
		{"no hash", string(good) + `{"key":{"id":"2"}}` + "\n", "line 3: key.hash: it is missing"},
		{"type", string(good) + `{"key":{"id":2}}` + "\n", "line 3: key.id: want text, not this number"},
		{"cidr", string(good) + strings.Replace(line, `"id"`, `"cidrs":["10.0.0.1"],"id"`, 1) + "\n", "line 3: key.cidrs.0: want an address with a length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "keys.jsonl")
			require.NoError(t, os.WriteFile(path, good, 0o600))
			var log strings.Builder
			var mu sync.Mutex
			j := follow(t, path, slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil)))
			require.True(t, has(j, "a"))
			require.NoError(t, os.WriteFile(path+".x", []byte(c.text), 0o600))
			require.NoError(t, os.Rename(path+".x", path))
			soon(t, j, "the error", func() bool { return j.Health() != nil })
			assert.True(t, has(j, "a"), "the good one stays")
			assert.False(t, has(j, "abc"), "nothing of the broken one is used")
			assert.ErrorContains(t, j.Health(), c.want)
			assert.NotContains(t, j.Health().Error(), "secret-key")
			mu.Lock()
			assert.Contains(t, log.String(), strings.ReplaceAll(strings.Split(c.want, `"`)[0], "\n", ""))
			mu.Unlock()

			_, err := store.OpenJournalAdmin(path)
			assert.ErrorContains(t, err, c.want, "and nobody writes behind it")
			fresh := follow(t, path, quiet)
			_, err = fresh.Lookup(t.Context(), digest("a"))
			require.ErrorContains(t, err, c.want, "without a good one nothing can be answered")
			assert.NotErrorIs(t, err, store.ErrNotFound)
			require.NoError(t, os.WriteFile(path, good, 0o600))
			fresh.Refresh()
			soon(t, j, "it is put right", func() bool { return has(fresh, "a") && j.Health() == nil })
		})
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func TestJournalWithoutAFile(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	j := follow(t, path, quiet)
	assert.False(t, has(j, "a"))
	require.NoError(t, j.Health())
	require.NoError(t, openAdmin(t, path).CreateCredential(t.Context(), credential("1", "a")))
	require.Eventually(t, func() bool { return has(j, "a") }, time.Minute, 10*time.Millisecond, "it looks by itself")
	require.NoError(t, os.Remove(path))
	soon(t, j, "the file is gone", func() bool { return j.Health() != nil })
	assert.True(t, has(j, "a"), "a file that vanishes takes no key along")
}

// An edit that leaves the size as it was is seen by the administrator too, who would undo it otherwise.
func TestJournalAdminSeesAnEdit(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	a := openAdmin(t, path)
	c := credential("1", "a")
	c.CreatedAt = 1111
	require.NoError(t, a.CreateCredential(t.Context(), c))
	require.NoError(t, a.CreateCredential(t.Context(), credential("2", "b")))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), "1111", "2222", 1)), 0o600))
	later := time.Now().Add(time.Second) // the system's clock of files may not have moved since the last change
	require.NoError(t, os.Chtimes(path, later, later))
	c, err = a.Credential(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, int64(2222), c.CreatedAt)
}

// An edit in place, as some editors make it, is seen although the file only grew.
func TestJournalEditedInPlace(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	a := openAdmin(t, path)
	for _, id := range []string{"1", "2"} {
		require.NoError(t, a.CreateCredential(t.Context(), credential(id, "k"+id)))
	}
	j := follow(t, path, quiet)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), `"id":"1",`, `"id":"1","disabled":true,`, 1)), 0o600))
	soon(t, j, "the edit", func() bool { return lookup(t, j, "k1").Disabled })
	c, err := a.Credential(t.Context(), "1")
	require.NoError(t, err)
	assert.True(t, c.Disabled)
}

// What a killed writer left behind the last whole line is no error, and the next writer removes it.
func TestJournalHalfALine(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	a := openAdmin(t, path)
	require.NoError(t, a.CreateCredential(t.Context(), credential("1", "a")))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"key":{"id":"2","ha`)
	require.NoError(t, errors.Join(err, f.Close()))
	j := follow(t, path, quiet)
	assert.True(t, has(j, "a"))
	require.NoError(t, openAdmin(t, path).CreateCredential(t.Context(), credential("3", "c")))
	soon(t, j, "the next key", func() bool { return has(j, "c") })
	require.NoError(t, j.Health())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.NotContains(t, string(text), `"id":"2"`)
}

// Keys that no request can find are reported, and the others count.
func TestJournalWithUnknownPeppers(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	peppered, err := key.NewHasher("a-pepper-of-many-bytes")
	require.NoError(t, err)
	a := openAdmin(t, path)
	foreign := credential("2", "b")
	foreign.Hash = peppered.Hash([]byte("b"))
	require.NoError(t, a.CreateCredential(t.Context(), credential("1", "a")))
	j := follow(t, path, quiet)
	require.NoError(t, j.Health())
	require.NoError(t, a.CreateCredential(t.Context(), foreign))
	soon(t, j, "a report", func() bool { return j.Health() != nil })
	require.ErrorContains(t, j.Health(), "1 keys cannot be found, because their hashes were made with a pepper that is not configured (its id: "+foreign.Hash.Pepper+")")
	assert.True(t, has(j, "a"))
	require.ErrorContains(t, follow(t, path, quiet).Health(), "1 keys cannot be found")
	own := store.OpenJournal(path, peppered, quiet)
	require.NoError(t, own.Health())
	require.NoError(t, own.Close())
	require.NoError(t, a.DeleteCredential(t.Context(), "2"))
	soon(t, j, "its end", func() bool { return j.Health() == nil })
}

func TestMain(m *testing.M) {
	if path := os.Getenv("KEYAUTH_TEST_WRITER"); path != "" {
		writeForever(path, os.Getenv("KEYAUTH_TEST_NAME"))
	}
	// The first one replaces the Redis library's log, which is a plain variable that clients read: before there are others.
	if r, err := store.OpenRedis(store.RedisOptions{URL: "redis://127.0.0.1:1"}, quiet); err == nil {
		_ = r.Close()
	}
	code := m.Run()
	for _, f := range ended {
		f()
	}
	os.Exit(code)
}

// writeForever creates keys and prints the name of each one that was accepted.
func writeForever(path, name string) {
	a, err := store.OpenJournalAdmin(path)
	if err != nil {
		panic(err)
	}
	for n := 0; ; n++ {
		k := fmt.Sprintf("%s-%d", name, n)
		if err := a.CreateCredential(context.Background(), credential(k, k)); err != nil {
			panic(err)
		}
		fmt.Println(k)
		if n%3 == 0 { // so that the file is compacted now and then
			for range 30 {
				if _, err := a.UpdateCredential(context.Background(), k, func(c *store.Credential) error { c.CreatedAt++; return nil }); err != nil {
					panic(err)
				}
			}
		}
	}
}

// Processes write one file at once and are killed without warning. Whatever they had announced is there.
func TestJournalSurvivesKills(t *testing.T) {
	t.Parallel()
	path := journalPath(t)
	j := follow(t, path, quiet)
	accepted := map[string]bool{}
	for round := range 6 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for p := range 3 {
			cmd := exec.Command(os.Args[0])
			name := fmt.Sprintf("w%d-%d", round, p)
			cmd.Env = append(os.Environ(), "KEYAUTH_TEST_WRITER="+path, "KEYAUTH_TEST_NAME="+name)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			wg.Go(func() {
				lines := bufio.NewScanner(out)
				for n := 0; lines.Scan(); n++ {
					mu.Lock()
					accepted[lines.Text()] = true
					mu.Unlock()
					if n == 5+7*p+round {
						assert.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
					}
				}
				assert.ErrorContains(t, cmd.Wait(), "killed")
			})
		}
		wg.Wait()
	}
	require.Greater(t, len(accepted), 200)
	a := openAdmin(t, path)
	for k := range accepted {
		_, err := a.CredentialByDigest(t.Context(), digest(k))
		require.NoError(t, err, k)
		soon(t, j, k, func() bool { return has(j, k) })
	}
	require.NoError(t, j.Health())
}

// BenchmarkJournalLoad reads a file of a million keys and reports the memory that one takes.
func BenchmarkJournalLoad(b *testing.B) {
	path := filepath.Join(b.TempDir(), "keys.jsonl")
	a, err := store.OpenJournalAdmin(path)
	require.NoError(b, err)
	consumers, keys := make([]store.Consumer, million/10), make([]store.Credential, million)
	for n := range consumers {
		consumers[n] = store.Consumer{ID: fmt.Sprintf("10000000-0000-4000-8000-%012d", n), Username: fmt.Sprintf("user-%d", n)}
	}
	for n := range keys {
		keys[n] = credential(fmt.Sprintf("00000000-0000-4000-8000-%012d", n), numbered(n))
		keys[n].Consumer.ID, keys[n].Hint, keys[n].CreatedAt = consumers[n/10].ID, "key_...abcd", 1700000000
	}
	require.NoError(b, a.Import(b.Context(), consumers, keys))
	a, consumers, keys = nil, nil, nil
	before := heap()
	var j *store.Journal
	for b.Loop() {
		if j != nil {
			require.NoError(b, j.Close())
		}
		j = store.OpenJournal(path, &hasher, quiet)
		require.Equal(b, million, j.Len())
	}
	b.ReportMetric(float64(heap()-before)/million, "B/key")
	require.NoError(b, j.Close())
	runtime.KeepAlive(j)
}
