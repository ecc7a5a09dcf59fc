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

const laterKey, writtenKey = "the-later-key", "the-written-key" // no words that a log has

// The node's files count behind the configuration's credentials, and are followed while Kong runs.
func TestNodeStore(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "kong.yml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	write("_format_version: \"3.0\"\nconsumers:\n- username: bob\n  keyauth_credentials: [{key: from-the-file}]\n")
	g := startGateway(t, builtPlugin,
		route{"/", []string{"file: " + file, "snapshot: <kong-prefix>/new/keys.jsonl"}},
		route{"/absent", []string{"file: " + dir + "/nowhere.yml"}})
	status := func(path, key string) int { return g.Send("GET", path, "", "apikey", key).Status }
	assert.Equal(t, 200, status("/", bobsKey))
	assert.Equal(t, 200, status("/", "from-the-file"))
	assert.Equal(t, 401, status("/", laterKey))
	becomes := func(want int, key string) {
		t.Helper()
		assert.Eventually(t, func() bool { return status("/", key) == want }, kongdevtest.Patience, 20*time.Millisecond)
	}

	write("_format_version: \"3.0\"\nconsumers:\n- username: bob\n  keyauth_credentials: [{key: the-later-key}]\n")
	becomes(200, laterKey)
	assert.Equal(t, 401, status("/", "from-the-file"))
	write("broken: [")
	g.WaitLog(file)
	assert.Equal(t, 200, status("/", laterKey), "what the file said before stays")

	admin, err := store.OpenJournalAdmin(filepath.Join(g.Prefix(), "new", "keys.jsonl")) // where the plugin may write after its gateway's end
	require.NoError(t, err)
	defer func() { _ = admin.Close() }()
	config := configOf(t, `{"credentials":[{"digest":"`+digestOf(t, writtenKey)+`","consumer":"bob"}]}`)
	written, err := config.Credentials[0].entry()
	require.NoError(t, err)
	require.NoError(t, admin.Import(t.Context(), nil, []store.Credential{written}))
	becomes(200, writtenKey)
	require.NoError(t, admin.DeleteCredential(t.Context(), written.ID))
	becomes(401, writtenKey)

	assert.Equal(t, 200, status("/absent", bobsKey), "the configuration's credentials come first")
	assert.Equal(t, 500, status("/absent", "other"))
	g.WaitLog("nowhere.yml: the file does not exist; create it")
	for _, key := range []string{bobsKey, "from-the-file", laterKey, writtenKey} {
		assert.NotContains(t, g.Log(), key)
	}
}

// The keys file has its place below Kong's prefix, where nobody need set it up.
func TestSnapshotBelowThePrefix(t *testing.T) {
	g := startGateway(t, builtPlugin, route{"/", []string{"credentials: []"}})
	assert.Equal(t, 401, g.Send("GET", "/", "", "apikey", writtenKey).Status)
	path := filepath.Join(g.Prefix(), "keyauth", "keys.jsonl")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	admin, err := store.OpenJournalAdmin(path)
	require.NoError(t, err)
	defer func() { _ = admin.Close() }()
	written, err := Credential{Digest: digestOf(t, writtenKey), Consumer: "bob"}.entry()
	require.NoError(t, err)
	require.NoError(t, admin.Import(t.Context(), nil, []store.Credential{written}))
	assert.Eventually(t, func() bool { return g.Send("GET", "/", "", "apikey", writtenKey).Status == 200 }, kongdevtest.Patience, 20*time.Millisecond)
}

// What is wrong with a store is said when Kong starts, before the first request.
func TestStoresAreOpenedAtTheStart(t *testing.T) {
	g := startGateway(t, builtPlugin, route{"/one", nil}, route{"/two", []string{"file: /nowhere/kong.yml"}})
	g.Send("GET", "/two", "") // Kong starts an instance with its first event; without a key nothing is looked up
	g.WaitLog("/nowhere/kong.yml")
}

// A store that cannot be opened is one that cannot answer: the ones before it are asked all the same.
func TestStoreThatCannotBeOpened(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	g := startGateway(t, builtPlugin, route{"/", []string{"snapshot: \"\"", "stores: [node, admin_api]", "admin_api: {url: 'https://127.0.0.1:1', ca: " + ca + "}"}})
	assert.Equal(t, 200, g.Send("GET", "/", "", "apikey", bobsKey).Status)
	assert.Equal(t, 500, g.Send("GET", "/", "", "apikey", writtenKey).Status)
	g.WaitLog("store admin_api: admin_api.ca: open " + ca)
}

// Configurations share stores with equal settings, whatever else they have, and a store outlives its last configuration
// for a while.
func TestStoresAreShared(t *testing.T) {
	g := newTestGate(t)
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	get := func(json string) (*Config, store.Store) {
		c := New(g)
		require.NoError(t, c.UnmarshalJSON([]byte(json)))
		c.Prepare()
		chain := c.lease.ready.Load()
		require.NotNil(t, chain, "Prepare has opened them")
		return c, (*chain)[len(*chain)-1].Store
	}
	one, first := get(`{"snapshot":"` + path + `"}`)
	two, second := get(`{"snapshot":"` + path + `","realm":"b","credentials":[{"digest":"` + digestOf(t, "b") + `","consumer":"bob"}]}`)
	_, other := get(`{"snapshot":"` + path + `.other"}`)
	assert.Same(t, first, second)
	assert.NotSame(t, first, other)
	one.Close()
	two.Close()
	_, again := get(`{"snapshot":"` + path + `","realm":"c"}`)
	assert.Same(t, first, again)

	one.Prepare() // a late event
	assert.Nil(t, one.lease.ready.Load())
}
