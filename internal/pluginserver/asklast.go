package pluginserver

import "github.com/Kong/go-pdk"

// aloneBytes is how much the answers to AskLast hold when the handler goes on without its connection. Work on less is over
// before another goroutine would have taken the next event.
const aloneBytes = 16 << 10

// AskLast is Prefetch for a handler's last questions: the end of the event leaves with them, and AskLast waits for the
// answers. Kong goes on at once, a round trip earlier. From then on the handler has these answers and those that were
// prefetched before; any other call is an error and is not sent. The next phase of the request may begin while the handler
// still works, and a worker that dies now takes that work with it: Kong does not repeat an event that is over. Under another
// server AskLast does nothing: the calls themselves ask.
func AskLast(kong *pdk.PDK, questions ...Question) {
	e := eventOf(kong)
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.announce(questions); e.state == running {
		e.endBehind()
	}
}

// endBehind ends the event with what was collected and reads every reply that is still to come.
func (e *event) endBehind() {
	if !e.sendEnd() {
		return
	}
	s := e.stream
	for len(s.awaited) > 0 {
		if err := s.settle(e.remember); err != nil {
			_ = e.fail(err) // the handler learns it from its first call
			return
		}
	}
	s.rest()
	e.state = lastAsked
	size := 0
	for _, a := range e.memo {
		size += len(a.frame)
	}
	if size > aloneBytes {
		e.goAlone()
	}
}

// goAlone lets another goroutine have the connection.
func (e *event) goAlone() {
	e.taken, e.alone = true, true
	e.srv.serving.Add(1)
	e.srv.takeOver(e.conn, e)
}

// returned ends the time of a handler that has gone on alone.
func (e *event) returned() {
	if e.alone {
		e.state, e.alone = ended, false
		e.release()
		e.srv.serving.Done()
	}
}
