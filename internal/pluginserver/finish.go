package pluginserver

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// finish ends the event as its handler left it: the end frames ride in the last flight. It reports whether the
// connection is still the caller's: not when the watchdog has taken it over.
func (e *event) finish() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.taken {
		e.returned()
		return false
	}
	e.finished = true
	defer e.release()
	switch e.state {
	case exited: // Kong never answers: the connection is read until it closes
		e.srv.counts.droppedCalls.Add(uint64(e.dropped))
	case running:
		e.end()
	case lastAsked:
		e.state = ended
	}
	return true
}

// giveUp ends the event by the plugin's policy after a panic or a spent time budget: what was half-written is gone, what
// was collected before it leaves, then the request goes on or is answered 500.
func (e *event) giveUp() {
	if e.state != running {
		return
	}
	if e.srv.plugin.FailOpen || e.phase&onRequest == 0 {
		e.end()
		return
	}
	e.pending = e.pending[:0]
	_ = e.exit(exit500) // io.EOF by contract, or the stream has failed and says so itself
}

// end sends the end of the event with everything that was collected.
func (e *event) end() {
	if e.sendEnd() {
		e.stream.rest()
	}
}

// sendEnd is end while the connection is not at rest yet. It reports whether the end has left.
func (e *event) sendEnd() bool {
	s := e.stream
	e.state = ended
	e.pending = nil
	if e.left > 0 {
		if err := s.skip(e.left); err != nil {
			e.srv.broken(e, err)
			return false
		}
		e.left = 0
	}
	e.srv.reports.appendTo(e)
	s.out = appendEnd(s.out, e.sequence)
	if err := e.flush(); err != nil {
		e.srv.broken(e, err)
		return false
	}
	s.between = true
	return true
}

func (e *event) release() {
	if e.cancel != nil {
		e.cancel()
	}
}

// exit500 is the encoded ExitArgs of an unexpected error, in the words of Kong's own.
var exit500 = exitArgs(500, `{"message":"An unexpected error occurred"}`, "application/json; charset=utf-8")

// exitArgs encodes ExitArgs{status, body, headers{Content-Type}}.
func exitArgs(status int, body, contentType string) []byte {
	value := appendBytesField(nil, valueString, contentType)
	entry := appendBytesField(nil, 1, "Content-Type")
	entry = appendBytesField(entry, 2, value)
	headers := appendBytesField(nil, 1, entry)
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(status))
	b = appendBytesField(b, 2, body)
	return appendBytesField(b, 3, headers)
}

// appendBytesField appends a length-delimited field.
func appendBytesField[T string | []byte](b []byte, num protowire.Number, v T) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(len(v)))
	return append(b, v...)
}
