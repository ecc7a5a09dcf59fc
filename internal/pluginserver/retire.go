package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"runtime/debug"
	"time"
)

// pathPoll is how often a worker that is to end looks whether another process has taken the socket's path.
const pathPoll = 20 * time.Millisecond

// handOver gives the connections to the successor, which already accepts.
func (w *worker) handOver() {
	w.log.Info("handing over")
	w.server.stopAccepting()
	_ = w.listener.Close()
	w.server.handOver(w.give)
}

// retire ends without a successor in this family: Kong or a service manager has, or will have, started another one.
func (w *worker) retire(grace time.Duration) {
	untilReplaced(w.setup, grace)
	w.server.stopAccepting() // takes what is in the backlog
	_ = w.listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), eventsTime)
	defer cancel()
	if err := w.server.drain(ctx); err != nil {
		w.log.Warn("some events did not end in time", "error", err)
	}
}

// untilReplaced returns when the socket's path names another file or none, or grace has passed.
func untilReplaced(setup workerSetup, grace time.Duration) {
	end := time.Now().Add(grace)
	for {
		id, err := fileIDOf(setup.Socket)
		if errors.Is(err, fs.ErrNotExist) || (err == nil && id != setup.ID) {
			return
		}
		left := time.Until(end)
		if left <= 0 {
			return
		}
		time.Sleep(min(left, pathPoll))
	}
}

// drainPlugin flushes what the plugin holds, once the last handler has ended.
func (w *worker) drainPlugin() {
	if w.plugin.Drain == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTime+w.plugin.slack)
	defer cancel()
	if err := w.callDrain(ctx); err != nil {
		w.log.Error("not everything could be sent before the end", "error", err)
	}
}

func (w *worker) callDrain(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.plugin.Drain(ctx)
}

// end releases what run has owned.
func (w *worker) end() {
	w.control.close(controlFlush)
	w.linger.wait(controlFlush)
	w.linger.close()
	w.server.shutdown()
	w.tasks.Wait()
	w.log.Info("worker ends")
}

// opened sends a copy of a connection to the supervisor.
func (w *worker) opened(id uint32, c *net.UnixConn) {
	if id == 0 { // beyond the busy flags, where connections share this id
		return
	}
	held := false
	if fd, err := copyOf(c); err == nil {
		held = w.control.send(controlMessage{kind: msgOpened, id: id, fd: fd})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[id] = openConn{conn: c, held: held}
}

// closed tells the supervisor to drop its copy.
func (w *worker) closed(id uint32) {
	if w.take(id).held {
		w.control.tell(msgClosed, id)
	}
}

func (w *worker) take(id uint32) openConn {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conns[id]
	delete(w.conns, id)
	return c
}

// give passes an idle connection to the successor, through the supervisor. When there is no supervisor
// any more, nobody can take it: it is ended cleanly.
func (w *worker) give(id uint32) {
	c := w.take(id)
	if c.conn == nil {
		return
	}
	select {
	case <-w.orphaned:
	default:
		// With a copy, although the supervisor should hold one: it may have had no room for a descriptor just then.
		fd, err := copyOf(c.conn)
		if (err == nil || c.held) && w.control.send(controlMessage{kind: msgGive, id: id, fd: fd}) {
			return
		}
	}
	if fd, err := copyOf(c.conn); err == nil {
		w.linger.end(fd)
	}
}
