package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Who waits for a lock has it before one that gives it back and wants it again at once.
func TestLockIsHandedOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lockFile(t.Context(), path)
	require.NoError(t, err)
	order := make(chan string, 2)
	go func() {
		unlock, err := lockFile(t.Context(), path)
		assert.NoError(t, err)
		order <- "who waited"
		unlock()
	}()
	next, err := os.OpenFile(path+".next", os.O_RDWR, 0)
	require.NoError(t, err)
	defer next.Close()
	require.Eventually(t, func() bool { // the other one is next
		free := unix.Flock(int(next.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
		return !free || unix.Flock(int(next.Fd()), unix.LOCK_UN) != nil
	}, time.Minute, time.Millisecond)
	unlock()
	unlock, err = lockFile(t.Context(), path)
	require.NoError(t, err)
	order <- "who had it"
	unlock()
	assert.Equal(t, "who waited", <-order)
}

// A process that is being started has all files open for a moment; a lock that was given back is free all the same.
func TestLockIsGivenBackAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	f, err := openLocked(t.Context(), path, time.Now())
	require.NoError(t, err)
	inherited, err := unix.Dup(int(f.Fd()))
	require.NoError(t, err)
	giveBack(f)
	again, err := openLocked(t.Context(), path, time.Now())
	require.NoError(t, err)
	giveBack(again)
	require.NoError(t, unix.Close(inherited))
}
