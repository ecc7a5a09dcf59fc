package store

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
)

func TestUnshared(t *testing.T) {
	t.Parallel()
	prefix := t.TempDir()
	path := filepath.Join(prefix, "keyauth", "keys.jsonl")
	for settings, want := range map[string]string{
		"":                                 "",
		"role = traditional\ndatabase=off": "",
		"database = postgres\npg_password = hunter2\nrole = traditional\n": "where other nodes share its Kong's database, mirror them to a Redis",
		"role = data_plane\ndatabase = off":                                "count on this node alone; where its control plane has other data planes",
		"database = postgres\nrole=control_plane":                          "count nowhere, because this node is a control plane",
		"# role = data_plane\nxrole = data_plane\nrole":                    "",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(prefix, ".kong_env"), []byte(settings), 0o600))
		text := Unshared(path)
		assert.Equal(t, want == "", text == "", settings)
		assert.Contains(t, text, want, settings)
		assert.NotContains(t, text, "hunter2")
	}
	assert.Empty(t, Unshared(filepath.Join(t.TempDir(), "keys.jsonl")), "it may be on a shared volume")
}

// The plugin's reader says it once.
func TestJournalSaysThatItIsUnshared(t *testing.T) {
	t.Parallel()
	prefix := t.TempDir()
	path := filepath.Join(prefix, "keyauth", "keys.jsonl")
	require.NoError(t, os.WriteFile(filepath.Join(prefix, ".kong_env"), []byte("role = data_plane\n"), 0o600))
	var log bytes.Buffer
	j := OpenJournal(path, new(key.Hasher), slog.New(slog.NewTextHandler(&log, nil)))
	admin, err := OpenJournalAdmin(path)
	require.NoError(t, err)
	for _, id := range []string{"a", "b"} {
		require.NoError(t, admin.CreateConsumer(t.Context(), Consumer{ID: id, Username: id}))
		j.Refresh()
	}
	require.NoError(t, j.Close())
	require.NoError(t, admin.Close())
	assert.Equal(t, 1, strings.Count(log.String(), "count on this node alone"), "%s", &log)
}
