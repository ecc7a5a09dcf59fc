package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/keyauth/store"
)

// What a gateway's requests use is shown here.
func TestLastUseInTheGateway(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	before := time.Now().Unix()
	used, other := n.keys("", "create", "-consumer", "alice"), n.keys("", "create", "-consumer", "bob")
	lastUse := func(key string) (v view) {
		require.NoError(t, json.Unmarshal([]byte(n.keys(key, "show", "-key-stdin", "-o", "json")), &v))
		return v
	}
	assert.Zero(t, lastUse(used).LastUsedAt)
	n.becomes(200, used)
	require.NoError(t, n.SignalPlugin("keyauth", syscall.SIGHUP)) // a process that ends does not wait for the minute
	require.Eventually(t, func() bool { return lastUse(used).LastUsedAt >= before }, kongdevtest.Patience, 20*time.Millisecond)
	assert.Zero(t, lastUse(other).LastUsedAt)
}

// A record that cannot be read is said, and keys are shown all the same.
func TestLastUseIsNotKnown(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	do := func(args ...string) (out, notes bytes.Buffer) {
		status := run(append(args, "-store", path), streams{strings.NewReader(""), &out, &notes, time.Now, outlives})
		assert.Zero(t, status, notes.String())
		return out, notes
	}
	do("create", "-consumer", "alice")
	do("create", "-consumer", "bob")
	require.NoError(t, os.Mkdir(store.LastUsedPath(path), 0o700))
	out, notes := do("list")
	assert.Contains(t, out.String(), "bob")
	assert.Equal(t, 1, strings.Count(notes.String(), "\n"), notes.String())
	assert.Contains(t, notes.String(), "when the keys were last used is not known: "+store.LastUsedPath(path))
}
