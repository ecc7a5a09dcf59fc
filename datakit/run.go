package datakit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"kong-go-plugins/datakit/kv"
)

// A status is how far a step of a request has come.
type status uint8

const (
	pending status = iota
	running
	complete
	failed
	skipped
	canceled
)

// over reports whether nothing more happens to the step.
func (s status) over() bool { return s >= complete }

// errCanceled is why nodes end that nobody waits for any more.
var errCanceled = errors.New("canceled")

// A flow is one request's way through a phase of a plan. Only the goroutine of Access or Response touches it; nodes
// that run beside it get copies of their inputs, and answer through done.
type flow struct {
	plan  *Plan
	host  Host
	ctx   context.Context
	steps []progress
	done  chan result
	busy  int
	ready []int // of advance
	trace *Trace

	late   bool // the response phase
	until  time.Time
	claims *kv.Claims

	answer  *Answer
	failure *NodeError
	status  int
}

type progress struct {
	status  status
	missing int // steps to wait for
	out     values
	began   time.Time
}

type result struct {
	step int
	out  values
	err  error
}

// Access runs the access phase of a workflow. traced asks for a trace.
func (p *Plan) Access(ctx context.Context, host Host, traced bool) *Outcome {
	f := p.flow(host, traced)
	o := f.access(ctx)
	if f.claims != nil && (o.Failure != nil || o.Answer != nil || !p.putsLate) {
		f.claims.GiveUp()
	}
	f.release()
	return o
}

func (f *flow) access(ctx context.Context) *Outcome {
	p := f.plan
	if len(p.request) > 0 {
		f.read(p.requestStep, func() (values, error) {
			m, err := f.host.Request(p.request)
			if err != nil {
				return nil, err
			}
			if isTraceParent(m.TraceParent) {
				ctx = context.WithValue(ctx, traceParentKey{}, m.TraceParent)
			}
			return p.requestValues(m)
		})
	} else {
		f.steps[p.requestStep].status = complete
	}
	f.run(ctx, p.early)
	o := f.outcome()
	if o.Failure == nil && o.Answer == nil {
		var err error
		if o.Service, err = f.serviceWrites(); err != nil {
			f.fail(p.serviceRequestStep, err)
			return f.outcome()
		}
		if p.needsResponse || f.trace != nil {
			o.State = f.state()
		}
	}
	return o
}

// Response runs the response phase. state is what Access has left.
func (p *Plan) Response(ctx context.Context, host Host, state *State) *Outcome {
	f := p.flow(host, false)
	f.late = true
	f.restore(state)
	o := f.response(ctx)
	if f.claims != nil {
		f.claims.GiveUp()
	}
	f.release()
	return o
}

func (f *flow) response(ctx context.Context) *Outcome {
	p := f.plan
	if len(p.serviceResponse) > 0 {
		f.read(p.serviceResponseStep, func() (values, error) {
			m, err := f.host.ServiceResponse(p.serviceResponse)
			if err != nil {
				return nil, err
			}
			return p.responseValues(m)
		})
	} else {
		f.steps[p.serviceResponseStep].status = complete
	}
	f.run(ctx, p.late)
	o := f.outcome()
	if o.Failure == nil && o.Answer == nil {
		var err error
		if o.Response, err = f.responseWrites(); err != nil {
			f.fail(p.responseStep, err)
			return f.outcome()
		}
	}
	return o
}

func (p *Plan) flow(host Host, traced bool) *flow {
	f, _ := p.flows.Get().(*flow)
	if f == nil {
		f = &flow{plan: p, steps: make([]progress, len(p.steps))}
	}
	f.host = host
	if p.claims {
		f.claims = &kv.Claims{}
	}
	if traced {
		f.trace = newTrace()
	}
	return f
}

// release leaves the memory of a flow to the next one. It has ended: none of its nodes runs any more.
func (f *flow) release() {
	clear(f.steps)
	*f = flow{plan: f.plan, steps: f.steps, done: f.done, ready: f.ready}
	f.plan.flows.Put(f)
}

// read gets the values of an end of the gateway.
func (f *flow) read(i int, ask func() (values, error)) {
	out, err := guarded(ask)
	if err != nil {
		f.fail(i, err)
		return
	}
	f.steps[i] = progress{status: complete, out: out}
	f.trace.complete(f.plan.steps[i], out)
}

