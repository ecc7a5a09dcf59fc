package pluginserver

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// A conn is one connection of Kong with its place in the server.
type conn struct {
	*stream
	id    uint32
	event atomic.Pointer[event] // the one that a handler is running
	leave atomic.Bool           // end or hand over as soon as it is idle and clean
}

// beforeUs stands for a call of an earlier worker whose reply has not been read.
var beforeUs = &method{name: "a call of an earlier worker"} // read-only

func (s *server) open(nc net.Conn, owed uint32) {
	c := &conn{}
	if s.busy != nil {
		c.id = s.busy.take()
		c.stream = newStream(nc, s.busy.flag(c.id))
	} else {
		c.stream = newStream(nc, nil)
	}
	for range owed {
		c.await(beforeUs, nil, false)
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	if s.give != nil { // accepted after the hand-over began
		c.leave.Store(true)
	}
	s.mu.Unlock()
	s.counts.connections.Add(1)
	if uc, ok := nc.(*net.UnixConn); ok {
		s.onOpen(c.id, uc)
	}
	s.serving.Add(1)
	go s.converse(c)
}

// converse serves a connection until it ends, is handed over, or the watchdog takes it away from this goroutine.
func (s *server) converse(c *conn) {
	for {
		if c.leave.Load() && s.left(c) {
			return
		}
		call, err := c.readCall()
		if errors.Is(err, errInterrupted) {
			continue
		}
		if err != nil {
			s.noteLoss(c, err)
			s.close(c)
			s.serving.Done()
			return
		}
		switch s.answer(c, call) {
		case goOn:
		case hangUp:
			s.hangUp(c)
			return
		case linger:
			s.linger(c)
			return
		case taken:
			return
		}
	}
}

// What becomes of a connection after a call.
type outcome uint8

const (
	goOn   outcome = iota
	hangUp         // half-close: Kong reads a clean "closed"
	linger         // Kong closes it; read until then
	taken          // another goroutine serves it
)

// left ends the connection if nothing of Kong's is unanswered on it: handed over where there is a taker, else half-closed.
func (s *server) left(c *conn) bool {
	for len(c.awaited) > 0 {
		if err := c.settle(nil); err != nil {
			return false // readCall meets it again and says so
		}
	}
	if !c.clean() {
		return false
	}
	s.mu.Lock()
	give := s.give
	s.mu.Unlock()
	if give == nil {
		s.hangUp(c)
		return true
	}
	s.forget(c)
	give(c.id)
	_ = c.conn.Close() // the taker holds the connection by a descriptor of its own
	s.serving.Done()
	return true
}

// hangUp half-closes and lingers. A plain close would be a reset for whoever at Kong's side is just sending.
func (s *server) hangUp(c *conn) {
	if uc, ok := c.conn.(*net.UnixConn); ok {
		_ = uc.CloseWrite()
	} else {
		_ = c.conn.Close()
	}
	s.linger(c)
}

// linger reads until Kong closes. No event can come any more, so nobody waits for it but the end of the process.
// After Exit, Kong answers what stood before it: when it closes without, it has refused one of those calls and not exited.
func (s *server) linger(c *conn) {
	s.lingering.Add(1)
	defer s.lingering.Done()
	s.serving.Done()
	end := time.Now().Add(lingerTime)
	owed := replies{left: len(c.awaited)}
	owed.skip(c.buf[c.r:c.w])
	for time.Now().Before(end) {
		_ = c.conn.SetReadDeadline(end)
		n, err := c.conn.Read(c.buf)
		owed.skip(c.buf[:n])
		if err != nil && !isTimeout(err) {
			if unanswered := c.unanswered(); owed.left > 0 && !c.told {
				s.refused(unanswered[len(unanswered)-owed.left:])
			}
			break
		}
	}
	s.close(c)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// noteLoss records replies that Kong never gave: the calls behind them were refused, or Kong died.
func (s *server) noteLoss(c *conn, err error) {
	if len(c.awaited) > 0 {
		s.refused(c.unanswered())
		return
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("connection lost", "error", err)
	}
}

func (s *server) refused(calls []string) {
	s.counts.refused.Add(1)
	s.reports.Report("refused", "kong ended an event with these calls unanswered, it has refused one of them: "+strings.Join(calls, " "))
}

// broken notes that an event's stream failed.
func (s *server) broken(e *event, err error) {
	e.stream.between, e.stream.told = false, true
	s.counts.broken.Add(1)
	if len(e.stream.awaited) > 0 {
		s.refused(e.stream.unanswered())
	} else {
		s.log.Debug("event lost its connection", "phase", e.phase.String(), "error", err)
	}
}

// close forgets the connection and closes our descriptor.
func (s *server) close(c *conn) {
	s.forget(c)
	s.onClose(c.id)
	_ = c.conn.Close()
	if s.busy != nil {
		s.busy.put(c.id)
	}
}

func (s *server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.counts.connections.Add(-1)
}
