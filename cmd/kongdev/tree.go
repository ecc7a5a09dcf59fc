package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/kongdev"
)

// treePrinter writes each request as a tree when all of it is over, its log events too: the phases, the attempts at the
// upstream, and under each phase the PDK calls. Bodies and what looks like a secret are left out.
type treePrinter struct {
	mu   sync.Mutex
	w    io.Writer
	open map[int64]*openRequest // those that are not printed yet
}

// An openRequest may be one that hangs.
type openRequest struct {
	trace *kongdev.LiveTrace
	next  time.Duration // when to say that it is still there
}

// firstStill is how long a request may take before -v says that it is still running. Each later line comes after twice the
// time of the one before.
const firstStill = 3 * time.Second

func newTreePrinter(w io.Writer) *treePrinter {
	return &treePrinter{w: w, open: map[int64]*openRequest{}}
}

// watch looks at the requests that are not over until the function it returns is called.
func (p *treePrinter) watch() (stop func() error) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case now := <-tick.C:
				p.still(now)
			}
		}
	}()
	return func() error {
		close(end)
		<-done
		return nil
	}
}

// still prints a line for each request that has run long.
func (p *treePrinter) still(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(p.open)) {
		o := p.open[n]
		t := o.trace.Snapshot()
		age := now.Sub(t.Start)
		if age < o.next {
			continue
		}
		for o.next <= age {
			o.next *= 2
		}
		_, _ = fmt.Fprintf(p.w, "%s %s: still running after %d s, %s, request %s\n", clean(t.Method), frames.TargetText(t.URI), int(age.Seconds()), waitsFor(t), t.RequestID)
	}
}

// waitsFor says what a request is waiting for.
func waitsFor(t kongdev.Trace) string {
	var open []string
	for _, e := range t.Events {
		if e.End != 0 {
			continue
		}
		text := fmt.Sprintf("%s of %s", e.Phase, clean(e.Plugin))
		if n := len(e.Calls); n > 0 {
			text += " after " + clean(e.Calls[n-1].Method)
		}
		open = append(open, text)
	}
	for _, u := range t.Upstream {
		if u.End == 0 {
			open = append(open, "the upstream")
		}
	}
	switch {
	case len(open) > 0:
		return "waits for " + strings.Join(open, ", ")
	case t.Status == 0 && len(t.Upstream) > 0:
		return "the answer is under way"
	}
	return "waits for the client or a place to run"
}

// trace is told of every change by many goroutines at once. The first time it hears of a request nobody else has.
func (p *treePrinter) trace(l *kongdev.LiveTrace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n := l.Number(); {
	case l.Done() && p.open[n] != nil:
		delete(p.open, n)
		_, _ = io.WriteString(p.w, treeText(l.Snapshot()))
	case !l.Done() && p.open[n] == nil:
		p.open[n] = &openRequest{l, firstStill}
	}
}

// A branch is a line of the tree with what hangs on it.
type branch struct {
	at    time.Duration // what branches are sorted by
	text  string
	twigs []string
}

// treeText is a request's whole tree.
func treeText(t kongdev.Trace) string {
	var all []branch
	for _, e := range t.Events {
		all = append(all, eventBranch(e))
	}
	for _, u := range t.Upstream {
		text := fmt.Sprintf("upstream %s: %d in %s", u.Address, u.Status, micros(u.End-u.Start))
		if u.Failed {
			text = fmt.Sprintf("upstream %s: failed after %s, Kong answers %d", u.Address, micros(u.End-u.Start), u.Status)
		}
		all = append(all, branch{at: u.Start, text: text})
	}
	slices.SortStableFunc(all, func(a, b branch) int { return int(a.at - b.at) })

	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %d from %s, %s in %s%s, request %s\n", clean(t.Method), frames.TargetText(t.URI), t.Status, source(t.Source),
		count(t.Bytes, "byte"), micros(t.Answered), where(t), t.RequestID)
	for i, br := range all {
		lead, under := "├─ ", "│  "
		if i == len(all)-1 {
			lead, under = "└─ ", "   "
		}
		fmt.Fprintf(&b, "%s%s\n", lead, br.text)
		for j, twig := range br.twigs {
			lead := "├─ "
			if j == len(br.twigs)-1 {
				lead = "└─ "
			}
			fmt.Fprintf(&b, "%s%s%s\n", under, lead, twig)
		}
	}
	return b.String()
}

func eventBranch(e kongdev.TraceEvent) branch {
	b := branch{at: e.Start, text: fmt.Sprintf("%s of %s: %s, %s", e.Phase, clean(e.Plugin), count(e.Flights, "flight"), micros(e.End-e.Start))}
	if kongdev.IsStandIn(e.Plugin) {
		b.text = fmt.Sprintf("%s of %s: inside kongdev, %s", e.Phase, e.Plugin, micros(e.End-e.Start))
	}
	if e.Conn != 0 {
		b.text += fmt.Sprintf(", connection %d", e.Conn)
	}
	if e.Started != 0 {
		b.text += fmt.Sprintf(", instance %d started in %s", e.Instance, micros(e.Started))
	} else if e.Instance != 0 {
		b.text += fmt.Sprintf(", instance %d", e.Instance)
	}
	if e.Exit != 0 {
		b.text += fmt.Sprintf(", answered %d", e.Exit)
	}
	if e.Error != "" {
		b.text += ", failed: " + clean(e.Error)
	}
	for _, c := range e.Calls {
		b.twigs = append(b.twigs, callText(c))
	}
	return b
}

// callText is a call with the number of the flight that it came with.
func callText(c kongdev.TraceCall) string {
	args, reply := fmt.Sprintf("(%d bytes)", c.ArgSize), fmt.Sprintf("(%d bytes)", c.RepSize)
	if len(c.Args) == c.ArgSize { // else it is cut and cannot be read
		args = frames.ArgsText(c.Method, c.Args)
		if len(c.Reply) == c.RepSize {
			reply = frames.ReplyText(c.Method, c.Args, c.Reply)
		}
	}
	text := fmt.Sprintf("flight %d: %s(%s)", c.Flight, clean(c.Method), args)
	switch {
	case strings.HasPrefix(c.Error, "exit "):
	case c.Error != "":
		return text + " refused: " + clean(c.Error)
	case reply != "":
		text += " = " + reply
	}
	return text + ", " + micros(c.Took)
}

// where says what the request was matched with.
func where(t kongdev.Trace) string {
	var b strings.Builder
	for _, part := range [][2]string{{"route", t.Route}, {"service", t.Service}, {"consumer", t.Consumer}} {
		if part[1] != "" {
			b.WriteString(", " + part[0] + " " + clean(part[1]))
		}
	}
	return b.String()
}

// source says who answered: service, exit or error.
func source(s string) string {
	switch s {
	case "exit":
		return "a plugin or Kong"
	case "error":
		return "Kong, an error"
	}
	return "the " + s
}

func micros(d time.Duration) string { return fmt.Sprintf("%d µs", d.Microseconds()) }
