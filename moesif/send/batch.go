package send

// A batch is events that were taken from a queue together, in order. They stay on the queue's account until they are
// settled.
type batch struct {
	events [][]byte
}

func (b batch) len() int { return len(b.events) }

// part returns the events from i to j, which can be settled by themselves.
func (b batch) part(i, j int) batch { return batch{events: b.events[i:j]} }
