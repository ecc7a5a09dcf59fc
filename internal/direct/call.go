//go:build !race

package direct

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Receive reads into p, which is not empty, what has come on a socket: 0 bytes at the end of the stream, unix.EAGAIN when
// there is nothing.
func Receive(fd uintptr, p []byte) (int, error) {
	return call(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

// Transmit writes of p, which is not empty, what a socket has room for: unix.EAGAIN when that is nothing.
func Transmit(fd uintptr, p []byte) (int, error) {
	return call(unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func call(number, fd uintptr, p []byte, flags uintptr) (int, error) {
	n, _, errno := unix.RawSyscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
