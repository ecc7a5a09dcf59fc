package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// An address is where the API listens.
type address struct {
	network string // unix or tcp
	text    string
	local   bool // only this machine reaches it
}

// parseAddress reads unix:PATH or HOST:PORT.
func parseAddress(flag string) (a address, err error) {
	if path, isPath := strings.CutPrefix(flag, "unix:"); isPath {
		if !filepath.IsAbs(path) {
			return a, fmt.Errorf("-listen %q: expected unix: and an absolute path", flag)
		}
		return address{"unix", path, true}, nil
	}
	host, port, err := net.SplitHostPort(flag)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return a, fmt.Errorf("-listen %q: expected host:port or unix:/path", flag)
	}
	ip, err := netip.ParseAddr(host)
	return address{"tcp", flag, host == "localhost" || err == nil && ip.Unmap().IsLoopback()}, nil
}

// maxSocketPath is how many bytes a path of a unix socket may have.
const maxSocketPath = 107

// listen opens the address. A socket file that nobody listens at is replaced.
func (a address) listen() (net.Listener, error) {
	if a.network == "tcp" {
		l, err := net.Listen(a.network, a.text)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%s: another process listens there; end it, or name another port", a.text)
		}
		return l, err
	}
	if info, err := os.Lstat(a.text); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s: there is something else than a socket; remove it, or name another path", a.text)
		}
		if other, err := net.Dial("unix", a.text); err == nil {
			_ = other.Close()
			return nil, fmt.Errorf("%s: another process listens there; end it, or name another path", a.text)
		} else if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
	}
	// It gets its name when nobody but the owner can use it.
	name := fmt.Sprintf("%s.%d", a.text, os.Getpid())
	if more := len(name) - maxSocketPath; more > 0 {
		return nil, fmt.Errorf("%s: the path is %d bytes too long (the limit of unix sockets is %d, with room for a temporary name); name a shorter one", a.text, more, maxSocketPath)
	}
	l, err := net.Listen("unix", name)
	switch folder := filepath.Dir(a.text); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no folder %s; name Kong's prefix with -kong-prefix, or another path", a.text, folder)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: user %d may not write in the folder %s; run it as Kong's user, or as root", a.text, os.Geteuid(), folder)
	case err != nil:
		return nil, err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(name, 0o600), os.Rename(name, a.text)); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(name))
	}
	return l, nil
}

// socket is the file that listen has made, or nil.
func (a address) socket() fs.FileInfo {
	if a.network != "unix" {
		return nil
	}
	info, _ := os.Lstat(a.text)
	return info
}

// remove takes the socket's file away, unless it is that of a process which listens there by now.
func (a address) remove(made fs.FileInfo) {
	if info := a.socket(); info != nil && made != nil && os.SameFile(info, made) {
		_ = os.Remove(a.text) // a later listener replaces it anyway
	}
}

// senderOf puts who is at the other end of a unix socket into the context of a connection.
func senderOf(ctx context.Context, c net.Conn) context.Context {
	name := ""
	if u, isUnix := c.(*net.UnixConn); isUnix {
		if raw, err := u.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
					name = "uid:" + strconv.FormatUint(uint64(peer.Uid), 10)
				}
			})
		}
	}
	return context.WithValue(ctx, who{}, name)
}
