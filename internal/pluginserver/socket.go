package pluginserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSocketPath is what fits into a unix socket's address, in bytes.
	maxSocketPath = 107
	// socketMode is the widest mode of a socket: Kong's user and group. The umask that we were started with takes from it.
	socketMode fs.FileMode = 0o660
	// ownUmask is taken from every file that the process makes, whatever the umask it was started with: under Kong that
	// is 0. It also keeps others out of a socket in the moment before it has its mode.
	ownUmask = 0o027
	// staleAfter is how old a dead process's temporary name must be before it is removed: the process may live in
	// another container that shares the folder, and be about to rename it.
	staleAfter = 10 * time.Second
	// temporaryTries are the suffixes of temporary names that are tried one after another.
	temporaryTries = "_abcde"
)

// A fileID names a file apart from its path.
type fileID struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

// fileIDOf returns what path names now, without following a link.
func fileIDOf(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fileID{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return fileID{Dev: st.Dev, Ino: st.Ino}, nil
}

// tightenUmask applies ownUmask to this process and returns what socketMode leaves under the umask it had. For mains only.
func tightenUmask() fs.FileMode {
	inherited := unix.Umask(0o077)
	unix.Umask(inherited | ownUmask)
	return socketMode &^ fs.FileMode(inherited)
}

// listenSocket listens on path without a moment at which path names nothing or a socket with a wider mode: it listens on
// a temporary name in the same folder and renames it over path. A listener that was there before keeps what is in its
// backlog. Closing the listener leaves path alone: by then it may name a successor's socket.
func listenSocket(path string, mode fs.FileMode) (*net.UnixListener, fileID, error) {
	dir, base := filepath.Split(path)
	if err := checkSocketPath(path, temporaryName(dir, base, os.Getpid(), '_')); err != nil {
		return nil, fileID{}, err
	}
	if st, err := os.Lstat(path); err == nil && st.Mode().Type() != fs.ModeSocket {
		return nil, fileID{}, fmt.Errorf("socket %s: a file that is no socket has this name; remove it", path)
	}
	removeStale(dir, base, time.Now())
	l, temp, err := listenTemporary(dir, base)
	if err != nil {
		return nil, fileID{}, folderError(path, err)
	}
	id, err := publishSocket(temp, path, mode)
	if err != nil {
		_ = l.Close()
		_ = os.Remove(temp)
		return nil, fileID{}, folderError(path, err)
	}
	return l, id, nil
}

func publishSocket(temp, path string, mode fs.FileMode) (fileID, error) {
	if err := os.Chmod(temp, mode); err != nil {
		return fileID{}, err
	}
	id, err := fileIDOf(temp)
	if err != nil {
		return fileID{}, err
	}
	return id, os.Rename(temp, path)
}

// checkSocketPath refuses a path that does not fit into a unix socket's address, counting the longer of the two names.
func checkSocketPath(path, temp string) error {
	if over := max(len(path), len(temp)) - maxSocketPath; over > 0 {
		return fmt.Errorf("socket %s: the path is %d bytes too long (the limit of unix sockets is %d, with room for a temporary name); name a shorter folder with -kong-prefix",
			path, over, maxSocketPath)
	}
	return nil
}

// temporaryName is hidden and tells the process that made it: .moesif.socket.4711
func temporaryName(dir, base string, pid int, try byte) string {
	name := dir + "." + strings.TrimSuffix(base, ".socket") + "." + strconv.Itoa(pid)
	if try != '_' {
		name += string(try)
	}
	return name
}

// listenTemporary listens on the first temporary name that is free.
func listenTemporary(dir, base string) (l *net.UnixListener, name string, err error) {
	for _, try := range []byte(temporaryTries) {
		name = temporaryName(dir, base, os.Getpid(), try)
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err == nil {
			l.SetUnlinkOnClose(false)
			return l, name, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return nil, "", err
}

// removeStale removes temporary names that dead processes have left.
func removeStale(dir, base string, now time.Time) {
	names, err := filepath.Glob(filepath.Join(escapeGlob(dir), "."+strings.TrimSuffix(base, ".socket")+".*"))
	if err != nil {
		return
	}
	for _, name := range names {
		pid, ok := temporaryOwner(name, base)
		if !ok || processExists(pid) {
			continue
		}
		st, err := os.Lstat(name)
		if err == nil && st.Mode().Type() == fs.ModeSocket && now.Sub(st.ModTime()) > staleAfter {
			_ = os.Remove(name)
		}
	}
}

// temporaryOwner returns the process that made a temporary name.
func temporaryOwner(name, base string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(filepath.Base(name), "."+strings.TrimSuffix(base, ".socket")+".")
	if !ok || rest == "" {
		return 0, false
	}
	if strings.IndexByte(temporaryTries[1:], rest[len(rest)-1]) >= 0 {
		rest = rest[:len(rest)-1]
	}
	pid, err := strconv.Atoi(rest)
	return pid, err == nil && pid > 0 && strconv.Itoa(pid) == rest
}

func processExists(pid int) bool {
	return !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// folderError says why no socket could be made at path, and what helps.
func folderError(path string, err error) error {
	dir := filepath.Dir(path)
	st, statErr := os.Stat(dir)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		return fmt.Errorf("socket folder %s: does not exist; create it, or name Kong's prefix with -kong-prefix", dir)
	case statErr == nil && !st.IsDir():
		return fmt.Errorf("socket folder %s: is no folder; name Kong's prefix with -kong-prefix", dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("socket folder %s: is on a read-only file system; mount a writable volume there, or name another folder with -kong-prefix and the same socket in Kong's settings", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("socket folder %s: user %d may not write there%s; give the folder to the user that runs Kong, or name another folder with -kong-prefix and the same socket in Kong's settings",
			dir, os.Geteuid(), ownerOf(st))
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("socket folder %s: no space left; free some, or name another folder with -kong-prefix", dir)
	}
	return fmt.Errorf("socket %s: %w", path, err)
}

func ownerOf(st os.FileInfo) string {
	if st == nil {
		return ""
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf(" (it belongs to user %d, group %d, mode %04o)", sys.Uid, sys.Gid, st.Mode().Perm())
	}
	return ""
}
