//go:build !race

package pluginserver

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// receive reads what has come on a socket, transmit writes what there is room for; neither waits. So they do without what
// Go's scheduler does around calls that may: keeping count of them, and looking for another thread when one takes long.

func receive(fd uintptr, p []byte) (int, error) {
	return direct(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

func transmit(fd uintptr, p []byte) (int, error) {
	return direct(unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// direct makes the call; p is not empty.
func direct(call, fd uintptr, p []byte, flags uintptr) (int, error) {
	n, _, errno := unix.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
