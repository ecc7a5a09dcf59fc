package send

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// send is the queue's goroutine: it takes batches in order and delivers each before the next, until the queue is closed
// and empty, or the time for that is over.
func (q *Queue) send() {
	defer close(q.done)
	for {
		batch := q.next()
		if batch.len() == 0 {
			return
		}
		q.deliverSafely(batch)
	}
}

// next waits for a batch: enough events, enough bytes, or old enough ones. It returns an empty one when the queue is closing and
// empty, or when the time to drain is over.
func (q *Queue) next() batch {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		b, wait := q.take()
		if b.len() > 0 || q.ctx.Err() != nil {
			return b
		}
		closing := q.closing
		if q.isClosing() {
			return batch{}
		}
		timer.Reset(wait)
		select {
		case <-q.wake:
		case <-timer.C:
		case <-closing:
		case <-q.ctx.Done():
		}
	}
}

// deliverSafely drops what is left of a batch whose delivery panics: a defect here must not cost every route its plugin.
func (q *Queue) deliverSafely(b batch) {
	q.settled = 0
	defer func() {
		if p := recover(); p != nil {
			rest := b.part(q.settled, b.len())
			q.env.Notice("panic", fmt.Sprintf("sending %d events panicked: %v\n%s", rest.len(), p, debug.Stack()))
			q.drop(dropPanic, rest)
		}
	}()
	q.deliver(b)
}

// deliver sends events, in order, until the collector has taken or refused each of them. It is the only place that
// retries. When the time to drain is over it returns with the rest still on the account, which Close drops.
func (q *Queue) deliver(b batch) {
	for failures := 0; q.ctx.Err() == nil; {
		closing := q.isClosing()
		switch o := q.attempt(b); {
		case o.class == sent:
			q.resumed()
			q.refused = 0
			q.env.Metrics.sent.Add(float64(b.len()))
			q.settle(b)
			q.settled += b.len()
			return
		case o.class == split && b.len() == 1:
			q.resumed()
			q.drop(dropRefused, b)
			q.refusing(o)
			return
		case o.class == split:
			q.resumed()
			q.deliverHalves(b)
			return
		case o.class == hold:
			q.holding(o)
			if closing && q.longestPause() < probeEvery {
				q.cancel() // nobody will act in the seconds that are left
			}
			q.pause(probeEvery)
		case errors.Is(o.err, errNoAnswer) && failures > 0 && b.len() > 1:
			q.failing(o)
			q.deliverHalves(b) // perhaps the way is too slow for so many
			return
		default:
			q.failing(o)
			wait := max(backoff(failures), o.after)
			failures++
			if closing {
				wait = min(wait, q.longestPause())
			}
			q.pause(wait)
		}
	}
}

func (q *Queue) deliverHalves(b batch) {
	half := b.len() / 2
	q.deliver(b.part(0, half))
	q.deliver(b.part(half, b.len()))
}

// attempt uploads once and counts it.
func (q *Queue) attempt(b batch) outcome {
	q.mu.Lock()
	up, set := q.upload, q.set
	q.mu.Unlock()
	start := time.Now()
	o := up.upload(q.ctx, b.events)
	took := time.Since(start)
	q.env.Metrics.uploaded(o, took)
	if set.Debug {
		slog.Info("moesif: upload", "events", b.len(), "result", o.class.String(), "status", o.status, "took", took)
	}
	return o
}

// pause waits d, or until the queue begins to close or has less time for it, or until that time is over.
func (q *Queue) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	closing, wake := q.closing, (chan struct{})(nil)
	if q.isClosing() {
		closing, wake = nil, q.wake // the one is known, the other is a second Close
	}
	select {
	case <-timer.C:
	case <-closing:
	case <-wake:
	case <-q.ctx.Done():
	}
}

// drop gives events up.
func (q *Queue) drop(reason string, b batch) {
	q.settle(b)
	q.settled += b.len()
	q.drops.add(reason, b.len())
}

// failing says that the collector cannot take events at the moment.
func (q *Queue) failing(o outcome) {
	if q.ctx.Err() != nil {
		return // we have hung up ourselves
	}
	why := fmt.Sprintf("answered %d", o.status)
	if o.status == 0 {
		why = "is out of reach: " + o.err.Error()
	}
	events, _ := q.Size()
	q.env.Notice("failing", fmt.Sprintf("the collector %s; %d events wait and are tried again", why, events))
}

// maxRefusedRow is how many events may be refused in a row before the fault is looked for elsewhere.
const maxRefusedRow = 16

// refusing slows down when every event is refused: that is less likely the events' fault than a wrong endpoint's, and
// most of them may still be wanted.
func (q *Queue) refusing(o outcome) {
	q.refused++
	if q.refused < maxRefusedRow {
		return
	}
	q.env.Notice("refused", fmt.Sprintf("the collector answered %d to each of the last %d events: check api_endpoint", o.status, q.refused))
	wait := backoff(q.refused - maxRefusedRow)
	if q.isClosing() {
		wait = min(wait, q.longestPause())
	}
	q.pause(wait)
}

// longestPause returns how long a closing queue may wait between attempts.
func (q *Queue) longestPause() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.patience
}

// holding says, once per change, that the collector will take nothing until somebody acts.
func (q *Queue) holding(o outcome) {
	if q.held == o.status {
		return
	}
	q.held = o.status
	events, _ := q.Size()
	q.env.Notice(fmt.Sprintf("held %d", o.status), fmt.Sprintf("the collector answered %d: %s; %d events wait and are tried again every minute",
		o.status, remedy(o.status), events))
}

// resumed says that a queue that was held is moving again.
func (q *Queue) resumed() {
	if q.held != 0 {
		q.held = 0
		slog.Info("moesif: the collector answers again")
	}
}
