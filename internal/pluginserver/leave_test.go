package pluginserver

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

func TestHandOverGivesIdleAtOnceAndBusyAfterTheirEvent(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	busyFlags, f, err := newBusyFlags()
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close(); _ = busyFlags.close() }) // after the rig's own cleanup
	var copies sync.Map
	handlers := testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		close(inside)
		<-release
		_ = kong.ServiceRequest.SetHeader("x-a", "1")
	}}
	r := newRig(t, handlers, func(s *serverConfig) {
		s.busy = busyFlags
		s.onOpen = func(id uint32, c *net.UnixConn) {
			copies.Store(id, duplicate(t, c))
		}
	})
	t.Cleanup(func() {
		select {
		case <-release:
		default:
			close(release)
		}
	})
	next := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _ = kong.Response.SetHeader("x-next", "1") }})
	idle, busy := r.dial(), r.dial()
	id := idle.start(map[string]any{"__seq__": 3})
	next.restore(id, []byte(`{"__seq__":3}`))
	busy.event(id, "access")
	<-inside
	require.Eventually(t, func() bool {
		up := 0
		copies.Range(func(k, _ any) bool {
			if _, idle := busyFlags.idle(k.(uint32)); !idle {
				up++
			}
			return true
		})
		return up == 1
	}, waitFor, time.Millisecond, "one flag of two is up")
	done := make(chan struct{})
	go func() {
		r.stopAccepting()
		r.handOver(func(id uint32) {
			c, _ := copies.LoadAndDelete(id)
			next.adopt(c.(*net.UnixConn), 0)
		})
		close(done)
	}()
	require.Eventually(t, func() bool { return next.counts.connections.Load() == 1 }, waitFor, time.Millisecond)
	calls, err := idle.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Equal(t, []string{"kong.response.set_header"}, methodsOf(calls), "the idle connection is the successor's")
	close(release)
	require.Equal(t, "kong.service.request.set_header", string(busy.read()))
	busy.read()
	busy.send(nil)
	require.Empty(t, busy.read())
	busy.read()
	<-done
	calls, err = busy.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Equal(t, []string{"kong.response.set_header"}, methodsOf(calls), "the busy one follows after its event")
	require.Zero(t, r.counts.connections.Load())
}

// duplicate returns another descriptor of the connection. Not by File: that makes the shared description blocking.
func duplicate(t *testing.T, c *net.UnixConn) *net.UnixConn {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	fd := -1
	require.NoError(t, raw.Control(func(f uintptr) { fd, err = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0) }))
	require.NoError(t, err)
	f := os.NewFile(uintptr(fd), "copy")
	defer func() { _ = f.Close() }()
	nc, err := net.FileConn(f)
	require.NoError(t, err)
	return nc.(*net.UnixConn)
}

// What is in the backlog is served, however late the process comes to it.
func TestTheBacklogIsTakenAfterItsTime(t *testing.T) {
	path := filepath.Join(prefixFolder(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	var peers []*peer
	for range 3 {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		peers = append(peers, &peer{t, c})
	}
	require.NoError(t, l.SetDeadline(time.Unix(1, 0)))
	r := newMemoryRig(t, testHandlers{})
	require.NoError(t, r.serve(l))
	require.NoError(t, l.Close())
	for _, p := range peers {
		_, err := p.run(p.start(nil), "access", noAnswer)
		require.NoError(t, err)
	}
}

func TestDrainHalfClosesIdleAndFinishesBusy(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, testHandlers{access: func(*testConfig, *pdk.PDK) { close(inside); <-release }})
	idle, busy := r.dial(), r.dial()
	id := idle.start(nil)
	busy.event(id, "access")
	<-inside
	r.stopAccepting()
	done := make(chan error, 1)
	go func() { done <- r.drain(context.Background()) }()
	_, err := idle.tryRead()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, idle.conn.Close())
	close(release)
	require.Empty(t, busy.read())
	busy.read()
	_, err = busy.tryRead()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, busy.conn.Close())
	require.NoError(t, <-done)
}

// handOverRig is a server that gives its connections to next, and what starts that.
func handOverRig(t *testing.T, h testHandlers) (r, next *rig, begin func() (done chan struct{})) {
	busyFlags, f, err := newBusyFlags()
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close(); _ = busyFlags.close() })
	var copies sync.Map
	r = newRig(t, h, func(s *serverConfig) {
		s.busy = busyFlags
		s.onOpen = func(id uint32, c *net.UnixConn) { copies.Store(id, duplicate(t, c)) }
	})
	next = newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _ = kong.Response.SetHeader("x-next", "1") }})
	return r, next, func() chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.stopAccepting()
			r.handOver(func(id uint32) {
				c, _ := copies.LoadAndDelete(id)
				next.adopt(c.(*net.UnixConn), 0)
			})
		}()
		return done
	}
}

