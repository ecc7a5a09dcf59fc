package datakit

import (
	"container/list"
	"math"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// states keep what the access phase of requests has left for their response phase, by request id, for a minute. What is
// small travels with the request in Kong, where it survives a reload of the gateway between the phases; the rest is here.
// A response phase may never come, as for a request whose upstream is away, so that both number and bytes are bounded; the
// oldest go first.
type states struct {
	mu    sync.Mutex
	byID  map[string]*list.Element
	order list.List // of kept, oldest first
	bytes int
	now   func() time.Time
}

type kept struct {
	id    string
	state *State
	until time.Time
	bytes int
}

const (
	stateTime     = time.Minute
	maxStates     = 20_000
	maxStateBytes = 512 << 20 // of all states, about
	maxTravelled  = 32 << 10  // bytes of a state that travels with the request; write-behind takes 64 KiB in all
)

func newStates() *states { return &states{byID: map[string]*list.Element{}, now: time.Now} }

func (s *states) put(id string, state *State) {
	k := kept{id: id, state: state, bytes: state.size()}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	k.until = now.Add(stateTime)
	s.forget(id)
	for e := s.order.Front(); e != nil; e = s.order.Front() {
		oldest := e.Value.(kept)
		if !now.After(oldest.until) && s.order.Len() < maxStates && s.bytes+k.bytes <= maxStateBytes {
			break
		}
		s.forget(oldest.id)
	}
	s.byID[id] = s.order.PushBack(k)
	s.bytes += k.bytes
}

func (s *states) take(id string) *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.forget(id)
	if !ok || s.now().After(k.until) {
		return nil
	}
	return k.state
}

// forget needs the lock. It returns what there was.
func (s *states) forget(id string) (k kept, ok bool) {
	e, ok := s.byID[id]
	if !ok {
		return k, false
	}
	k = s.order.Remove(e).(kept)
	delete(s.byID, id)
	s.bytes -= k.bytes
	return k, true
}

// size is about what a state takes, in bytes.
func (st *State) size() int {
	const most = math.MaxInt32
	left := most
	for _, out := range st.values {
		for _, v := range out {
			fits(v.value, &left, maxDepth)
		}
	}
	fits(map[string]any(st.plugin), &left, maxDepth)
	return most - left
}

// isEmpty reports whether there is nothing to leave.
func (st *State) isEmpty() bool {
	return len(st.values) == 0 && len(st.skipped) == 0 && st.status == 0 && st.trace == nil && len(st.plugin) == 0
}

// encode writes a state as text; ok is false when it has to stay in the process.
func (st *State) encode() (text string, ok bool) {
	if st.trace != nil {
		return "", false
	}
	left := maxTravelled
	for _, out := range st.values {
		for _, p := range out {
			if !travels(p.value, &left) {
				return "", false
			}
		}
	}
	if !travels(st.plugin, &left) {
		return "", false
	}
	all := make(map[string]any, len(st.values))
	for name, out := range st.values {
		all[name] = out.object()
	}
	b, err := encodeJSON(map[string]any{"values": all, "skipped": st.skipped, "status": st.status, "plugin": st.plugin})
	if err != nil || len(b) > maxTravelled {
		return "", false
	}
	return string(b), true
}

// travels reports whether a value survives JSON and is small.
func travels(v any, left *int) bool {
	*left -= 8
	switch v := v.(type) {
	case string:
		*left -= len(v)
		return *left >= 0 && utf8.ValidString(v)
	case float64:
		return *left >= 0 && !math.IsNaN(v) && !math.IsInf(v, 0)
	case []any:
		for _, e := range v {
			if !travels(e, left) {
				return false
			}
		}
	case map[string]any:
		for key, e := range v {
			if *left -= len(key); !travels(e, left) {
				return false
			}
		}
	}
	return *left >= 0
}

// decodeState reads what encode has written.
func decodeState(text string) *State {
	v, err := decodeJSON([]byte(text))
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil
	}
	st := &State{values: map[string]values{}}
	all, _ := m["values"].(map[string]any)
	for name, out := range all {
		ports, _ := out.(map[string]any)
		st.values[name] = valuesOf(ports)
	}
	list, _ := m["skipped"].([]any)
	for _, e := range list {
		name, _ := e.(string)
		st.skipped = append(st.skipped, name)
	}
	status, _ := floatOf(m["status"])
	st.status = int(status)
	st.plugin, _ = m["plugin"].(map[string]any)
	return st
}

// state gathers what the response phase needs.
func (f *flow) state() *State {
	st := &State{values: map[string]values{}, status: f.status, trace: f.trace}
	for _, i := range f.plan.carried {
		switch s := f.plan.steps[i]; f.steps[i].status {
		case complete:
			st.values[s.name] = f.steps[i].out
		default:
			st.skipped = append(st.skipped, s.name)
		}
	}
	return st
}

// canGoOn reports whether a state has what the response phase needs. One of another configuration, which was in force while
// the request was in its access phase, may know nothing of a node that this one has.
func (p *Plan) canGoOn(st *State) bool {
	for _, i := range p.carried {
		if st == nil {
			return false
		}
		name := p.steps[i].name
		if _, ran := st.values[name]; !ran && !slices.Contains(st.skipped, name) {
			return false
		}
	}
	return true
}

// restore is the other end of state.
func (f *flow) restore(st *State) {
	for i, s := range f.plan.steps {
		if !s.late && !s.constant {
			f.steps[i].status = skipped
		}
	}
	if st == nil {
		return
	}
	f.status, f.trace = st.status, st.trace
	for _, i := range f.plan.carried {
		s := f.plan.steps[i]
		if out, ok := st.values[s.name]; ok && !slices.Contains(st.skipped, s.name) {
			f.steps[i] = progress{status: complete, out: out}
		}
	}
}
