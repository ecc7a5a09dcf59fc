package send

import "kong-go-plugins/moesif/spool"

// A batch is events that were taken from a queue together, in order. They stay on the queue's account until they are
// settled.
type batch struct {
	events [][]byte
	ids    []spool.ID // of the same length
}

func (b batch) len() int { return len(b.events) }

// part returns the events from i to j, which can be settled by themselves.
func (b batch) part(i, j int) batch { return batch{b.events[i:j], b.ids[i:j]} }
