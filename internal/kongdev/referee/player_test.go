package referee

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/transcript"
)

// A player is the plugin server of a recording: it sends the recorded frames byte for byte, in the recorded order, and
// compares each frame, connection and end of one that the gateway is to answer with.
type player struct {
	t      *testing.T
	socket string
	l      *net.UnixListener
	conns  map[int]net.Conn
}

func newPlayer(t *testing.T, b *bench, plugin string) *player {
	t.Helper()
	p := &player{t: t, socket: filepath.Join(b.Prefix(), plugin+".socket"), conns: map[int]net.Conn{}}
	p.start()
	t.Cleanup(p.die)
	return p
}

// start begins to listen.
func (p *player) start() {
	p.t.Helper()
	require.NoError(p.t, removeIfThere(p.socket))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.socket, Net: "unix"})
	require.NoError(p.t, err)
	l.SetUnlinkOnClose(false)
	p.l = l
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// die is the end of the plugin's process: the socket's file stays, nobody listens, all connections end.
func (p *player) die() {
	_ = p.l.Close()
	for _, c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// A mark names a recorded frame: its connection and its number on it.
type mark struct{ conn, n int }

// play runs one recording. before holds what to do when a frame's turn comes. The differences are returned; an error
// is one that the rest cannot be played after.
func (p *player) play(frames []transcript.Frame, before map[mark]func()) (differences []string, err error) {
	for i, f := range frames {
		if do := before[mark{f.Conn, f.N}]; do != nil {
			do()
		}
		difference, err := p.step(f)
		at := fmt.Sprintf("line %d, connection %d: %s %s", i+1, f.Conn, f.Kind, f.Method)
		if err != nil {
			return differences, fmt.Errorf("%s: %w", at, err)
		}
		if difference != "" {
			differences = append(differences, at+":\n"+difference)
		}
	}
	return differences, nil
}

func (p *player) step(f transcript.Frame) (difference string, err error) {
	if f.Kind == transcript.Connect {
		_ = p.l.SetDeadline(time.Now().Add(patience))
		c, err := p.l.Accept()
		p.conns[f.Conn] = c
		return "", err
	}
	c := p.conns[f.Conn]
	switch {
	case f.Kind == transcript.Close && strings.HasPrefix(f.Note, "plugin side"):
		if c != nil { // not ended with the process
			_ = c.Close()
			delete(p.conns, f.Conn)
		}
		return "", nil
	case c == nil:
		return "", errors.New("the gateway has not opened this connection")
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	switch {
	case f.Kind == transcript.Close:
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			return fmt.Sprintf("the gateway did not close the connection: %v", err), nil
		}
		_ = c.Close()
		delete(p.conns, f.Conn)
		return "", nil
	case f.Dir == transcript.ToKong:
		_, err := c.Write(f.Wire)
		return "", err
	}
	got, err := readFrame(c)
	if err != nil {
		return "", err
	}
	want := normalFrame(f.Kind, f.Method, f.Payload())
	if got := normalFrame(f.Kind, f.Method, got); got != want {
		return "want " + want + "\ngot  " + got, nil
	}
	return "", nil
}

func readFrame(c net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.LittleEndian.Uint32(head[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

// moved puts a frame of one connection before one of another: where the recorded order between the two is the
// scheduler's, the player reads what the gateway sends on its own before it lets it go on.
func moved(t *testing.T, frames []transcript.Frame, what, before mark) []transcript.Frame {
	t.Helper()
	find := func(m mark) int {
		i := slices.IndexFunc(frames, func(f transcript.Frame) bool { return f.Conn == m.conn && f.N == m.n })
		require.GreaterOrEqual(t, i, 0)
		return i
	}
	from, to := find(what), find(before)
	require.Greater(t, from, to)
	frames = slices.Clone(frames)
	f := frames[from]
	frames = slices.Delete(frames, from, from+1)
	return slices.Insert(frames, to, f)
}
