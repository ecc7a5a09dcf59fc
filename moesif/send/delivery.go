package send

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"
)

const (
	// maxUploads is how many uploads of one queue run at the same time at most.
	maxUploads = 4
	// batchesPerUpload is how many full batches wait for each upload beyond the first: a short queue keeps its order.
	batchesPerUpload = 4
)

// A delivery takes batches from a queue and uploads each until the collector has taken or refused every event of it. One
// goroutine decides everything, here; each upload runs in one of its own and reports back. It is the only place that
// retries.
type delivery struct {
	q         *Queue
	circuit   circuit
	results   chan result
	running   int       // uploads
	parcels   []*parcel // that wait for their next attempt, those that had their last one longest ago first
	taken     int       // events
	successes int       // uploads that the collector took
	refused   int       // events refused in a row
	patience  time.Duration
}

// A result is what an upload reports.
type result struct {
	parcel  *parcel
	outcome outcome
	defect  bool // it panicked
}

// send is the queue's goroutine. It ends when the queue is closed and empty, or when the time for that is over; what is
// not settled then is still on the queue's account.
func (q *Queue) send() {
	defer close(q.done)
	d := &delivery{q: q, results: make(chan result, maxUploads)}
	d.circuit.init(q)
	defer d.circuit.end()
	for !d.turn() {
	}
}

// turn starts what may be started, waits until something happens and reports whether everything has. It outlives its own
// panics: a defect here must not cost every route its plugin.
func (d *delivery) turn() (over bool) {
	defer func() {
		if p := recover(); p != nil {
			d.q.env.Notice("panic", fmt.Sprintf("sending panicked: %v\n%s", p, debug.Stack()))
			time.Sleep(time.Second) // it may come again
		}
	}()
	closing := d.q.isClosing()
	if patience := d.q.longestPause(); patience != d.patience { // a Close, or one that has less time: try at once
		d.patience = patience
		d.circuit.hurry()
		for _, p := range d.parcels {
			p.due = time.Time{}
		}
	}
	wait := d.start(closing)
	cancelled := d.q.ctx.Err() != nil
	if d.running == 0 && (cancelled || closing && len(d.parcels) == 0 && d.q.waiting() == 0) {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	closed, ended := d.q.closing, d.q.ctx.Done()
	if closing {
		closed = nil
	}
	if cancelled {
		ended = nil
	}
	select {
	case r := <-d.results:
		d.running--
		d.finish(r)
	case <-timer.C:
	case <-d.q.wake:
	case <-closed:
	case <-ended:
	}
	return false
}

// start begins the uploads that may begin now and returns when it may be worth another look.
func (d *delivery) start(closing bool) (wait time.Duration) {
	for d.q.ctx.Err() == nil {
		if d.running >= d.limit(closing) {
			break // a result comes first
		}
		now := time.Now()
		if wait := d.circuit.wait(now); wait > 0 {
			return wait
		}
		p, wait := d.pick(now)
		if p == nil {
			return wait
		}
		d.running++
		d.upload(p)
	}
	return time.Hour
}

// limit returns how many uploads may run at the same time: one, as long as that one keeps up or has to find out whether
// the collector takes anything.
func (d *delivery) limit(closing bool) int {
	switch {
	case d.circuit.state != closed:
		return 1
	case closing:
		return maxUploads
	}
	return min(1+d.q.waiting()/(batchesPerUpload*d.q.Settings().BatchEvents), maxUploads)
}

// upload makes one attempt, which ends in d.results.
func (d *delivery) upload(p *parcel) {
	q := d.q
	q.mu.Lock()
	up, set := q.upload, q.set
	q.mu.Unlock()
	q.env.Metrics.inFlight.Inc()
	go func() {
		r := result{parcel: p, defect: true}
		defer func() {
			if v := recover(); v != nil {
				q.env.Notice("panic", fmt.Sprintf("sending %d events panicked: %v\n%s", p.len(), v, debug.Stack()))
			}
			q.env.Metrics.inFlight.Dec()
			d.results <- r
		}()
		start := time.Now()
		o := up.upload(q.ctx, p.events)
		took := time.Since(start)
		r.outcome, r.defect = o, false
		q.env.Metrics.uploaded(o, took)
		if set.Debug {
			slog.Info("moesif: upload", "events", p.len(), "result", o.class.String(), "status", o.status, "took", took)
		}
		if q.env.Tags != nil && o.status != 0 {
			q.env.Tags(o.configTag, o.rulesTag)
		}
	}()
}

// finish does what the outcome of an upload asks for.
func (d *delivery) finish(r result) {
	p, o := r.parcel, r.outcome
	switch {
	case r.defect:
		d.drop(dropPanic, p)
	case o.class == sent:
		d.successes++
		d.refused = 0
		d.recovered()
		d.q.env.Metrics.sent.Add(float64(p.len()))
		d.q.settle(p.batch)
	case d.q.ctx.Err() != nil: // we have hung up ourselves; it stays on the account
	case o.class == split && p.len() == 1:
		d.drop(dropRefused, p)
		d.refuse(o)
	case o.class == split:
		if d.refused < maxRefusedRow {
			d.recovered()
		}
		d.parcels = append(p.halves(), d.parcels...)
	default:
		d.fail(p, o)
	}
}

// recovered lets everything that waits for the collector go on, in order.
func (d *delivery) recovered() {
	if d.circuit.close() {
		slices.SortFunc(d.parcels, func(a, b *parcel) int { return a.place - b.place })
		for _, p := range d.parcels {
			if !p.suspected() {
				p.due = time.Time{}
			}
		}
	}
}

// maxRefusedRow is how many events may be refused in a row before the fault is looked for elsewhere.
const maxRefusedRow = 16

// refuse slows down when every event is refused: that is less likely the events' fault than a wrong endpoint's, and
// most of them may still be wanted.
func (d *delivery) refuse(o outcome) {
	d.refused++
	if d.refused < maxRefusedRow {
		return
	}
	d.circuit.interrupt(fmt.Sprintf("the collector answered %d to each of the last %d events: check api_endpoint", o.status, maxRefusedRow),
		d.bounded(backoff(d.refused-maxRefusedRow)))
}

// drop gives events up.
func (d *delivery) drop(reason string, p *parcel) {
	d.q.settle(p.batch)
	d.q.drops.add(reason, p.len())
}

// longestPause returns how long a closing queue may wait between attempts, 0 for one that is not closing.
func (q *Queue) longestPause() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.patience
}
