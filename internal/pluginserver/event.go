package pluginserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Kong/go-pdk"
)

// What a handler's PDK call answers when it can no longer reach Kong.
var (
	errExited   = errors.New("the response has been sent by Exit: this call was dropped")
	errEnded    = errors.New("the event is over: this call was dropped")
	errAnswered = errors.New("the event was ended with the questions of AskLast, and this call is none of them: it was dropped")
)

type eventState uint8

const (
	running   eventState = iota
	lastAsked            // AskLast has ended it: the handler may use the answers in memo, the connection is not its own any more
	exited               // Exit has left; the connection is Kong's to close
	ended                // the handler returned, or its time is up; whoever still holds the PDK talks to nobody
)

// An event is one phase of one request: the net.Conn that go-pdk writes a handler's calls to.
//
// go-pdk writes a call as two frames and then reads; so a call is known whole when it reads, and is classified there:
// answered locally and sent later (write-behind), served from what was prefetched, or sent now with everything that
// was collected before it. What was half-written when an argument could not be encoded never leaves.
type event struct {
	srv      *server
	conn     *conn
	stream   *stream // the connection's
	phase    phases
	sequence int64
	started  int64        // server clock
	waited   atomic.Int64 // nanoseconds that the watchdog has seen the handler wait for Kong

	mu      sync.Mutex // held during each read and write of the handler; the watchdog takes over only when it is free
	state   eventState
	pending []byte // frames of the call being written
	reply   []byte // what the handler reads next
	left    int    // bytes of a large reply that the handler reads past the buffer
	scratch [frameHeader]byte
	memo    []answer
	dropped int // calls after Exit

	finished bool // the handler has returned: the connection is its goroutine's again
	taken    bool // another goroutine owns the connection: the handler is late, or alone, or its goroutine has ended
	alone    bool // the handler goes on without its connection: the end of the process waits for it

	ctx    context.Context
	cancel context.CancelFunc
}

// An answer is a prefetched reply, with its header.
type answer struct {
	method *method
	args   []byte
	frame  []byte
}

var eventType = reflect.TypeFor[*event]()

// eventOf finds the event behind a PDK, nil when the PDK belongs to another server.
// go-pdk keeps its connection unexported; reflection reads its type and address without touching it.
func eventOf(kong *pdk.PDK) *event {
	conn := reflect.ValueOf(&kong.Request.PdkBridge).Elem().Field(0).Elem()
	if !conn.IsValid() || conn.Type() != eventType {
		return nil
	}
	return (*event)(conn.UnsafePointer())
}

// Write collects the frames of a call.
func (e *event) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state > lastAsked {
		return 0, e.gone()
	}
	e.pending = append(e.pending, p...)
	return len(p), nil
}

// Read submits the call that was written and hands out its reply.
func (e *event) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state > lastAsked {
		return 0, e.gone()
	}
	if len(e.pending) > 0 {
		method, args, ok := lastCall(e.pending)
		if !ok {
			e.pending = e.pending[:0]
			return 0, errors.New("not a whole call: nothing was sent")
		}
		err := e.submit(method, args)
		if e.pending = e.pending[:0]; cap(e.pending) > keepBuffer {
			e.pending = nil
		}
		if err != nil {
			return 0, err
		}
	}
	if len(e.reply) > 0 {
		n := copy(p, e.reply)
		e.reply = e.reply[n:]
		return n, nil
	}
	if e.left == 0 {
		return 0, io.EOF
	}
	if len(p) > e.left {
		p = p[:e.left]
	}
	if err := e.stream.readFull(p); err != nil {
		return 0, e.fail(unexpected(err))
	}
	e.left -= len(p)
	return len(p), nil
}

// emptyReply is the reply of a setter.
var emptyReply = make([]byte, frameHeader)

