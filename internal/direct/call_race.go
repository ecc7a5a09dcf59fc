//go:build race

package direct

import "syscall"

// The race detector learns from ordinary calls what happens before what.

// Receive is syscall.Read.
func Receive(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// Transmit is syscall.Write.
func Transmit(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