// run carries out the steps. When it returns, every node that it has started has stopped.
func (f *flow) run(ctx context.Context, steps []int) {
	if f.failure != nil {
		return
	}
	f.until = time.Now().Add(f.plan.budget)
	stop := func(error) {}
	if f.plan.needsDeadline { // a context costs more than a small workflow
		within, expire := context.WithDeadlineCause(ctx, f.until, f.plan.overBudget)
		defer expire()
		ctx, stop = context.WithCancelCause(within)
	}
	if f.claims != nil {
		ctx = kv.WithClaims(ctx, f.claims)
	}
	f.ctx = ctx
	for _, i := range steps {
		f.steps[i].missing = 0
		for _, from := range f.plan.steps[i].waits {
			if !f.steps[from].status.over() {
				f.steps[i].missing++
			}
		}
	}
	for f.failure == nil && f.answer == nil && f.advance(steps) {
	}
	stop(errCanceled)
	for f.busy > 0 {
		r := <-f.done
		f.busy--
		if f.failure == nil && f.answer == nil {
			f.finish(r.step, r.out, r.err)
		} else {
			f.end(r.step, canceled)
		}
	}
	for _, i := range steps {
		if !f.steps[i].status.over() {
			f.end(i, canceled)
		}
	}
}

// advance does the next thing: it takes in what has finished, starts what waits for others, runs one node, or waits. It
// reports whether there was anything.
func (f *flow) advance(steps []int) bool {
	if f.busy > 0 {
		select {
		case r := <-f.done:
			f.receive(r)
			return true
		default:
		}
	}
	next, exit, blocked := -1, -1, -1 // blocked: the first step that is at work, or would be
	ready := f.ready[:0]
	for _, i := range steps {
		s, at := f.plan.steps[i], &f.steps[i]
		switch {
		case at.status == running:
			blocked = first(blocked, i)
		case at.status != pending || at.missing > 0:
		case f.skips(s):
			f.end(i, skipped) // before anything is started, so that a trace tells it in the same place each time
			return true
		case s.ender != nil:
			exit = first(exit, i)
		case s.async:
			if f.busy+len(ready) < f.plan.maxParallel {
				ready = append(ready, i)
			}
			blocked = first(blocked, i)
		default:
			next = first(next, i)
		}
	}
	f.ready = ready
	if len(ready) == 1 && f.busy == 0 && next < 0 && exit < 0 { // there is nothing that it could run beside
		f.runHere(ready[0])
		return true
	}
	if !f.startAll(ready) {
		return true
	}
	switch {
	case next >= 0 && (exit < 0 || next < exit || blocked >= 0 && blocked < exit):
		f.runHere(next)
		return true
	case exit >= 0 && (blocked < 0 || blocked > exit):
		f.exit(exit)
		return true
	case f.busy > 0:
		f.receive(<-f.done)
		return true
	}
	return false
}

func first(a, b int) int {
	if a < 0 {
		return b
	}
	return min(a, b)
}

func (f *flow) receive(r result) {
	f.busy--
	f.finish(r.step, r.out, r.err)
}

// skips reports whether a step whose sources are over does not run: its branch went the other way, or nothing that feeds
// it ran.
func (f *flow) skips(s *step) bool {
	if s.owner != nil {
		branch := f.steps[s.owner.branch]
		if branch.status != complete || branch.out.get(self) != s.owner.side {
			return true
		}
	}
	for _, l := range s.links {
		if f.steps[l.from].status != skipped {
			return false
		}
	}
	return len(s.links) > 0
}

// startAll starts nodes, up to the first one that fails.
func (f *flow) startAll(steps []int) bool {
	for _, i := range steps {
		if !f.start(i) {
			return false
		}
	}
	return true
}

