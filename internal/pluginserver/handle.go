package pluginserver

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/Kong/go-pdk"
)

// handleEvent runs one handler for one phase of one request.
func (s *server) handleEvent(c *conn, call call) outcome {
	phase := phaseOf(call.event)
	e := &event{srv: s, conn: c, stream: c.stream, phase: phase, sequence: call.sequence, started: s.now()}
	s.counts.event(phase)

	in := s.instances.use(call.instance, e.started)
	if in == nil {
		// Allowed by the protocol, and the only way to say it: Kong starts the instance and repeats the event.
		s.counts.unknownInstance.Add(1)
		s.log.Info("kong named an instance of another process; it will start it again", "instance", call.instance)
		return hangUp
	}
	if s.policyOnly {
		return s.byPolicy(e)
	}
	if err := in.build(s.plugin.New); err != nil {
		s.counts.badConfig.Add(1)
		s.reports.Report(fmt.Sprintf("config of instance %d", in.id), fmt.Sprintf("instance %d: %v", in.id, err))
		return s.byPolicy(e)
	}
	handler := in.handlers.of(phase)
	if handler == nil {
		handler = func(*pdk.PDK) {} // a phase that we never announced, or that -phases has taken back
	}

	c.event.Store(e)
	s.run(c, e, handler)
	if !e.finish() {
		return taken
	}
	c.event.Store(nil)
	return e.outcome()
}

// byPolicy answers an event that no handler can run for.
func (s *server) byPolicy(e *event) outcome {
	e.mu.Lock()
	e.giveUp()
	e.mu.Unlock()
	return e.outcome()
}

// outcome tells what the connection is good for after the event.
func (e *event) outcome() outcome {
	switch {
	case e.stream.between:
		return goOn
	default: // after Exit, or after the stream failed: Kong closes
		return linger
	}
}

// run calls the handler. A panic is this event's alone, and so is a runtime.Goexit: that one ends the goroutine, so the
// connection goes on in another.
func (s *server) run(c *conn, e *event, handler func(*pdk.PDK)) {
	kong := pdk.Init(e)
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover()
		place := "a call of runtime.Goexit"
		if p != nil {
			place = panicPlace()
		}
		s.panicked("in "+e.phase.String(), p, place)
		e.mu.Lock()
		e.giveUp()
		if p == nil {
			e.returned()
		}
		lost := p == nil && !e.taken
		e.taken = e.taken || lost
		e.mu.Unlock()
		if lost {
			s.takeOver(c, e)
		}
	}()
	handler(kong)
	returned = true
}

// panicked counts a panic and logs its stack once per place. when says what was going on.
func (s *server) panicked(when string, p any, place string) {
	s.counts.panics.Add(1)
	if first := s.panics.add(place); first {
		s.log.Error("handler panicked; the request was answered by policy", "when", when, "place", place,
			"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
	s.reports.Report("panic "+place, fmt.Sprintf("handler panicked %s at %s (stack in the plugin's own log)", when, place))
}

// panicPlace names the function and line that panicked. It is called from the deferred function that recovers.
func panicPlace() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		if panicking && !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		if strings.HasPrefix(f.Function, "runtime.gopanic") || strings.HasPrefix(f.Function, "runtime.sigpanic") ||
			strings.HasPrefix(f.Function, "runtime.panic") || strings.HasPrefix(f.Function, "runtime.goPanic") {
			panicking = true
		}
		if !more {
			return "unknown place"
		}
	}
}

// now is the server's clock: nanoseconds since it began, as of the last tick.
func (s *server) now() int64 { return s.clock.Load() }

func (s *server) since(t int64) time.Duration {
	return time.Since(s.epoch) - time.Duration(t)
}

// watchdog advances the clock, ends handlers whose time is up, and forgets instances that nobody names.
func (s *server) watchdog() {
	defer s.watch.Done()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	nextExpiry := time.Duration(0)
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		elapsed := time.Since(s.epoch)
		tick := elapsed - time.Duration(s.clock.Swap(int64(elapsed)))
		for _, c := range s.connections() {
			s.checkBudget(c, tick)
		}
		if elapsed >= nextExpiry {
			nextExpiry = elapsed + 10*time.Second
			if gone := s.instances.expire(int64(elapsed)); len(gone) > 0 {
				for _, in := range gone {
					s.onInstanceGone(in.id)
				}
				s.watch.Go(func() { s.closeInstances(gone) }) // a plugin's Close may take its time
			}
		}
	}
}

func (s *server) closeInstances(gone []*instance) {
	for _, in := range gone {
		if err := in.close(); err != nil {
			s.log.Error("instance not closed in order", "instance", in.id, "error", err)
		}
	}
}

// checkBudget answers in the place of a handler whose time is up. The time that it waits for Kong, for a client's slow
// upload perhaps, is not its own: the lock is taken then, and the tick counts as waited. The late one keeps a dead event;
// the connection is served by a new goroutine. A handler that stays away after Exit, or after Kong has gone, is late as
// well: its connection must not outlive Kong's.
func (s *server) checkBudget(c *conn, tick time.Duration) {
	e := c.event.Load()
	if e == nil {
		return
	}
	if !e.mu.TryLock() {
		e.waited.Add(int64(tick))
		return
	}
	if e.spent() < budget || e.finished || e.taken || e.state == running && e.left > 0 {
		e.mu.Unlock()
		return
	}
	e.taken = true
	e.giveUp() // its context ends by its own deadline
	e.mu.Unlock()

	s.counts.timeouts.Add(1)
	s.reports.Report("timeout", fmt.Sprintf("a handler did not return within %v in %s; the request was answered by policy", budget, e.phase))
	s.takeOver(c, e)
}

// takeOver serves a connection on whose goroutine is lost to an event that has been answered.
func (s *server) takeOver(c *conn, e *event) {
	c.event.Store(nil)
	go func() {
		switch e.outcome() {
		case goOn:
			s.converse(c)
		default:
			s.linger(c)
		}
	}()
}
