package send

import (
	"fmt"
	"log/slog"
	"time"
)

// A state says whether a collector takes events.
type state int

const (
	closed state = iota // as in electricity: everything flows
	open                // it fails: one upload now and then finds out whether it still does
	held                // it will take nothing until somebody changes something: asked every minute
)

func (s state) String() string { return [...]string{"closed", "open", "held"}[s] }

// A circuit keeps uploads back while they are futile, and says so once per change. Of the delivery's goroutine alone.
type circuit struct {
	q *Queue
	state
	why      string
	failures int       // in a row
	since    time.Time // when it was last closed
	next     time.Time // no upload before
	said     time.Time // when it was last said that it is open
	loud     bool      // this time it was
}

func (c *circuit) init(q *Queue) {
	c.q = q
	q.env.Metrics.circuits.WithLabelValues(closed.String()).Inc()
}

// end takes the circuit out of the metrics.
func (c *circuit) end() {
	c.q.env.Metrics.circuits.WithLabelValues(c.state.String()).Dec()
}

// wait returns how long no upload may begin.
func (c *circuit) wait(now time.Time) time.Duration { return c.next.Sub(now) }

// hurry lets the next upload begin at once.
func (c *circuit) hurry() { c.next = time.Time{} }

// interrupt opens the circuit for a while.
func (c *circuit) interrupt(why string, wait time.Duration) {
	c.change(open, why)
	c.failures++
	c.next = time.Now().Add(wait)
}

// hold opens the circuit until somebody acts; wait is how long until the next question.
func (c *circuit) hold(why string, wait time.Duration) {
	c.change(held, why)
	c.failures++
	c.next = time.Now().Add(wait)
}

// close closes the circuit and reports whether it was not.
func (c *circuit) close() bool {
	was := c.state != closed
	if was {
		c.change(closed, "")
	}
	c.failures, c.next = 0, time.Time{}
	return was
}

func (c *circuit) change(to state, why string) {
	from, news := c.state, c.state != to || to == held && c.why != why
	c.state, c.why = to, why
	now := time.Now()
	if from == closed {
		c.since = now
	}
	if from != to {
		c.q.env.Metrics.circuits.WithLabelValues(from.String()).Dec()
		c.q.env.Metrics.circuits.WithLabelValues(to.String()).Inc()
	}
	switch {
	case to == closed:
		c.q.drops.failing(nil)
		if c.loud {
			slog.Info("moesif: the collector answers again", "after", now.Sub(c.since).Round(time.Second))
		}
		return
	case news && (to == held || now.Sub(c.said) >= dropInterval):
		c.q.env.Notice(to.cause(why), c.text(to, why))
		c.said, c.loud = now, true
	case from == closed:
		c.loud = false
	}
	since := c.since
	c.q.drops.failing(func() string {
		return fmt.Sprintf("for %s: %s", time.Since(since).Round(time.Second), c.text(to, why))
	})
}

// cause is what a line about the state is limited by: what holds a queue is told from what held it before.
func (s state) cause(why string) string {
	if s == held {
		return "held, " + why
	}
	return "failing"
}

func (c *circuit) text(s state, why string) string {
	events, _ := c.q.Size()
	how := "are tried again"
	if s == held {
		how = "are tried again every minute"
	}
	return fmt.Sprintf("%s; %d events wait and %s", why, events, how)
}
