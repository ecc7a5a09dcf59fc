package direct

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pair returns two ends of a connection.
func pair(t *testing.T, network string) (ours *Conn, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		folder, err := os.MkdirTemp("", "d")
		require.NoError(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(folder) })
		address = filepath.Join(folder, "s")
	}
	l, err := net.Listen(network, address)
	require.NoError(t, err)
	defer l.Close()
	dialled, err := net.Dial(network, l.Addr().String())
	require.NoError(t, err)
	theirs, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = dialled.Close(), theirs.Close() })
	return New(dialled), theirs
}

// What is written arrives whole, however much there is room for; what arrives is read.
func TestConn(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ours, theirs := pair(t, network)
			sent := []byte(strings.Repeat("0123456789", 1<<19)) // more than any socket has room for
			back := make(chan error, 1)
			go func() {
				_, err := io.CopyN(theirs, theirs, int64(len(sent)))
				back <- err
			}()
			written := make(chan error, 1)
			go func() {
				n, err := ours.Write(sent)
				assert.Equal(t, len(sent), n)
				written <- err
			}()
			got := make([]byte, len(sent))
			_, err := io.ReadFull(ours, got)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(sent, got))
			require.NoError(t, <-written)
			require.NoError(t, <-back)

			n, err := ours.Write(nil)
			assert.Zero(t, n)
			require.NoError(t, err)
			n, err = ours.Read(nil)
			assert.Zero(t, n)
			require.NoError(t, err)
			require.NoError(t, theirs.Close())
			_, err = ours.Read(got)
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestDeadlines(t *testing.T) {
	ours, theirs := pair(t, "unix")
	require.NoError(t, ours.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := ours.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)

	written := make(chan int)
	go func() {
		n, err := ours.Write(make([]byte, 16<<20)) // more than there is room for
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		written <- n
	}()
	_, err = io.ReadFull(theirs, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, ours.SetWriteDeadline(time.Unix(1, 0)))
	assert.Positive(t, <-written, "what has left is said")
	require.NoError(t, ours.Close())
	_, err = ours.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = ours.Write(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
}

// A peer that is gone is an error, not a signal.
func TestWriteToNobody(t *testing.T) {
	ours, theirs := pair(t, "unix")
	require.NoError(t, theirs.Close())
	_, err := ours.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	var call *os.SyscallError
	require.ErrorAs(t, err, &call)
}

func TestInMemory(t *testing.T) {
	a, b := net.Pipe()
	ours := New(a)
	go func() { _, _ = ours.Write([]byte("x")) }()
	p := make([]byte, 1)
	_, err := io.ReadFull(b, p)
	require.NoError(t, err)
	go func() { _, _ = b.Write([]byte("y")) }()
	_, err = ours.Read(p)
	require.NoError(t, err)
	assert.Equal(t, "y", string(p))
}
