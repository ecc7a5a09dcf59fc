package store_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/store"
)

// However much of a keys file is copied over it, in its place, a part never takes the place of the whole; the plugin and the
// commands say so. A whole copy does.
func TestHalfACopyOfAKeysFile(t *testing.T) {
	t.Parallel()
	for name, compacted := range map[string]bool{"appended": false, "written anew": true} {
		path := filepath.Join(t.TempDir(), "keys.jsonl")
		admin, err := store.OpenJournalAdmin(path)
		require.NoError(t, err)
		require.NoError(t, admin.CreateCredential(t.Context(), credential("1", "a")))
		require.NoError(t, admin.CreateCredential(t.Context(), credential("2", "b")))
		for i := 0; compacted && i < 1100; i++ { // so often that the file is written anew
			_, err := admin.UpdateCredential(t.Context(), "1", func(c *store.Credential) error { c.Tags = []string{fmt.Sprint(i)}; return nil })
			require.NoError(t, err)
		}
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		j := store.OpenJournal(path, &hasher, quiet)
		require.True(t, has(j, "a") && has(j, "b"), name)
		written := 1 // lines that the file had when it was written; what was appended can be taken back
		if compacted {
			written = 3
		}
		for n := range len(whole) {
			if n > 0 && whole[n-1] == '\n' && bytes.Count(whole[:n], []byte{'\n'}) >= written {
				continue
			}
			if n%97 != 0 && n < len(whole)-150 {
				continue
			}
			require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
			j.Refresh()
			require.Error(t, j.Health(), "%s: %d of %d bytes", name, n, len(whole))
			require.True(t, has(j, "a") && has(j, "b"), "%s: %d of %d bytes", name, n, len(whole))
		}
		require.NoError(t, os.WriteFile(path, whole, 0o600))
		j.Refresh()
		require.NoError(t, j.Health())
		require.True(t, has(j, "a") && has(j, "b"))
		require.NoError(t, j.Close())
	}
}

func TestHalfACopyIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	const header = `{"format":"keyauth-keys","version":1,"id":"A","lines":2}` + "\n"
	require.NoError(t, os.WriteFile(path, []byte(header+`{"consumer":{"id":"c1"}}`+"\n"+`{"key":{"id":"1",`), 0o600))
	_, err := store.OpenJournalAdmin(path)
	require.ErrorContains(t, err, "the file has 2 lines and was written with 3: it is half a copy; put a whole one in its place")
	j := store.OpenJournal(path, &hasher, quiet)
	_, err = j.Lookup(t.Context(), digest("a"))
	require.ErrorContains(t, err, "half a copy")
	require.NotErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, j.Close())
}

// YAML that was cut off within a line is no file with fewer keys.
func TestHalfADeclarativeFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kong.yml")
	const before = "_format_version: \"3.0\"\nconsumers:\n- username: alice\n  keyauth_credentials: [{key: a}]\n"
	const after = before + "- username: bob\n  keyauth_credentials: [{key: b}]\n"
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write(before)
	d := store.OpenDeclarative(path, &hasher, quiet)
	t.Cleanup(func() { assert.NoError(t, d.Close()) })
	require.True(t, has(d, "a"))
	for n := range len(after) {
		if n == len(before) || n > 0 && after[n-1] == '\n' {
			continue
		}
		write(after[:n])
		d.Refresh()
		require.Error(t, d.Health(), after[:n])
		require.True(t, has(d, "a"), after[:n])
	}
	write(after)
	d.Refresh()
	require.NoError(t, d.Health())
	require.True(t, has(d, "a") && has(d, "b"))

	require.NoError(t, os.WriteFile(path+".new", []byte("_format_version: \"3.0\"\nkeyauth_credentials: [{key: c, consumer: x}]"), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
	d.Refresh()
	require.NoError(t, d.Health(), "a file that was put into its place is whole")
	require.True(t, has(d, "c"))
}
