package kongdevtest

import (
	"sync"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/kongdev"
)

// A Call is one PDK call of a plugin. Texts are whole and hold secrets.
type Call struct {
	Plugin, Phase string
	Method        string // kong.request.get_header
	Args          string // `"x-user"`
	Result        string // `"ann"`; "" for nothing
	Error         string // of a call that Kong refused: its Lua error, or exit and the status
	Flight        int    // calls of one number arrived together, without waiting for each other's result
}

// String is the call as one would write it.
func (c Call) String() string { return c.Method + "(" + c.Args + ")" }

// Trace waits until all of a request is over, its log events too, and returns what happened.
func (g *Gateway) Trace(r *Response) kongdev.Trace {
	g.t.Helper()
	require.NotEmpty(g.t, r.ID(), "the response has no X-Kong-Request-Id to know its request by")
	ctx, cancel := g.patience()
	defer cancel()
	for {
		live, changed := g.traces.find(r.ID())
		if live != nil && live.Done() {
			return live.Snapshot()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			require.Fail(g.t, "the request is not over", "request %s: known %t", r.ID(), live != nil)
		}
	}
}

// Calls waits until all of a request is over and returns the calls of all plugins in the phases, or in all of them.
func (g *Gateway) Calls(r *Response, phases ...string) []Call {
	g.t.Helper()
	var calls []Call
	for _, e := range g.Trace(r).Events {
		if !in(e.Phase, phases) {
			continue
		}
		for _, c := range e.Calls {
			calls = append(calls, Call{
				Plugin: e.Plugin, Phase: e.Phase, Method: c.Method, Args: frames.PlainArgs(c.Method, c.Args),
				Result: frames.PlainReply(c.Method, c.Reply), Error: c.Error, Flight: c.Flight,
			})
		}
	}
	return calls
}

// Flights waits until all of a request is over and returns how many round trips a plugin's events of the phases took,
// the events themselves included. No phase stands for all.
func (g *Gateway) Flights(r *Response, plugin string, phases ...string) int {
	g.t.Helper()
	n := 0
	for _, e := range g.Trace(r).Events {
		if e.Plugin == plugin && in(e.Phase, phases) {
			n += e.Flights
		}
	}
	return n
}

func in(phase string, phases []string) bool {
	for _, p := range phases {
		if p == phase {
			return true
		}
	}
	return len(phases) == 0
}

// maxTraces bounds how many requests' traces are kept.
const maxTraces = 10000

// traces keeps the traces of the last requests.
type traces struct {
	mu      sync.Mutex
	byID    map[string]*kongdev.LiveTrace
	order   []string
	changed chan struct{} // closed and replaced whenever one is over
}

func newTraces() *traces {
	return &traces{byID: map[string]*kongdev.LiveTrace{}, changed: make(chan struct{})}
}

// add is told of every change of every trace.
func (k *traces) add(l *kongdev.LiveTrace) {
	done := l.Done()
	k.mu.Lock()
	defer k.mu.Unlock()
	if done {
		close(k.changed)
		k.changed = make(chan struct{})
		return
	}
	id := l.RequestID()
	if k.byID[id] != nil {
		return
	}
	k.byID[id] = l
	k.order = append(k.order, id)
	if len(k.order) > maxTraces {
		delete(k.byID, k.order[0])
		k.order = k.order[1:]
	}
}

func (k *traces) find(id string) (*kongdev.LiveTrace, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byID[id], k.changed
}
