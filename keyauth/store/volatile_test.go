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

const podMounts = `1 0 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a,upperdir=/b
2 1 0:51 / /proc rw - proc proc rw
3 1 0:52 / /dev/shm rw - tmpfs shm rw,size=65536k
4 1 259:1 /var/lib/kubelet/pods/1-2/volumes/kubernetes.io~empty-dir/prefix /kong_prefix rw - ext4 /dev/nvme0n1p1 rw
5 1 259:2 / /data rw shared:1 - ext4 /dev/nvme1n1 rw
6 5 0:53 / /data/of\040day rw - tmpfs tmpfs rw
7 1 0:54 / /covered rw - tmpfs tmpfs rw
8 1 259:3 / /covered rw - xfs /dev/nvme2n1 rw
`

func TestVolatileMount(t *testing.T) {
	t.Parallel()
	for folder, want := range map[string]string{
		"/usr/local/kong/keyauth": "overlay",
		"/":                       "overlay",
		"/dev/shm/keyauth":        "tmpfs",
		"/kong_prefix/keyauth":    "emptyDir",
		"/data":                   "",
		"/data/keyauth":           "",
		"/data/of day/keyauth":    "tmpfs",
		"/data/of day2":           "",
		"/database":               "overlay",
		"/covered/keyauth":        "",
	} {
		assert.Equal(t, want, volatileMount(podMounts, folder), folder)
	}
	assert.Empty(t, volatileMount("", "/data"))
	assert.Empty(t, volatileMount("no such list\n1 2 3 - tmpfs\n", "/data"))
}

func TestVolatileSaysWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "/proc", existing("/proc/no/such/folder"))
	if text := Volatile(t.TempDir() + "/keyauth/keys.jsonl"); text != "" { // by the machine that runs the test
		assert.Contains(t, text, "/keyauth are lost when its container")
		assert.True(t, strings.HasSuffix(text, "mount a volume there"))
	}
}

// The plugin's reader says it once, and only when there is a file.
func TestJournalSaysThatItWillBeLost(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("/dev/shm", "keyauth")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(folder)) })
	path := filepath.Join(folder, "keys.jsonl")
	var log bytes.Buffer // read while no journal is open that writes it
	says := func() int { return strings.Count(log.String(), "are lost when its container") }
	open := func() *Journal { return OpenJournal(path, new(key.Hasher), slog.New(slog.NewTextHandler(&log, nil))) }
	require.NoError(t, open().Close())
	assert.Zero(t, says())
	j := open()
	admin, err := OpenJournalAdmin(path)
	require.NoError(t, err)
	for _, id := range []string{"a", "b"} {
		require.NoError(t, admin.CreateConsumer(t.Context(), Consumer{ID: id, Username: id}))
		j.Refresh()
	}
	require.NoError(t, os.Rename(path, path+".old"))
	require.NoError(t, os.WriteFile(path, []byte{}, 0o600))
	j.Refresh()
	require.NoError(t, j.Close())
	assert.Equal(t, 1, says(), "%s", &log)
}

// FuzzVolatileMount: whatever the list says before, a mount at the folder itself decides.
func FuzzVolatileMount(f *testing.F) {
	f.Add(podMounts)
	f.Add("1 0 0:50 / /data/x - tmpfs")
	f.Fuzz(func(t *testing.T, mounts string) {
		const disk, memory = "\n9 1 259:2 / /data/x rw - ext4 /dev/a rw\n", "\n9 1 0:9 / /data/x rw - tmpfs tmpfs rw\n"
		assert.Empty(t, volatileMount(mounts+disk, "/data/x"))
		assert.Equal(t, "tmpfs", volatileMount(mounts+memory, "/data/x"))
	})
}