// start runs a node beside the flow. It reports whether the node has started; else it has failed.
func (f *flow) start(i int) bool {
	in, err := f.inputs(i)
	if err != nil {
		f.finish(i, nil, err)
		return false
	}
	if f.done == nil {
		f.done = make(chan result, len(f.steps)) // room for all: nobody ever waits to answer
	}
	s := f.plan.steps[i]
	f.steps[i].status, f.steps[i].began = running, time.Now()
	f.busy++
	f.trace.started(s, in)
	ctx := f.ctx
	done := f.done
	go func() {
		out, err := guarded(func() (values, error) { return s.node.run(ctx, in) })
		done <- result{i, out, err}
	}()
	return true
}

// runHere runs a node on this goroutine.
func (f *flow) runHere(i int) {
	s := f.plan.steps[i]
	in, err := f.inputs(i)
	f.steps[i].began = time.Now()
	switch {
	case err != nil:
	case f.ctx.Err() != nil:
		err = context.Cause(f.ctx)
	case f.steps[i].began.After(f.until):
		err = f.plan.overBudget
	}
	if err != nil {
		f.finish(i, nil, err)
		return
	}
	f.trace.started(s, in)
	out, err := guarded(func() (values, error) {
		if n, ok := s.node.(hostNode); ok {
			return n.runOn(f.ctx, f.host, in)
		}
		return s.node.run(f.ctx, in)
	})
	if n, ok := s.node.(propertyNode); err == nil && ok && n.set && n.name == statusProperty {
		f.status, err = statusOf(out.get(self))
	}
	f.finish(i, out, err)
}

func (f *flow) exit(i int) {
	in, err := f.inputs(i)
	f.steps[i].began = time.Now()
	if err == nil {
		f.trace.started(f.plan.steps[i], in)
		var a *Answer
		if a, err = f.plan.steps[i].ender.answer(in); err == nil {
			f.answer = a
		}
	}
	f.finish(i, nil, err)
}

// finish notes the end of a node.
func (f *flow) finish(i int, out values, err error) {
	s := f.plan.steps[i]
	if err != nil {
		if s.observe != nil {
			s.observe(time.Since(f.steps[i].began), failed)
		}
		f.trace.fail(s, out, err)
		f.fail(i, err)
		return
	}
	f.steps[i].out = out
	f.trace.complete(s, out)
	f.end(i, complete)
}

// end notes that a step is over, and tells those who wait for it.
func (f *flow) end(i int, st status) {
	s := f.plan.steps[i]
	if s.observe != nil {
		var took time.Duration
		if !f.steps[i].began.IsZero() {
			took = time.Since(f.steps[i].began)
		}
		s.observe(took, st)
	}
	f.steps[i].status = st
	if f.trace != nil {
		f.tell(s, st)
	}
	for _, next := range s.feeds {
		f.steps[next].missing--
	}
}

// tell traces that a step has not run, and why.
func (f *flow) tell(s *step, st status) {
	switch st {
	case canceled:
		f.trace.canceled(s)
	case skipped:
		var decision *TraceValue
		if s.owner != nil && f.steps[s.owner.branch].status == complete {
			decision = shownValue(f.steps[s.owner.branch].out.get(self), booleanType, f.plan.steps[s.owner.branch].secret)
		}
		f.trace.skipped(s, decision)
	}
}

// fail ends the flow.
func (f *flow) fail(i int, err error) {
	f.steps[i].status = failed
	if f.failure != nil {
		return
	}
	s := f.plan.steps[i]
	var p *panicError
	if errors.As(err, &p) {
		f.plan.report("panic in "+s.typ, fmt.Sprintf("a node of type %s panicked: %s", s.typ, p.stack))
		f.host.Log(slog.LevelError, fmt.Sprintf("a node of type %s panicked", s.typ))
	}
	f.failure = &NodeError{Index: s.index, Name: s.name, Type: s.typ, Err: err}
	f.answer = nil
}

func (f *flow) outcome() *Outcome {
	o := &Outcome{Answer: f.answer, Failure: f.failure, Status: f.status, Trace: f.trace}
	if f.trace != nil {
		f.trace.close(f.plan, f.steps, f.failure, f.answer != nil, f.late)
	}
	return o
}

// guarded turns a panic into an error.
func guarded(do func() (values, error)) (out values, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, &panicError{p, string(debug.Stack())}
		}
	}()
	return do()
}

// A panicError is a defect in a node.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return "the node panicked; this is a defect of the plugin" }
