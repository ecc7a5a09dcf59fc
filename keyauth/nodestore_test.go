package keyauth

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/keyauth/store"
)

// The node's files count behind the configuration's credentials, and are followed while Kong runs.
func TestNodeStore(t *testing.T) {
	dir := t.TempDir()
	file, snapshot := filepath.Join(dir, "kong.yml"), filepath.Join(dir, "new", "keys.jsonl")
	write := func(text string) {
		require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	write("_format_version: \"3.0\"\nconsumers:\n- username: bob\n  keyauth_credentials: [{key: from-the-file}]\n")
	g := startGateway(t, builtPlugin,
		route{"/", []string{"file: " + file, "snapshot: " + snapshot}},
		route{"/absent", []string{"file: " + dir + "/nowhere.yml"}})
	status := func(path, key string) int { return g.Send("GET", path, "", "apikey", key).Status }
	assert.Equal(t, 200, status("/", bobsKey))
	assert.Equal(t, 200, status("/", "from-the-file"))
	assert.Equal(t, 401, status("/", "later"))
	becomes := func(want int, key string) {
		t.Helper()
		assert.Eventually(t, func() bool { return status("/", key) == want }, kongdevtest.Patience, 20*time.Millisecond)
	}

	write("_format_version: \"3.0\"\nconsumers:\n- username: bob\n  keyauth_credentials: [{key: later}]\n")
	becomes(200, "later")
	assert.Equal(t, 401, status("/", "from-the-file"))
	write("broken: [")
	g.WaitLog(file)
	assert.Equal(t, 200, status("/", "later"), "what the file said before stays")

	admin, err := store.OpenJournalAdmin(snapshot)
	require.NoError(t, err)
	defer func() { _ = admin.Close() }()
	config := configOf(t, `{"credentials":[{"digest":"`+digestOf(t, "written")+`","consumer":"bob"}]}`)
	s, err := config.check()
	require.NoError(t, err)
	require.NoError(t, admin.Import(t.Context(), nil, s.stores.credentials))
	becomes(200, "written")
	require.NoError(t, admin.DeleteCredential(t.Context(), s.stores.credentials[0].ID))
	becomes(401, "written")

	assert.Equal(t, 200, status("/absent", bobsKey), "the configuration's credentials come first")
	assert.Equal(t, 500, status("/absent", "other"))
	g.WaitLog("nowhere.yml: the file does not exist; create it")
	for _, key := range []string{bobsKey, "from-the-file", "later", "written"} {
		assert.NotContains(t, g.Log(), key)
	}
}

// Configurations with equal stores share them, and a store outlives its last configuration for a while.
func TestStoresAreShared(t *testing.T) {
	g := newTestGate(t)
	get := func(json string) (*Config, *openStore) {
		c := New(g)
		require.NoError(t, c.UnmarshalJSON([]byte(json)))
		c.Prepare()
		return c, c.lease.held.Load()
	}
	one, first := get(`{"snapshot":"","realm":"a"}`)
	two, second := get(`{"snapshot":"","realm":"b"}`)
	_, other := get(`{"snapshot":"","pepper":"0123456789abcdef"}`)
	assert.Same(t, first, second)
	assert.NotSame(t, first, other)
	assert.NotNil(t, first.ready.Load(), "Prepare has opened it")
	one.Close()
	two.Close()
	_, again := get(`{"snapshot":"","realm":"c"}`)
	assert.Same(t, first, again)

	one.Prepare() // a late event
	assert.Nil(t, one.lease.held.Load())
}
