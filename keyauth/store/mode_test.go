package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/store"
)

// Who may read the keys file is an operator's decision that outlasts its being written anew.
func TestKeysFileKeepsItsOwnerAndMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	admin, err := store.OpenJournalAdmin(path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, admin.Close()) })
	require.NoError(t, admin.CreateCredential(t.Context(), credential("kept", "a")))
	before, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), before.Mode().Perm())
	uid := os.Geteuid()
	if uid == 0 && os.Chown(path, 12345, 12345) == nil { // only root may give files away, and not in every container
		uid = 12345
	}
	require.NoError(t, os.Chmod(path, 0o640))

	var many []store.Credential
	for n := range 1100 {
		c := credential(fmt.Sprint(n), fmt.Sprint("key", n))
		c.ExpiresAt = 1
		many = append(many, c)
	}
	require.NoError(t, admin.Import(t.Context(), nil, many))
	gone, err := admin.DeleteExpired(t.Context(), 2)
	require.NoError(t, err)
	require.Len(t, gone, len(many))
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.False(t, os.SameFile(before, after), "it was written anew")
	assert.Equal(t, os.FileMode(0o640), after.Mode().Perm())
	assert.Equal(t, uint32(uid), after.Sys().(*syscall.Stat_t).Uid)
}

// A keys file may be a link, to a volume for instance. What is written anew is what it leads to.
func TestKeysFileBehindALink(t *testing.T) {
	t.Parallel()
	volume, folder := t.TempDir(), t.TempDir()
	real, link := filepath.Join(volume, "keys.jsonl"), filepath.Join(folder, "keys.jsonl")
	require.NoError(t, os.Symlink(real, link+".middle"))
	require.NoError(t, os.Symlink("keys.jsonl.middle", link))
	for n, path := range []string{link, real, link} {
		admin, err := store.OpenJournalAdmin(path)
		require.NoError(t, err)
		require.NoError(t, admin.CreateCredential(t.Context(), credential(fmt.Sprint(n), fmt.Sprint("key", n))))
		require.NoError(t, admin.Close())
	}
	target, err := os.Readlink(link)
	require.NoError(t, err, "it is a link still")
	assert.Equal(t, "keys.jsonl.middle", target)
	info, err := os.Lstat(real)
	require.NoError(t, err)
	assert.True(t, info.Mode().IsRegular())
	locks, err := filepath.Glob(filepath.Join(folder, "*.lock"))
	require.NoError(t, err)
	assert.Empty(t, locks, "whatever name it has, one lock is for it")
	admin, err := store.OpenJournalAdmin(real)
	require.NoError(t, err)
	page, _, err := admin.Credentials(t.Context(), store.CredentialQuery{Size: 10})
	require.NoError(t, err)
	assert.Len(t, page, 3)
}
