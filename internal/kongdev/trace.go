package kongdev

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"kong-go-plugins/internal/kongdev/lua"
)

// A Trace is what happened for one request so far. Times are counted from
// Start; an end of 0 is still to come.
type Trace struct {
	Number    int64 // of the request, from 1 in the order of arrival
	RequestID string
	Worker    int
	Start     time.Time
	Method    string
	URI       string // as the client sent it; may hold secrets
	Host      string
	Proto     string
	ClientIP  string
	Route     string // its name, else its id; "" when none matched
	Service   string
	Consumer  string // username, else id
	Status    int    // of the answer; 0 until there is one
	Source    string // who answered: service, exit or error
	Bytes     int    // sent to the client, headers included
	Answered  time.Duration
	Upstream  []TraceTry
	Events    []TraceEvent // in the order in which they began; a repeat is one more
	Done      bool         // answered, and every log event has ended
}

// A TraceTry is one attempt to get an answer from the upstream.
type TraceTry struct {
	Address    string
	Start, End time.Duration // End is when the response's headers were there
	Status     int           // 0 until there is one
	Failed     bool          // Status is Kong's own: 499, 502 or 504
}

// A TraceEvent is one phase of one plugin.
type TraceEvent struct {
	Plugin   string
	Priority int
	Config   string // id of the configuration
	Phase    string
	Conn     int64         // 0 until it has a connection
	Instance int32         // that handles it
	Started  time.Duration // how long the start of that instance took; 0 when it was there already
	Start    time.Duration // before an instance was started, if that was needed
	Sent     time.Duration // when the event went to the plugin
	End      time.Duration
	Flights  int // how often the gateway had to wait for the plugin: round trips
	Calls    []TraceCall
	Exit     int    // status of the plugin's own answer
	Error    string // what ended the event instead of its end
}

// A TraceCall is one PDK call. Its bytes are protobuf messages of Kong's
// protocol; they may hold secrets and are cut at Options.TraceBytes.
type TraceCall struct {
	Method           string
	Args, Reply      []byte
	ArgSize, RepSize int           // before the cut
	At               time.Duration // when it had arrived whole
	Took             time.Duration // until the reply was with the kernel
	Flight           int           // calls of one number arrived together
	Error            string        // Lua error instead of a reply, or what the event ended with
}

// A LiveTrace is a Trace in the making. It is safe for concurrent use; a nil one
// records nothing.
type LiveTrace struct {
	hook    func(*LiveTrace)
	limit   int // bytes kept of a message
	mu      sync.Mutex
	t       Trace
	pending int // what must end before it is done: the request and its log events
	size    int // bytes of messages
}

// Snapshot is the trace as it stands. What it refers to is not changed any more.
func (l *LiveTrace) Snapshot() Trace {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.t
	t.Upstream, t.Events = slices.Clone(t.Upstream), slices.Clone(t.Events)
	return t
}

// Number is the request's number.
func (l *LiveTrace) Number() int64 { return l.t.Number } // never changes

// RequestID is the request's X-Kong-Request-Id.
func (l *LiveTrace) RequestID() string { return l.t.RequestID } // never changes

// Done reports whether nothing more will be recorded.
func (l *LiveTrace) Done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.t.Done
}

// Size is how many bytes of messages it holds.
func (l *LiveTrace) Size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// newTrace begins the trace of a request; nil when nobody wants it.
func (q *request) newTrace() *LiveTrace {
	g := q.gw
	if g.opts.OnTrace == nil {
		return nil
	}
	l := &LiveTrace{hook: g.opts.OnTrace, limit: g.opts.TraceBytes, pending: 1, t: Trace{
		Number: g.traces.Add(1), RequestID: q.id, Worker: q.worker.id, Start: time.Now(), Method: q.method, URI: q.uri,
		Host: q.in.Host, Proto: q.in.Proto, ClientIP: q.clientIP,
	}}
	l.hook(l)
	return l
}

// change applies f and tells the hook.
func (l *LiveTrace) change(f func(t *Trace, now time.Duration)) {
	if l == nil {
		return
	}
	l.mu.Lock()
	f(&l.t, time.Since(l.t.Start))
	l.mu.Unlock()
	l.hook(l)
}

// answered records the answer; logs is how many log events follow.
func (l *LiveTrace) answered(q *request, logs int) {
	l.change(func(t *Trace, now time.Duration) {
		t.Status, t.Source, t.Bytes, t.Answered = q.status, q.source(), q.out.sent, now
		if r := q.route(); r != nil {
			t.Route = nameOr(r.Name, r.ID)
		}
		if s := q.service(); s != nil {
			t.Service = nameOr(s.Name, s.ID)
		}
		if c, ok := q.ctx.consumer.(*lua.Table); ok {
			id, _ := c.Get("id").(string)
			name, _ := c.Get("username").(string)
			t.Consumer = nameOr(name, id)
		}
		l.pending += logs
		l.endLocked()
	})
}

