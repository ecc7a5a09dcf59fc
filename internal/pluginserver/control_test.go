package pluginserver

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// channel is both ends of a control channel.
func channel(t testing.TB) (a, b *controlChannel) {
	t.Helper()
	a, file, err := controlPair()
	require.NoError(t, err)
	b, err = openControl(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	t.Cleanup(func() {
		a.close(0)
		b.close(0)
		a.discard()
		b.discard()
	})
	return a, b
}

func inode(t testing.TB, fd int) uint64 {
	t.Helper()
	n, err := inodeOf(fd)
	require.NoError(t, err)
	return n
}

func TestControlKeepsOrderAndDescriptors(t *testing.T) {
	a, b := channel(t)
	random := rand.New(rand.NewPCG(1, 2))
	type sent struct {
		controlMessage
		inode uint64
	}
	want := make(chan sent, 400)
	go func() {
		defer close(want)
		for i := range 400 {
			m := controlMessage{kind: messageKind(1 + random.IntN(int(lastMessageKind))), id: uint32(i), fd: -1}
			if n := random.IntN(4); n > 0 {
				m.payload = make([]byte, []int{0, 1, 5000, 300_000}[n])
				for j := range m.payload {
					m.payload[j] = byte(i + j)
				}
			}
			if i == 200 {
				m.payload = bytes.Repeat([]byte{7}, 5<<20)
			}
			s := sent{controlMessage: m}
			if random.IntN(2) == 0 {
				fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if !assert.NoError(t, err) {
					return
				}
				s.inode, _ = inodeOf(fd)
				m.fd = fd
			}
			want <- s
			if !assert.True(t, a.send(m)) {
				return
			}
		}
	}()
	n := 0
	for s := range want {
		m, err := b.receive()
		require.NoError(t, err)
		require.Equal(t, s.kind, m.kind)
		require.Equal(t, s.id, m.id)
		require.True(t, bytes.Equal(s.payload, m.payload), "payload of message %d", n)
		if s.inode == 0 {
			require.Equal(t, -1, m.fd)
		} else {
			require.Equal(t, s.inode, inode(t, m.fd), "descriptor of message %d", n)
			flags, err := unix.FcntlInt(uintptr(m.fd), unix.F_GETFD, 0)
			require.NoError(t, err)
			require.Equal(t, unix.FD_CLOEXEC, flags&unix.FD_CLOEXEC)
			closeFD(m.fd)
		}
		n++
	}
	assert.Equal(t, 400, n)
}

func TestControlSendsWhatIsQueuedBeforeItCloses(t *testing.T) {
	a, b := channel(t)
	for i := range uint32(50) {
		require.True(t, a.send(controlMessage{kind: msgInstance, id: i, fd: -1, payload: make([]byte, 1<<20)}))
	}
	received := make(chan uint32, 1)
	go func() {
		n := uint32(0)
		for {
			m, err := b.receive()
			if err != nil {
				assert.ErrorIs(t, err, io.EOF)
				received <- n
				return
			}
			assert.Equal(t, n, m.id)
			n++
		}
	}()
	a.close(waitFor)
	assert.Equal(t, uint32(50), <-received)
	assert.False(t, a.tell(msgReady, 0), "after the end")
}

func TestControlIsBoundedWhenThePeerDoesNotRead(t *testing.T) {
	a, _ := channel(t)
	config := make([]byte, 32<<20) // one memory, many messages
	accepted := 0
	for a.send(controlMessage{kind: msgInstance, fd: -1, payload: config}) {
		accepted++
		require.Less(t, accepted, 20)
	}
	assert.GreaterOrEqual(t, accepted, maxControlQueue/len(config))
	assert.False(t, a.send(controlMessage{kind: msgInstance, fd: -1, payload: make([]byte, maxControlPayload+1)}), "too large for any queue")
	a.close(0) // returns: a writer that is stuck ends with the channel
}

func TestControlTakesTheDescriptorInAnyCase(t *testing.T) {
	a, b := channel(t)
	b.close(0)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	for range 3 {
		fd, err := copyFD(int(write.Fd()))
		require.NoError(t, err)
		a.send(controlMessage{kind: msgOpened, fd: fd})
	}
	a.close(waitFor)
	require.NoError(t, write.Close())
	require.NoError(t, read.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = read.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF, "no copy is left open")
}

func TestControlRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, tc := range []struct {
		name string
		sent []byte
		err  string
	}{
		{"kind 0", make([]byte, 10), "kind 0: unknown"},
		{"kind too high", append([]byte{byte(lastMessageKind) + 1}, make([]byte, 9)...), "unknown"},
		{"flags", append([]byte{1, 2}, make([]byte, 8)...), "flags 2"},
		{"length", []byte{1, 0, 0, 0, 0, 0, 255, 255, 255, 255}, "the limit is"},
		{"no descriptor", []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0}, "without its descriptor"},
		{"half a header", []byte{1, 0}, "unexpected EOF"},
		{"half a payload", []byte{1, 0, 0, 0, 0, 0, 5, 0, 0, 0, 'x'}, "unexpected EOF"},
	} {
		a, b := channel(t)
		_, err := a.conn.Write(tc.sent)
		require.NoError(t, err)
		a.close(waitFor)
		_, err = b.receive()
		assert.ErrorContains(t, err, tc.err, tc.name)
	}
}

