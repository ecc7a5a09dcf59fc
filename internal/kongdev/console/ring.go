package console

import "kong-go-plugins/internal/kongdev"

// A ring keeps the traces of the newest requests, so many and of so many bytes.
// Numbers may arrive a little out of order.
type ring struct {
	slots    []slot
	oldest   int64 // everything before it is forgotten
	newest   int64
	bytes    int
	maxBytes int
}

type slot struct {
	live    *kongdev.LiveTrace // nil = empty
	number  int64
	version uint64
	size    int
}

func newRing(n, maxBytes int) ring {
	return ring{slots: make([]slot, n), oldest: 1, maxBytes: maxBytes}
}

func (r *ring) at(number int64) *slot { return &r.slots[number%int64(len(r.slots))] }

// put notes that a trace has begun or grown.
func (r *ring) put(l *kongdev.LiveTrace, version uint64) {
	n := l.Number()
	if n < r.oldest {
		return
	}
	for n >= r.oldest+int64(len(r.slots)) {
		r.forget()
	}
	r.newest = max(r.newest, n)
	s := r.at(n)
	size := l.Size()
	r.bytes += size - s.size
	*s = slot{l, n, version, size}
	for r.bytes > r.maxBytes && r.oldest < r.newest {
		r.forget()
	}
}

func (r *ring) forget() {
	s := r.at(r.oldest)
	r.bytes -= s.size
	*s = slot{}
	r.oldest++
}

// get is a trace that is still there, or nil.
func (r *ring) get(number int64) *kongdev.LiveTrace {
	if number < r.oldest || number > r.newest {
		return nil
	}
	return r.at(number).live
}

// since are the traces changed after a version, in order of their numbers.
func (r *ring) since(version uint64) []*kongdev.LiveTrace {
	var out []*kongdev.LiveTrace
	for n := r.oldest; n <= r.newest; n++ {
		if s := r.at(n); s.live != nil && s.version > version {
			out = append(out, s.live)
		}
	}
	return out
}

// newestOf are the newest traces, at most n, the newest first.
func (r *ring) newestOf(n int) []*kongdev.LiveTrace {
	var out []*kongdev.LiveTrace
	for number := r.newest; number >= r.oldest && len(out) < n; number-- {
		if l := r.at(number).live; l != nil {
			out = append(out, l)
		}
	}
	return out
}