// submit decides what happens to a whole call.
func (e *event) submit(name, args []byte) error {
	if e.state == lastAsked {
		frame := e.known(methods[string(name)], args)
		if frame == nil {
			return errAnswered
		}
		e.reply = frame
		return nil
	}
	if e.left > 0 { // a reply that was not read to its end
		if err := e.stream.skip(e.left); err != nil {
			return e.fail(err)
		}
		e.left = 0
	}
	m := methods[string(name)]
	switch {
	case m == nil: // Kong will say no in its own way
		m = &method{name: string(name)}
	case e.phase == log && !m.servedInLog(args):
		return notInLog(m)
	case m.name == exitMethod:
		return e.exit(args)
	case m.behind != nil:
		if m.phases&e.phase != 0 && frameHeader*2+len(name)+len(args) <= maxUnsent && m.behind(args) {
			return e.sendBehind(m, args)
		}
		e.forget(m)
	default:
		if frame, ok, err := e.prefetched(m, args); ok || err != nil {
			e.reply = frame
			return err
		}
		if m.phases == toService || m.phases == access { // a setter that waits
			e.forget(m)
		}
	}
	n, err := e.send(m, args)
	if err != nil {
		return err
	}
	appendHeader(e.scratch[:0], n)
	e.reply, e.left = e.scratch[:], n
	return nil
}

// sendBehind puts a setter into the next flight and answers it.
func (e *event) sendBehind(m *method, args []byte) error {
	if err := e.collect(m, args, false); err != nil {
		return err
	}
	e.forget(m)
	e.reply = emptyReply
	return nil
}

// collect puts a call into the next flight, after making room there.
func (e *event) collect(m *method, args []byte, keep bool) error {
	s := e.stream
	if len(s.awaited) >= maxUnanswered || len(s.out)+2*frameHeader+len(m.name)+len(args) > maxUnsent {
		if err := e.flight(); err != nil {
			return err
		}
	}
	s.out = appendFrame(s.out, m.name)
	s.out = appendFrameBytes(s.out, args)
	var key []byte
	if keep {
		key = args
	}
	s.await(m, key, keep)
	return nil
}

// flight sends what was collected and reads every reply that is still to come.
func (e *event) flight() error {
	s := e.stream
	if err := e.flush(); err != nil {
		return e.fail(err)
	}
	for len(s.awaited) > 0 {
		if err := s.settle(e.remember); err != nil {
			return e.fail(err)
		}
	}
	return nil
}

// flush sends what was collected, and counts the flight.
func (e *event) flush() error {
	if len(e.stream.out) > 0 {
		e.srv.counts.flight(e.phase)
	}
	return e.stream.flush()
}

// send sends a call with everything collected before it and reads up to the header of its reply.
func (e *event) send(m *method, args []byte) (n int, err error) {
	s := e.stream
	if len(args) > maxUnsent {
		// A large frame goes alone: were replies under way at the same time, both sides could block in a write.
		if err := e.flight(); err != nil {
			return 0, err
		}
	}
	s.out = appendFrame(s.out, m.name)
	s.out = appendFrameBytes(s.out, args)
	if err := e.flight(); err != nil {
		return 0, err
	}
	if n, err = s.readHeader(maxReply); err != nil {
		return 0, e.fail(unexpected(err))
	}
	return n, nil
}

// exit sends Exit with what stands before it and returns at once: Kong never answers.
func (e *event) exit(args []byte) error {
	s := e.stream
	if len(args) > maxUnsent {
		if err := e.flight(); err != nil {
			return err
		}
	}
	e.srv.reports.appendTo(e)
	s.out = appendFrame(s.out, exitMethod)
	s.out = appendFrameBytes(s.out, args)
	if err := e.flush(); err != nil {
		return e.fail(err)
	}
	e.state = exited
	return io.EOF
}

// fail ends the event's talk with Kong: the stream is of no more use.
func (e *event) fail(err error) error {
	e.state = ended
	e.srv.broken(e, err)
	return err
}

func (e *event) gone() error {
	switch {
	case e.state == exited && !e.taken:
		e.dropped++
		return errExited
	case e.state == lastAsked:
		return errAnswered
	}
	return errEnded
}

