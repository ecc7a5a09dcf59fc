package pluginserver

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxConnections is how many connections have a busy flag of their own; more than Kong's pools can hold open.
const maxConnections = 1 << 16

// Values of a flag. A value above isBusy is isBusy + n: idle, and n whole replies to setters are still to be read.
const (
	isIdle = 0
	isBusy = 1
)

// busyFlags is memory that a worker shares with its supervisor: one flag per connection id, up from before something is
// read until the connection is idle again and every frame was read whole. When the worker dies, the supervisor reads
// from it which connections the next worker may serve as if nothing had been. Flag 0 belongs to connections beyond the
// limit: up.
type busyFlags struct {
	flags []atomic.Uint32
	free  []uint32
	next  uint32
	mu    sync.Mutex
}

// newBusyFlags makes the memory; the file is for the worker to inherit.
func newBusyFlags() (*busyFlags, *os.File, error) {
	fd, err := unix.MemfdCreate("busy-flags", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, nil, fmt.Errorf("memory shared with the worker: %w", err)
	}
	f := os.NewFile(uintptr(fd), "busy-flags")
	if err := f.Truncate(maxConnections * 4); err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("memory shared with the worker: %w", err)
	}
	b, err := openBusyFlags(f)
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return b, f, nil
}

// openBusyFlags maps the memory of f.
func openBusyFlags(f *os.File) (*busyFlags, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, maxConnections*4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("memory shared with the worker: %w", err)
	}
	b := &busyFlags{flags: unsafe.Slice((*atomic.Uint32)(unsafe.Pointer(&mem[0])), maxConnections), next: 1}
	b.flags[0].Store(isBusy)
	return b, nil
}

// close unmaps the memory. Nobody may use a flag afterwards.
func (b *busyFlags) close() error {
	return unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&b.flags[0])), maxConnections*4))
}

// idle reports whether another worker can serve the connection, and how many replies it has to skip first.
func (b *busyFlags) idle(id uint32) (owed uint32, ok bool) {
	if id >= maxConnections {
		return 0, false
	}
	switch v := b.flags[id].Load(); v {
	case isIdle:
		return 0, true
	case isBusy:
		return 0, false
	default:
		return v - isBusy, true
	}
}

// take returns a free connection id, flag up; 0 when there is none.
func (b *busyFlags) take() uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := uint32(0)
	if n := len(b.free); n > 0 {
		id, b.free = b.free[n-1], b.free[:n-1]
	} else if b.next < maxConnections {
		id = b.next
		b.next++
	}
	b.flags[id].Store(isBusy)
	return id
}

func (b *busyFlags) put(id uint32) {
	if id == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flags[id].Store(isBusy)
	b.free = append(b.free, id)
}

// flag is the flag of a connection for its stream. Connection 0 gets one of its own, so that the shared one stays up.
func (b *busyFlags) flag(id uint32) *atomic.Uint32 {
	if id == 0 {
		return new(atomic.Uint32)
	}
	return &b.flags[id]
}
