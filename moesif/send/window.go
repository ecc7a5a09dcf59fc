package send

import (
	"time"

	"kong-go-plugins/moesif/spool"
)

// keepRoom is the room for events that an empty window keeps.
const keepRoom = 4096

// eventOverhead is what an event costs in memory beside its bytes.
const eventOverhead = 64

// A queued is an event in memory.
type queued struct {
	event []byte
	at    time.Time // when it entered
	id    spool.ID  // zero for one that is in memory only
}

// size is what an event is accounted for in memory.
func size(event []byte) int { return cap(event) + eventOverhead }

// A window is the events that wait in memory, the oldest first.
type window struct {
	events []queued // [:head] is gone
	head   int

	granted int64 // memory that the garbage collector was told of
}

func (w *window) len() int { return len(w.events) - w.head }

func (w *window) push(e queued) { w.events = append(w.events, e) }

// at returns the ith event.
func (w *window) at(i int) *queued { return &w.events[w.head+i] }

// pop removes the oldest event.
func (w *window) pop() queued {
	e := w.events[w.head]
	w.events[w.head] = queued{}
	w.head++
	switch {
	case w.head == len(w.events):
		if w.events, w.head = w.events[:0], 0; cap(w.events) > keepRoom {
			w.events = nil // an outage has filled it
		}
	case w.head >= keepRoom && w.head > len(w.events)/2:
		w.events = w.events[:copy(w.events, w.events[w.head:])]
		clear(w.events[len(w.events):cap(w.events)])
		w.head = 0
	}
	return e
}
