package datakit

import (
	"context"
	"fmt"
	"time"
)

// jqTime is how long a program may run for one request.
const jqTime = time.Second

var errJQTime error = plainError(fmt.Sprintf("the program ran longer than %s", jqTime))

// A jqRun is the context of one run of a program; it ends when the program has run too long, or the request's context has
// ended. It has no timer, which would cost more than most programs: the library asks for Done at every step of a program,
// and every so many steps it looks at the clock. One goroutine uses it.
type jqRun struct {
	context.Context // the request's
	until           time.Time
	steps           uint
	err             error
}

// jqStepsPerLook are some 20 µs.
const jqStepsPerLook = 256

// ended is closed.
var ended = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }() // read-only

// Done implements context.Context. nil is a channel that never closes.
func (r *jqRun) Done() <-chan struct{} {
	if r.steps++; r.steps%jqStepsPerLook == 0 && r.err == nil {
		if r.err = r.Context.Err(); r.err == nil && time.Now().After(r.until) {
			r.err = errJQTime
			if end, limited := r.Context.Deadline(); limited && end.Before(r.until) {
				<-r.Context.Done() // its time was over first, and its timer is late
				r.err = r.Context.Err()
			}
		}
	}
	if r.err != nil {
		return ended
	}
	return nil
}

// Err implements context.Context.
func (r *jqRun) Err() error { return r.err }

// Deadline implements context.Context.
func (r *jqRun) Deadline() (time.Time, bool) { return r.until, true }