func TestHandOverInTheMiddleOfAFrame(t *testing.T) {
	r, next, begin := handOverRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _ = kong.Response.SetHeader("x-old", "1") }})
	p := r.dial()
	id := p.start(map[string]any{"__seq__": 3})
	next.restore(id, []byte(`{"__seq__":3}`))
	call, err := proto.Marshal(&kong_plugin_protocol.RpcCall{Sequence: 77, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{
		CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: id, EventName: "access"},
	}})
	require.NoError(t, err)
	_, err = p.conn.Write(appendHeader(nil, len(call))) // Kong's first send; the second has not come yet
	require.NoError(t, err)
	require.Eventually(t, func() bool { // read by the server, which now waits for the rest
		n, err := unix.IoctlGetInt(int(fdOf(t, p.conn.(*net.UnixConn))), unix.SIOCOUTQ)
		return err == nil && n == 0
	}, waitFor, time.Millisecond)
	done := begin()
	_, err = p.conn.Write(call)
	require.NoError(t, err)
	require.Equal(t, "kong.response.set_header", string(p.read()))
	require.Contains(t, string(p.read()), "x-old", "whoever read the length answers")
	p.send(nil)
	require.Empty(t, p.read())
	p.read()
	<-done
	calls, err := p.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Contains(t, string(calls[0].args), "x-next")
}

func TestHandOverWithRepliesOutstanding(t *testing.T) {
	r, next, begin := handOverRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _ = kong.Response.SetHeader("x-old", "1") }})
	p := r.dial()
	id := p.start(nil)
	p.event(id, "access")
	p.read()
	p.read()
	require.Empty(t, p.read())
	p.read() // the event is over, one reply is owed
	done := begin()
	select {
	case <-done:
		t.Fatal("a connection with a reply outstanding was given away")
	case <-time.After(30 * time.Millisecond):
	}
	p.send(nil)
	<-done // without another event
	require.EqualValues(t, 1, next.counts.connections.Load())
}

func fdOf(t *testing.T, c *net.UnixConn) (fd uintptr) {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(f uintptr) { fd = f }))
	return fd
}

// TestSuccessorOfADeadWorkerSkipsWhatKongOwed: an event is over for Kong once it has read its end; if the worker dies
// before it has read the replies to its setters and to its last questions, the next one skips them.
func TestSuccessorOfADeadWorkerSkipsWhatKongOwed(t *testing.T) {
	for name, tell := range map[string]func(*pdk.PDK){
		"setters": func(kong *pdk.PDK) {
			_ = kong.Response.SetHeader("x-a", "1")
			_ = kong.Response.SetHeader("x-b", "2")
		},
		"last questions": func(kong *pdk.PDK) { AskLast(kong, AskMethod(), AskRequestBody()) },
	} {
		t.Run(name, func(t *testing.T) {
			flags, f, err := newBusyFlags()
			require.NoError(t, err)
			t.Cleanup(func() { _ = f.Close(); _ = flags.close() })
			var id uint32
			var copied *net.UnixConn
			handlers := testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { tell(kong) }}
			r := newRig(t, handlers, func(s *serverConfig) {
				s.busy = flags
				s.onOpen = func(i uint32, c *net.UnixConn) { id, copied = i, duplicate(t, c) }
			})
			p := r.dial()
			instance := p.start(map[string]any{"__seq__": 3})
			require.Eventually(t, func() bool { owed, ok := flags.idle(id); return ok && owed == 0 }, waitFor, time.Millisecond)
			p.event(instance, "access")
			for range 2 {
				require.NotEmpty(t, p.read())
				p.read()
			}
			p.readEnd()
			require.Eventually(t, func() bool { owed, ok := flags.idle(id); return ok && owed == 2 }, waitFor, time.Millisecond)
			// the worker is dead from here on: nobody reads its descriptor any more
			r.connections()[0].leave.Store(true)
			r.mu.Lock()
			r.give = func(uint32) {}
			r.mu.Unlock()
			next := newRig(t, handlers)
			next.restore(instance, []byte(`{}`))
			_ = r.connections()[0].conn.Close()
			next.adopt(copied, 2)
			p.send(nil)
			p.send(nil)
			calls, err := p.run(instance, "access", noAnswer)
			require.NoError(t, err)
			require.Len(t, calls, 2)
		})
	}
}
