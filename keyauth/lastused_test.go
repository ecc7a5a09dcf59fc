package keyauth

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/keyauth/store"
)

// When keys were last used is written when the process ends, and only of those that were accepted. The keys of all stores stand
// in one file, beside the keys file.
func TestLastUsed(t *testing.T) {
	t.Parallel()
	const inline, refused, orphan = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "00000000-0000-4000-8000-000000000003"
	g := startGateway(t, builtPlugin, route{"/", []string{
		"credentials:",
		"- {digest: \"" + digestOf(t, "inline") + "\", consumer: bob, id: " + inline + "}",
		"- {digest: \"" + digestOf(t, "refused") + "\", consumer: bob, id: " + refused + ", disabled: true}",
		"- {digest: \"" + digestOf(t, "orphan") + "\", consumer: nobody, id: " + orphan + "}",
	}})
	keys := filepath.Join(g.Prefix(), "keyauth", "keys.jsonl")
	admin, err := store.OpenJournalAdmin(keys)
	require.NoError(t, err)
	defer func() { _ = admin.Close() }()
	written, err := Credential{Digest: digestOf(t, "written"), Consumer: "bob"}.entry()
	require.NoError(t, err)
	require.NoError(t, admin.Import(t.Context(), nil, []store.Credential{written}))

	status := func(key string) int { return g.Send("GET", "/", "", "apikey", key).Status }
	before := time.Now().Unix()
	assert.Eventually(t, func() bool { return status("written") == 200 }, kongdevtest.Patience, 20*time.Millisecond)
	assert.Equal(t, 200, status("inline"))
	assert.Equal(t, []int{401, 401, 401}, []int{status("refused"), status("orphan"), status("wrong")})

	require.NoError(t, g.SignalPlugin("keyauth", syscall.SIGHUP)) // the process that has the keys in memory hands over, and ends
	uses := store.OpenLastUses(keys)
	of := func(id string) int64 {
		at, err := uses.Of(id)
		require.NoError(t, err)
		return at
	}
	require.Eventually(t, func() bool { return of(inline) != 0 }, kongdevtest.Patience, 20*time.Millisecond)
	for _, id := range []string{inline, written.ID} {
		assert.LessOrEqual(t, before, of(id))
		assert.GreaterOrEqual(t, time.Now().Unix(), of(id))
	}
	assert.Zero(t, of(refused))
	assert.Zero(t, of(orphan))
}

// Configurations with one keys file share the record; where nothing says where Kong is, nothing is written into a folder that
// was guessed.
func TestLastUsedPath(t *testing.T) {
	t.Parallel()
	g := newTestGate(t)
	assert.Empty(t, g.lastUsedPath(""))
	assert.Empty(t, g.lastUsedPath(defaultSnapshot))
	assert.Equal(t, "/data/keys.jsonl.last-used", g.lastUsedPath("/data/keys.jsonl"))

	record := func(json string) *store.LastUsed {
		c := New(g)
		require.NoError(t, c.UnmarshalJSON([]byte(json)))
		c.Prepare()
		t.Cleanup(c.Close)
		return c.lease.lastUsed.Load()
	}
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	first := record(`{"snapshot":"` + path + `"}`)
	require.NotNil(t, first)
	assert.Same(t, first, record(`{"snapshot":"`+path+`","realm":"b"}`))
	assert.NotSame(t, first, record(`{"snapshot":"`+path+`.other"}`))
	assert.Nil(t, record(`{}`))
}
