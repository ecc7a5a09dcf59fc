package store

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
)

// still ends the polling of a file: only the test looks at it from now on.
func still(w *watched) {
	w.close()
	w.stop = make(chan struct{}) // for the Close of its owner
}

func holds(t *testing.T, s Store, keys ...string) bool {
	t.Helper()
	for _, k := range keys {
		if _, err := s.Lookup(t.Context(), new(key.Hasher).Hash([]byte(k)).Digest); err != nil {
			require.ErrorIs(t, err, ErrNotFound)
			return false
		}
	}
	return true
}

func lineEnds(text []byte) (ends []int) {
	for n := range text {
		if text[n] == '\n' {
			ends = append(ends, n+1)
		}
	}
	return ends
}

// YAML that is read exactly when a line of it has been written looks like a file with fewer keys; it is not taken while it grows.
func TestADeclarativeFileThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	text := []byte("_format_version: \"3.0\"\nkeyauth_credentials:\n")
	for _, k := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		text = fmt.Appendf(text, "- {key: %s, consumer: x}\n", k)
	}
	for name, begin := range map[string]func(path string) error{
		"in its place":          func(string) error { return nil },
		"after it was removed":  os.Remove,
		"after it was put away": func(path string) error { return os.Rename(path, path+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kong.yml")
			require.NoError(t, os.WriteFile(path, text, 0o600))
			d := OpenDeclarative(path, new(key.Hasher), slog.New(slog.DiscardHandler))
			t.Cleanup(func() { assert.NoError(t, d.Close()) })
			still(&d.file)
			require.NoError(t, begin(path))
			d.file.look(false)
			for i, n := range lineEnds(text)[2:] {
				require.NoError(t, os.WriteFile(path, text[:n], 0o600))
				at := time.Now().Add(time.Duration(i+1) * time.Second) // the system's clock of files may not have moved since the beginning
				require.NoError(t, os.Chtimes(path, at, at))
				d.file.look(false)
				require.True(t, holds(t, d, "a", "l"), "%d bytes", n)
				if i < maxUnsettled-2 {
					require.NoError(t, d.Health(), "%d bytes", n)
				}
			}
			require.ErrorContains(t, d.Health(), "it changes all the time and is not read meanwhile")
			changed := bytes.Replace(text, []byte("key: l"), []byte("key: L"), 1)
			require.NoError(t, os.WriteFile(path, append(changed, '\n'), 0o600))
			d.file.look(false)
			require.True(t, holds(t, d, "a", "l"))
			d.file.look(false)
			require.NoError(t, d.Health())
			require.True(t, holds(t, d, "a", "L"))
			require.False(t, holds(t, d, "l"))
		})
	}
}

// As long as nothing is known there is nothing to keep.
func TestAFirstDeclarativeFileIsReadAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kong.yml")
	d := OpenDeclarative(path, new(key.Hasher), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	still(&d.file)
	require.NoError(t, os.WriteFile(path, []byte("_format_version: \"3.0\"\nkeyauth_credentials: [{key: a, consumer: x}]\n"), 0o600))
	d.file.look(false)
	require.True(t, holds(t, d, "a"))
	require.NoError(t, d.Health())
}

// A copy of a keys file does not take its place before it is whole, also where it is read at the end of an appended line.
func TestAKeysFileThatIsBeingCopied(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	admin, err := OpenJournalAdmin(path)
	require.NoError(t, err)
	create := func(id string) {
		t.Helper()
		require.NoError(t, admin.CreateCredential(t.Context(), Credential{Entry: Entry{ID: id}, Hash: new(key.Hasher).Hash([]byte(id))}))
	}
	create("a")
	j := OpenJournal(path, new(key.Hasher), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { assert.NoError(t, j.Close()) })
	still(&j.file)
	for _, id := range []string{"b", "c", "d"} {
		create(id)
		j.file.look(false)
		require.True(t, holds(t, j, "a", id), "what is appended counts at once")
	}
	require.NoError(t, admin.DeleteCredential(t.Context(), "b"))
	j.file.look(false)
	require.False(t, holds(t, j, "b"), "and what is revoked")
	require.NoError(t, admin.Close())

	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, begin := range map[string]func(string) error{"in its place": func(string) error { return nil }, "after it was removed": os.Remove} {
		require.NoError(t, begin(path))
		for _, n := range append([]int{0}, lineEnds(whole)[:4]...) {
			require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
			j.file.look(false)
			require.True(t, holds(t, j, "a", "c", "d"), "%s: %d bytes", name, n)
		}
		require.NoError(t, os.WriteFile(path, whole, 0o600))
		j.file.look(false)
		j.file.look(false)
		require.NoError(t, j.Health())
		require.True(t, holds(t, j, "a", "c", "d"), name)
		require.False(t, holds(t, j, "b"), name)
	}
}

// A keys file that was put into place whole, and to which admins append without a pause, is not waited for for ever.
func TestAKeysFileThatNeverSettles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	admin, err := OpenJournalAdmin(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, admin.Close()) })
	create := func(id string) {
		t.Helper()
		require.NoError(t, admin.CreateCredential(t.Context(), Credential{Entry: Entry{ID: id}, Hash: new(key.Hasher).Hash([]byte(id))}))
	}
	create("a")
	j := OpenJournal(path, new(key.Hasher), slog.New(slog.DiscardHandler))
	t.Cleanup(func() { assert.NoError(t, j.Close()) })
	still(&j.file)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", whole, 0o600))
	require.NoError(t, os.Rename(path+".new", path))
	for i := range maxJournalWait + 1 {
		create(fmt.Sprint("k", i))
		j.file.look(false)
		require.Equal(t, i == maxJournalWait, holds(t, j, fmt.Sprint("k", i)), i)
	}
	require.NoError(t, j.Health())
	create("later")
	j.file.look(false)
	require.True(t, holds(t, j, "a", "k0", "later"))
}
