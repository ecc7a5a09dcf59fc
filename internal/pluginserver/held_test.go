package pluginserver

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Past the reserve nothing is kept, and nothing that was kept for the same connection is forgotten open.
func TestHeldSetLeavesTheReserve(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer closeFD(pair[0])
	defer closeFD(pair[1])
	connection := inode(t, pair[0])
	open := func(fd int) bool { // a number that was closed may be another file's by now
		ino, err := inodeOf(fd)
		return err == nil && ino == connection
	}
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	require.Greater(t, limit.Cur, uint64(200))
	low := func() int { fd, err := copyFD(pair[0]); require.NoError(t, err); return fd }
	high := func() int {
		fd, err := unix.FcntlInt(uintptr(pair[0]), unix.F_DUPFD_CLOEXEC, int(min(limit.Cur, 1<<20))-descriptorReserve)
		require.NoError(t, err)
		return fd
	}
	if limit.Cur > 1<<20 {
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 20, Max: limit.Max}))
		defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) }()
	}

	var h heldSet
	toSend, err := h.adopt(high())
	require.NoError(t, err)
	require.Zero(t, h.len(), "sent, and not kept")
	closeFD(toSend)

	kept := low()
	toSend, err = h.adopt(kept)
	require.NoError(t, err)
	closeFD(toSend)
	over := high()
	h.opened(1, over)
	require.Zero(t, h.len())
	require.False(t, open(kept))
	require.False(t, open(over))

	kept = low()
	h.opened(1, kept)
	require.Equal(t, 1, h.len())
	require.Equal(t, kept, h.take(1))
	require.True(t, open(kept))
	closeFD(kept)
}
