package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is how long another writer may take.
const lockWait = 10 * time.Second

// lockFile takes the lock that path stands for; the system gives it back when the process dies. The files stay: one that
// is removed would let two processes hold it. Their folder is made, for the owner alone.
//
// A second lock says who is next. Whoever wants the first one again waits for the second as all others do; without it, a process
// that makes change after change would nearly always have the first one again before the others look.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	folder := filepath.Dir(path)
	if err := os.Mkdir(folder, 0o700); err == nil {
		if uid, gid, ok := ownerOfFolder(folder); ok {
			_ = os.Lchown(folder, uid, gid)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	deadline := time.Now().Add(lockWait)
	next, err := openLocked(ctx, path+".next", deadline)
	if err != nil {
		return nil, err
	}
	defer giveBack(next)
	f, err := openLocked(ctx, path, deadline)
	if err != nil {
		return nil, err
	}
	return func() { giveBack(f) }, nil
}

// giveBack ends a lock at once. Closing the file alone would leave it to a process that is being started in the meantime, which
// has all files open until it runs its program.
func giveBack(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	f.Close()
}

// openLocked opens or makes a file and waits until nobody else has it locked.
func openLocked(ctx context.Context, path string, deadline time.Time) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		ownAsFolder(f)
	} else if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("%s: %w; the folder has to be on a file system with locks", path, err)
		}
		if time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("%s: another process has held the lock for %s; is it stuck?", path, lockWait)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// ownAsFolder gives a file that root has made to the owner of the folder that it stands in: the plugin runs as Kong's user, and
// has to read what an administrator wrote. It follows no names, which that user could have pointed elsewhere.
func ownAsFolder(f *os.File) {
	if uid, gid, ok := ownerOfFolder(f.Name()); ok {
		_ = f.Chown(uid, gid) // where it fails, the plugin says that it may not read the file
	}
}

// ownerOfFolder returns who owns the folder of path, if that matters: only root makes files for others.
func ownerOfFolder(path string) (uid, gid int, ok bool) {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || os.Geteuid() != 0 {
		return 0, 0, false
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(sys.Uid), int(sys.Gid), true
}
