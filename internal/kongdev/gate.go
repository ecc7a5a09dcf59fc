package kongdev

import "sync"

// A gate counts what is inside and can be closed: then nobody enters any more,
// and close tells when all have left. The zero gate is open.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{}
}

// enter reports whether the gate was open.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

// join lets somebody in who comes from inside, even through a closed gate.
func (g *gate) join() {
	g.mu.Lock()
	g.inside++
	g.mu.Unlock()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// close shuts the gate and returns a channel that is closed when all have left.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	empty := g.empty
	if empty == nil {
		empty = make(chan struct{})
		if g.inside == 0 {
			close(empty)
			return empty
		}
		g.empty = empty
	}
	return empty
}
