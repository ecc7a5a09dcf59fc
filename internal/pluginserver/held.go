package pluginserver

import (
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// lingerLimit is how long a half-closed connection is read until Kong closes it.
const lingerLimit = time.Minute

// A heldSet is the supervisor's copies of one worker's connections. They are bare descriptors: a net.Conn would
// wake the supervisor at every byte that Kong sends to the worker.
type heldSet struct {
	byID     map[uint32]int // the worker's connection id -> copy
	adopting map[uint64]int // inode -> copy of a connection that was sent to the worker, until the worker names it
}

// descriptorReserve are the descriptors that the supervisor keeps free for starting a worker, for the fallback and for
// metrics. A connection whose copy would take one of them is not held.
const descriptorReserve = 64

// spare reports whether there is room to hold fd. The kernel gives the lowest free number.
func spare(fd int) bool {
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && uint64(fd)+descriptorReserve < limit.Cur
}

// opened takes the worker's copy of a connection.
func (h *heldSet) opened(id uint32, fd int) {
	if fd < 0 {
		return
	}
	if h.byID == nil {
		h.byID = map[uint32]int{}
	}
	if len(h.adopting) > 0 {
		if ino, err := inodeOf(fd); err == nil {
			if before, ok := h.adopting[ino]; ok {
				closeFD(before)
				delete(h.adopting, ino)
			}
		}
	}
	if before, ok := h.byID[id]; ok {
		closeFD(before)
		delete(h.byID, id)
	}
	if !spare(fd) {
		closeFD(fd)
		return
	}
	h.byID[id] = fd
}

// adopt keeps fd until the worker has named the connection as its own, and returns another copy to send to it.
func (h *heldSet) adopt(fd int) (toSend int, err error) {
	if !spare(fd) {
		return fd, nil
	}
	ino, err := inodeOf(fd)
	if err != nil {
		return -1, err
	}
	toSend, err = copyFD(fd)
	if err != nil {
		return -1, err
	}
	if h.adopting == nil {
		h.adopting = map[uint64]int{}
	}
	h.adopting[ino] = fd
	return toSend, nil
}

// take returns the copy and forgets it; -1 when there is none.
func (h *heldSet) take(id uint32) int {
	fd, ok := h.byID[id]
	if !ok {
		return -1
	}
	delete(h.byID, id)
	return fd
}

func (h *heldSet) len() int { return len(h.byID) + len(h.adopting) }

// An idleConn is a connection that waits for a worker, and how many replies of Kong are to be skipped on it.
type idleConn struct {
	fd   int
	owed uint32
}

// split empties the set after its worker has died: what was idle can be served as if nothing had been. What the worker
// had not named yet it may have read from.
func (h *heldSet) split(isIdle func(id uint32) (owed uint32, ok bool)) (idle []idleConn, busy []int) {
	for id, fd := range h.byID {
		if owed, ok := isIdle(id); ok {
			idle = append(idle, idleConn{fd, owed})
		} else {
			busy = append(busy, fd)
		}
	}
	for _, fd := range h.adopting {
		busy = append(busy, fd)
	}
	h.byID, h.adopting = nil, nil
	return idle, busy
}

// inodeOf identifies a socket over all of its descriptors.
func inodeOf(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// A lingerer ends connections that nobody can serve any more without a reset: it closes them for writing, so that Kong
// reads a clean "closed" and repeats the event elsewhere, and reads until Kong closes. The zero value is ready.
type lingerer struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// end takes fd and half-closes it at once.
func (l *lingerer) end(fd int) {
	_ = unix.Shutdown(fd, unix.SHUT_WR)
	c, err := connOf(fd)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = c.Close()
		return
	}
	if l.conns == nil {
		l.conns = map[net.Conn]struct{}{}
	}
	l.conns[c] = struct{}{}
	_ = c.SetReadDeadline(time.Now().Add(lingerLimit)) // before wait can shorten it
	l.wg.Add(1)
	go l.read(c)
}

func (l *lingerer) read(c net.Conn) {
	defer l.wg.Done()
	_, _ = io.Copy(io.Discard, c)
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	_ = c.Close()
}

// wait gives Kong until patience is over to close its connections.
func (l *lingerer) wait(patience time.Duration) {
	l.mu.Lock()
	for c := range l.conns {
		_ = c.SetReadDeadline(time.Now().Add(patience))
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// close ends all of them at once.
func (l *lingerer) close() {
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}