// logEnded records that a log event is over, or was never begun.
func (l *LiveTrace) logEnded() {
	l.change(func(*Trace, time.Duration) { l.endLocked() })
}

func (l *LiveTrace) endLocked() {
	l.pending--
	l.t.Done = l.pending == 0
}

func nameOr(name, id string) string {
	if name == "" {
		return id
	}
	return name
}

// tryBegins and tryEnds record an attempt at the upstream.
func (l *LiveTrace) tryBegins() {
	l.change(func(t *Trace, now time.Duration) { t.Upstream = append(t.Upstream, TraceTry{Start: now}) })
}

func (l *LiveTrace) tryEnds(address string, status int, failed bool) {
	l.change(func(t *Trace, now time.Duration) {
		last := &t.Upstream[len(t.Upstream)-1]
		last.Address, last.End, last.Status, last.Failed = address, now, status, failed
	})
}

// A traceEvent is the open end of one of a trace's events; a nil one records
// nothing.
type traceEvent struct {
	live  *LiveTrace
	index int
}

func (l *LiveTrace) event(conf *pluginConfig, phase string) *traceEvent {
	if l == nil {
		return nil
	}
	e := &traceEvent{live: l}
	l.change(func(t *Trace, now time.Duration) {
		e.index = len(t.Events)
		t.Events = append(t.Events, TraceEvent{
			Plugin: conf.plugin.Name, Priority: conf.plugin.Priority, Config: conf.entity.ID, Phase: phase, Start: now,
		})
	})
	return e
}

// started records that an instance had to be started for the event.
func (e *traceEvent) started(took time.Duration) {
	if e == nil {
		return
	}
	e.live.mu.Lock()
	defer e.live.mu.Unlock()
	e.live.t.Events[e.index].Started = took
}

// instance records who handles the event.
func (e *traceEvent) instance(id int32) {
	if e == nil {
		return
	}
	e.live.mu.Lock()
	defer e.live.mu.Unlock()
	e.live.t.Events[e.index].Instance = id
}

// sent records that the event is on its way to the plugin.
func (e *traceEvent) sent(conn int64) {
	if e == nil {
		return
	}
	e.live.mu.Lock()
	defer e.live.mu.Unlock()
	ev := &e.live.t.Events[e.index]
	ev.Conn, ev.Sent, ev.Flights = conn, time.Since(e.live.t.Start), 1
}

// call records that a call has arrived; together says that it came with the one
// before. The function it returns records how it was answered.
func (e *traceEvent) call(method string, args []byte, together bool) func(reply []byte, err error) {
	if e == nil {
		return func([]byte, error) {}
	}
	c := TraceCall{Method: method, Args: e.live.keep(args), ArgSize: len(args), At: time.Since(e.live.t.Start)}
	return func(reply []byte, err error) {
		c.Took = time.Since(e.live.t.Start) - c.At
		c.Reply, c.RepSize = e.live.keep(reply), len(reply)
		var exit *exitSignal
		switch {
		case errors.As(err, &exit):
			c.Error = fmt.Sprintf("exit %d", exit.reply.status)
		case err != nil:
			c.Error = err.Error()
		}
		e.live.mu.Lock()
		defer e.live.mu.Unlock()
		ev := &e.live.t.Events[e.index]
		if !together && len(ev.Calls) > 0 {
			ev.Flights++
		}
		c.Flight = ev.Flights
		e.live.size += len(c.Args) + len(c.Reply)
		ev.Calls = append(ev.Calls, c)
	}
}

// ended records the event's end; together says that it came with the last call.
func (e *traceEvent) ended(err error, together bool) {
	if e == nil {
		return
	}
	e.live.change(func(t *Trace, now time.Duration) {
		ev := &t.Events[e.index]
		ev.End = now
		if err == nil && !together && len(ev.Calls) > 0 {
			ev.Flights++
		}
		var exit *exitSignal
		switch {
		case errors.As(err, &exit):
			ev.Exit = exit.reply.status
		case err != nil:
			ev.Error = err.Error()
		}
	})
}

// keep copies the part of a message that the trace holds.
func (l *LiveTrace) keep(b []byte) []byte {
	if l.limit > 0 && len(b) > l.limit {
		b = b[:l.limit]
	}
	return slices.Clone(b)
}
