package pluginserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListenSocketReplacesWithoutAGap(t *testing.T) {
	path := filepath.Join(prefixFolder(t), "demo.socket")
	first, firstID, err := listenSocket(path, 0o600)
	require.NoError(t, err)
	st, err := os.Lstat(path)
	require.NoError(t, err)
	assert.Equal(t, fs.ModeSocket|0o600, st.Mode())
	early, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer early.Close()

	second, secondID, err := listenSocket(path, socketMode)
	require.NoError(t, err)
	assert.NotEqual(t, firstID, secondID)
	now, err := fileIDOf(path)
	require.NoError(t, err)
	assert.Equal(t, secondID, now)
	c, err := first.AcceptUnix()
	require.NoError(t, err, "what was in the backlog of the one before stays there")
	_ = c.Close()

	require.NoError(t, first.Close())
	late, err := net.Dial("unix", path)
	require.NoError(t, err, "closing the one before does not unlink the path")
	defer late.Close()
	c, err = second.AcceptUnix()
	require.NoError(t, err)
	_ = c.Close()
	require.NoError(t, second.Close())
	assert.FileExists(t, path)
}

func TestListenSocketNamesCauseAndRemedy(t *testing.T) {
	dir := prefixFolder(t)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, tc := range []struct{ name, path, want string }{
		{"no folder", filepath.Join(dir, "none", "s"), "does not exist; create it, or name Kong's prefix with -kong-prefix"},
		{"folder is a file", filepath.Join(file, "s"), "is no folder"},
		{"no socket", file, "is no socket has this name; remove it"},
		{"a folder", dir, "is no socket has this name; remove it"},
		{"too long", "/" + strings.Repeat("x", 120), "bytes too long (the limit of unix sockets is 107"},
	} {
		_, _, err := listenSocket(tc.path, socketMode)
		assert.ErrorContains(t, err, tc.want, tc.name)
	}
}

func TestFolderErrors(t *testing.T) {
	dir := prefixFolder(t)
	for _, tc := range []struct {
		err  error
		want string
	}{
		{syscall.EACCES, "may not write there (it belongs to user "},
		{syscall.EPERM, "may not write there (it belongs to user "},
		{syscall.EROFS, "is on a read-only file system; mount a writable volume there"},
		{syscall.ENOSPC, "no space left; free some"},
		{errors.New("strange"), "demo.socket: bind: strange"},
	} {
		assert.ErrorContains(t, folderError(filepath.Join(dir, "demo.socket"), fmt.Errorf("bind: %w", tc.err)), tc.want)
	}
}

func TestSocketPathLimitCountsTheTemporaryName(t *testing.T) {
	dir := prefixFolder(t)
	// The temporary name is .demo.<pid>, the path demo.socket.
	longer := max(len("demo.socket"), len(temporaryName("", "demo.socket", os.Getpid(), '_')))
	for _, tc := range []struct {
		length int
		fits   bool
	}{{maxSocketPath - longer, true}, {maxSocketPath - longer + 1, false}} {
		deep := dir + string(filepath.Separator) + strings.Repeat("d", tc.length-len(dir)-2) + string(filepath.Separator)
		require.Len(t, deep, tc.length)
		require.NoError(t, os.MkdirAll(deep, 0o755)) //nolint:gosec // a test folder
		l, _, err := listenSocket(deep+"demo.socket", socketMode)
		if tc.fits {
			require.NoError(t, err)
			require.NoError(t, l.Close())
		} else {
			require.ErrorContains(t, err, "1 bytes too long")
		}
	}
}

func TestStaleTemporaryNamesAreRemoved(t *testing.T) {
	dir := prefixFolder(t) + "/"
	const dead = 1<<22 + 1 // above all that Linux gives, so nobody gets it in the meantime
	own := os.Getpid()
	old, young := time.Now().Add(-2*staleAfter), time.Now().Add(time.Hour) // also when the test takes its time
	type file struct {
		name   string
		age    time.Time
		socket bool
		stays  bool
	}
	files := []file{
		{temporaryName(dir, "demo.socket", dead, '_'), old, true, false},
		{temporaryName(dir, "demo.socket", dead, 'b'), old, true, false},
		{temporaryName(dir, "demo.socket", dead, 'c'), young, true, true}, // perhaps of another container
		{temporaryName(dir, "demo.socket", own, 'd'), old, true, true},
		{temporaryName(dir, "other.socket", dead, '_'), old, true, true},
		{dir + ".demo.readme", old, true, true},
		{dir + ".demo.0" + fmt.Sprint(dead), old, true, true},
		{temporaryName(dir, "demo.socket", dead, 'e'), old, false, true}, // no socket
	}
	for _, f := range files {
		if f.socket {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.name, Net: "unix"})
			require.NoError(t, err)
			l.SetUnlinkOnClose(false)
			require.NoError(t, l.Close())
		} else {
			require.NoError(t, os.WriteFile(f.name, nil, 0o600))
		}
		require.NoError(t, os.Chtimes(f.name, f.age, f.age))
	}
	l, _, err := listenSocket(dir+"demo.socket", socketMode)
	require.NoError(t, err)
	defer l.Close()
	for _, f := range files {
		_, err := os.Lstat(f.name)
		assert.Equal(t, f.stays, err == nil, f.name)
	}
}

func TestTakenTemporaryNameIsNoObstacle(t *testing.T) {
	dir := prefixFolder(t) + "/"
	l, err := net.Listen("unix", temporaryName(dir, "demo.socket", os.Getpid(), '_')) // the same process number in another container
	require.NoError(t, err)
	defer l.Close()
	ours, _, err := listenSocket(dir+"demo.socket", socketMode)
	require.NoError(t, err)
	defer ours.Close()
	assert.FileExists(t, l.Addr().String())
}

func FuzzTemporaryOwner(f *testing.F) {
	f.Add("/p/.demo.4711", "demo.socket")
	f.Add("/p/.demo.4711c", "demo.socket")
	f.Add("/p/.demo.-1", "demo.socket")
	f.Fuzz(func(t *testing.T, name, base string) {
		pid, ok := temporaryOwner(name, base)
		if !ok || strings.Contains(base, "/") {
			return
		}
		require.Positive(t, pid)
		made := []string{}
		for _, try := range []byte(temporaryTries) {
			made = append(made, filepath.Base(temporaryName("/p/", base, pid, try)))
		}
		require.Contains(t, made, filepath.Base(name), "only names that we make have an owner")
	})
}