func FuzzControlHeader(f *testing.F) {
	f.Add(controlHeader{kind: msgOpened, withFD: true, id: 7, length: 12}.append(nil))
	f.Add(make([]byte, 10))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseControlHeader(b)
		if err != nil {
			return
		}
		require.LessOrEqual(t, h.length, maxControlPayload)
		require.Equal(t, b[:controlHeaderBytes], h.append(nil), "a header that is accepted is written the same way")
	})
}

// TestCopiesStayNonBlocking holds the rule that copies of a connection must not change the mode that all of them share.
func TestCopiesStayNonBlocking(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: prefixFolder(t) + "/s", Net: "unix"})
	require.NoError(t, err)
	defer l.Close()
	f, err := listenerFile(l)
	require.NoError(t, err)
	defer f.Close()
	assertNonBlocking := func(fd uintptr) {
		t.Helper()
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		require.NoError(t, err)
		assert.NotZero(t, flags&unix.O_NONBLOCK)
	}
	assertNonBlocking(f.Fd())
	client, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	c, err := l.AcceptUnix()
	require.NoError(t, err)
	defer c.Close()
	fd, err := copyOf(c)
	require.NoError(t, err)
	assertNonBlocking(uintptr(fd))
	second, err := connOf(fd)
	require.NoError(t, err)
	defer second.Close()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(assertNonBlocking))
}

func TestLingererEndsWithoutAReset(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: prefixFolder(t) + "/s", Net: "unix"})
	require.NoError(t, err)
	defer l.Close()
	var linger lingerer
	end := func() net.Conn {
		client, err := net.Dial("unix", l.Addr().String())
		require.NoError(t, err)
		_, err = client.Write([]byte("a call that nobody has read"))
		require.NoError(t, err)
		c, err := l.AcceptUnix()
		require.NoError(t, err)
		fd, err := copyOf(c)
		require.NoError(t, err)
		_ = c.Close() // the worker is dead
		linger.end(fd)
		return client
	}
	client := end()
	require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = client.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	_, err = client.Write([]byte("kong is still sending"))
	assert.NoError(t, err, "no broken pipe")
	require.NoError(t, client.Close())
	linger.wait(waitFor)
	assert.Empty(t, linger.conns)

	client = end()
	linger.wait(time.Millisecond)
	_, err = client.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.EPIPE, "patience is over")
	linger.close()
	client = end()
	_, err = client.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.EPIPE, "after the end")
}