// remember stores the answer to a prefetched question.
func (e *event) remember(m *method, args, reply []byte) {
	b := appendFrameBytes(make([]byte, 0, frameHeader+len(reply)+len(args)), reply)
	n := len(b)
	b = append(b, args...)
	if e.memo == nil {
		e.memo = make([]answer, 0, 4)
	}
	e.memo = append(e.memo, answer{method: m, args: b[n:], frame: b[:n:n]})
}

// forget drops every prefetched answer that the setter m may have changed.
func (e *event) forget(m *method) {
	if m.keepsMemo {
		return
	}
	changed := func(asked *method) bool { return m.changes == "" || m.changes == asked.name }
	e.memo = slices.DeleteFunc(e.memo, func(a answer) bool { return changed(a.method) })
	for _, a := range e.stream.awaited {
		if changed(a.method) {
			a.keep = false
		}
	}
}

// known finds the answer to a question that was asked before, nil when it has not come.
func (e *event) known(m *method, args []byte) (frame []byte) {
	for _, a := range e.memo {
		if a.method == m && bytes.Equal(a.args, args) {
			return a.frame
		}
	}
	return nil
}

// prefetched is known, sending the questions if they have not left.
func (e *event) prefetched(m *method, args []byte) (frame []byte, ok bool, err error) {
	if frame := e.known(m, args); frame != nil || e.state == lastAsked {
		return frame, frame != nil, nil
	}
	for _, a := range e.stream.awaited {
		if a.keep && a.method == m && bytes.Equal(a.args, args) {
			if err := e.flight(); err != nil {
				return nil, false, err
			}
			return e.prefetched(m, args)
		}
	}
	return nil, false, nil
}

// ask is the short way of a question of our own: no go-pdk, no protobuf objects. The answer holds until the next call;
// with once, one that was prefetched is forgotten. It is the caller's for good when own is true.
func (e *event) ask(m *method, args []byte, once bool) (p []byte, own bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state > lastAsked {
		return nil, false, e.gone()
	}
	if e.phase == log && !m.servedInLog(args) {
		return nil, false, notInLog(m)
	}
	if frame, ok, err := e.prefetched(m, args); ok || err != nil {
		if err != nil {
			return nil, false, err
		}
		if once {
			e.memo = slices.DeleteFunc(e.memo, func(a answer) bool { return &a.frame[0] == &frame[0] })
		}
		return frame[frameHeader:], once, nil
	}
	if e.state == lastAsked {
		return nil, false, errAnswered
	}
	n, err := e.send(m, args)
	if err != nil {
		return nil, false, err
	}
	if p, err = e.stream.readPayload(n); err != nil {
		return nil, false, e.fail(err)
	}
	return p, n > len(e.stream.buf), nil
}

func notInLog(m *method) error {
	if m.phases&log != 0 {
		return fmt.Errorf("%s cannot be called in log with these arguments: nothing was sent", m.name)
	}
	return fmt.Errorf("%s cannot be called in log: nothing was sent", m.name)
}

// spent is how much of its time the handler has used: waiting for Kong is not its own.
func (e *event) spent() time.Duration {
	return e.srv.since(e.started) - time.Duration(e.waited.Load())
}

// context returns the event's context, made when first asked for.
func (e *event) context() context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil {
		e.ctx, e.cancel = context.WithTimeout(context.Background(), budget-e.spent())
		if e.state == ended {
			e.cancel()
		}
	}
	return e.ctx
}

// net.Conn for the rest. Close is go-pdk's last act in Exit; the connection is not its to close.

func (e *event) Close() error                     { return nil }
func (e *event) LocalAddr() net.Addr              { return e.stream.conn.LocalAddr() }
func (e *event) RemoteAddr() net.Addr             { return e.stream.conn.RemoteAddr() }
func (e *event) SetDeadline(time.Time) error      { return nil }
func (e *event) SetReadDeadline(time.Time) error  { return nil }
func (e *event) SetWriteDeadline(time.Time) error { return nil }
