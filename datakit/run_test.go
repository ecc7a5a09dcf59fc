package datakit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A testHost is a gateway with one request and one response, which remembers what is set.
type testHost struct {
	request, response Message
	properties        map[string]any
	set               []string
	logged            []string
}

func (h *testHost) Request(Ports) (Message, error)         { return h.request, nil }
func (h *testHost) ServiceResponse(Ports) (Message, error) { return h.response, nil }
func (h *testHost) Property(name string) (any, error)      { return h.properties[name], nil }
func (h *testHost) SetProperty(name string, v any) error {
	h.set = append(h.set, fmt.Sprintf("%s=%v", name, v))
	if h.properties == nil {
		h.properties = map[string]any{}
	}
	h.properties[name] = v
	return nil
}
func (h *testHost) Log(_ slog.Level, text string) { h.logged = append(h.logged, text) }

// A nodeFunc is a node for tests.
type nodeFunc func(ctx context.Context, in values) (values, error)

func (f nodeFunc) run(ctx context.Context, in values) (values, error) { return f(ctx, in) }

// with replaces a node of a plan by one that waits for others.
func (p *Plan) with(name string, f nodeFunc) *Plan {
	for _, s := range p.steps {
		if s.name == name {
			s.node, s.async, p.needsDeadline = f, true, true
		}
	}
	return p
}

// statuses are what has become of the nodes, by their traces.
func statuses(o *Outcome) map[string]string {
	m := map[string]string{}
	for _, n := range o.Trace.Nodes() {
		if n.Type != "implicit" {
			m[n.Name] = n.Status[len("NODE_"):]
		}
	}
	return m
}

const callA, callB = `
- {name: A, type: call, url: "http://a/"}`, `
- {name: B, type: call, url: "http://b/"}`

func TestCallsRunTogether(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, callA+callB+`
- {name: J, type: jq, jq: "{a, b, c}", inputs: {a: A.body, b: B.body, c: C}}
- {name: C, type: jq, jq: "1"}
- {name: EXIT, type: exit, inputs: {body: J}}`)
	var both sync.WaitGroup
	both.Add(2)
	meet := func(name string) nodeFunc {
		return func(context.Context, values) (values, error) {
			both.Done()
			both.Wait() // neither goes on before the other has begun
			return values{{"body", name}}, nil
		}
	}
	o := p.with("A", meet("a")).with("B", meet("b")).Access(t.Context(), &testHost{}, false)
	require.Nil(t, o.Failure)
	assert.JSONEq(t, `{"a":"a","b":"b","c":1}`, string(o.Answer.Body))
	assert.Equal(t, 200, o.Answer.Status)
	assert.Equal(t, "application/json", o.Answer.ContentType())
}

func TestTwoCallsTakeTheTimeOfTheLongerOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := mustCompile(t, callA+callB)
		wait := func(d time.Duration) nodeFunc {
			return func(context.Context, values) (values, error) { time.Sleep(d); return nil, nil }
		}
		began := time.Now()
		p.with("A", wait(30*time.Millisecond)).with("B", wait(50*time.Millisecond)).Access(t.Context(), &testHost{}, false)
		assert.Equal(t, 50*time.Millisecond, time.Since(began))

		p.maxParallel = 1
		began = time.Now()
		p.Access(t.Context(), &testHost{}, false)
		assert.Equal(t, 80*time.Millisecond, time.Since(began), "max_parallel 1: one behind the other")
	})
}

func TestTheBudgetEndsEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := mustCompile(t, "{timeout_ms: 200, nodes: ["+`
{name: A, type: call, url: "http://a/"}, {name: B, type: jq, jq: ".", input: A.body}]}`)
		stopped := false
		began := time.Now()
		o := p.with("A", func(ctx context.Context, _ values) (values, error) {
			<-ctx.Done()
			stopped = true
			return nil, context.Cause(ctx)
		}).Access(t.Context(), &testHost{}, true)
		require.NotNil(t, o.Failure)
		assert.Equal(t, `node #1 (A) failed with error: "the workflow took longer than 200ms (timeout_ms)"`, o.Failure.Error())
		assert.Equal(t, 200*time.Millisecond, time.Since(began))
		assert.True(t, stopped, "a node that was started is waited for")
		assert.Equal(t, map[string]string{"A": "ERROR", "B": "CANCELED"}, statuses(o))
	})
}

func TestTheBudgetEndsAProgram(t *testing.T) {
	t.Parallel()
	o := mustCompile(t, `{timeout_ms: 50, nodes: [{name: A, type: jq, jq: "def f: f; f"}]}`).Access(t.Context(), &testHost{}, false)
	require.NotNil(t, o.Failure)
	assert.Equal(t, `node #1 (A) failed with error: "the workflow took longer than 50ms (timeout_ms)"`, o.Failure.Error())
}

// A lateContext is over since a second, which its timer has not told yet.
type lateContext struct{ context.Context }

func (lateContext) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

// When the workflow's time was over first, that is the reason, though a machine that stood still for a while shows a program
// the end of both times at once.
func TestTheEarlierTimeIsTheReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		budget := errors.New("the workflow's")
		time.AfterFunc(time.Millisecond, func() { cancel(budget) })
		r := &jqRun{Context: lateContext{ctx}, until: time.Now().Add(-time.Nanosecond)}
		for range jqStepsPerLook {
			r.Done()
		}
		assert.Equal(t, budget, context.Cause(r))

		r = &jqRun{Context: t.Context(), until: time.Now().Add(-time.Nanosecond)}
		for range jqStepsPerLook {
			r.Done()
		}
		assert.Equal(t, errJQTime, context.Cause(r))
	})
}

func TestTheFirstErrorCancelsTheRest(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, callA+callB+`
- {name: C, type: jq, jq: ".", input: B.body}`)
	canceledA := false
	started := make(chan struct{})
	p.with("A", func(ctx context.Context, _ values) (values, error) {
		close(started)
		<-ctx.Done()
		canceledA = errors.Is(context.Cause(ctx), errCanceled)
		return nil, ctx.Err()
	}).with("B", func(context.Context, values) (values, error) {
		<-started
		return values{{"status", 403}}, errors.New("non-2XX response code: 403")
	})
	o := p.Access(t.Context(), &testHost{}, true)
	assert.Equal(t, `node #2 (B) failed with error: "non-2XX response code: 403"`, o.Failure.Error())
	assert.True(t, canceledA)
	assert.Equal(t, map[string]string{"A": "CANCELED", "B": "ERROR", "C": "CANCELED"}, statuses(o))
	assert.Nil(t, o.Answer)
}

func TestExitIsLastAmongTheReady(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nodes string
		set   []string
		want  map[string]string
		body  string
	}{
		"what stands before it runs": {`
- {name: S, type: static, values: {a: x}}
- {name: SET, type: property, property: kong.ctx.shared.a, input: S.a}
- {name: EXIT, type: exit, inputs: {body: S.a}}
- {name: BEHIND, type: property, property: kong.ctx.shared.b, input: S.a}`,
			[]string{"kong.ctx.shared.a=x"}, map[string]string{"S": "COMPLETE", "SET": "COMPLETE", "EXIT": "COMPLETE", "BEHIND": "CANCELED"}, "x"},
		"the first of two": {`
- {name: E1, type: exit, inputs: {body: S.a}}
- {name: S, type: static, values: {a: first}}
- {name: E2, type: exit}`,
			nil, map[string]string{"S": "COMPLETE", "E1": "COMPLETE", "E2": "CANCELED"}, "first"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &testHost{}
			o := mustCompile(t, c.nodes).Access(t.Context(), h, true)
			require.NotNil(t, o.Answer)
			assert.Equal(t, c.body, string(o.Answer.Body))
			assert.Equal(t, c.set, h.set)
			assert.Equal(t, c.want, statuses(o))
		})
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	const nodes = `
- {name: Q, type: jq, jq: ".body", input: request}
- {name: B, type: branch, input: Q, then: [T, INNER], else: [E]}
- {name: T, type: jq, jq: "\"then\""}
- {name: E, type: jq, jq: "\"else\""}
- {name: INNER, type: branch, input: Q, then: [DEEP], else: [NEVER]}
- {name: DEEP, type: jq, jq: "\"deep\""}
- {name: NEVER, type: static, values: {a: 1}}
- {name: AFTER_T, type: jq, jq: ".", input: T}
- {name: JOIN, type: jq, jq: "[.t, .e, .d]", inputs: {t: AFTER_T, e: E, d: DEEP}}
- {name: EXIT, type: exit, inputs: {body: JOIN}}`
	p := mustCompile(t, nodes)
	for body, want := range map[string]string{"true": `["then",null,"deep"]`, "false": `[null,"else",null]`} {
		h := &testHost{request: Message{Body: []byte(body), Size: int64(len(body)), Header: map[string][]string{"content-type": {"application/json"}}}}
		o := p.Access(t.Context(), h, true)
		require.Nil(t, o.Failure, "%v", o.Failure)
		assert.JSONEq(t, want, string(o.Answer.Body))
		assert.Equal(t, map[bool]string{true: "COMPLETE", false: "SKIPPED"}[body == "true"], statuses(o)["INNER"])
		assert.Equal(t, "SKIPPED", statuses(o)["NEVER"])
	}
	for _, body := range []string{"null", "1", `"true"`} {
		h := &testHost{request: Message{Body: []byte(body), Size: int64(len(body)), Header: map[string][]string{"Content-Type": {"application/json"}}}}
		o := p.Access(t.Context(), h, false)
		require.NotNil(t, o.Failure, body)
		assert.Equal(t, "B", o.Failure.Name)
	}
}

func TestAPanicIsANodeError(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, callA).with("A", func(context.Context, values) (values, error) { panic("secret") })
	h := &testHost{}
	o := p.Access(t.Context(), h, false)
	require.NotNil(t, o.Failure)
	assert.NotContains(t, o.Failure.Error(), "secret")
	assert.Len(t, h.logged, 1)
}

func TestHeadersToObjects(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `
- {name: J, type: jq, jq: "{headers: {\"X-A\": 1, \"x-b\": true, \"X-C\": [\"1\", 2], \"X-D\": null}, query: {a: [1, \"x y\"], b: null}, body: {z: 1}}", output: service_request}`)
	o := p.Access(t.Context(), &testHost{}, false)
	require.Nil(t, o.Failure)
	assert.Equal(t, []Header{{"X-A", []string{"1"}}, {"X-B", []string{"true"}}, {"X-C", []string{"1", "2"}}, {"X-D", nil}, {"Content-Type", []string{"application/json"}}}, o.Service.Headers)
	assert.Equal(t, "a=1&a=x+y&b", *o.Service.Query)
	assert.Equal(t, `{"z":1}`, string(o.Service.Body))
}

func TestStateCrossesThePhases(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `
- {name: BIG, type: jq, jq: ".id", input: request.body}
- {name: SKIP, type: branch, input: NO, then: [GONE], else: [KEPT]}
- {name: NO, type: jq, jq: "false"}
- {name: GONE, type: jq, jq: "1"}
- {name: KEPT, type: jq, jq: "2"}
- {name: OUT, type: jq, jq: "[.big, .gone, .kept, .status]", inputs: {big: BIG, gone: GONE, kept: KEPT, status: service_response.status}, output: response.body}
- {name: STATUS, type: property, property: kong.response.status, input: CODE}
- {name: CODE, type: jq, jq: "201"}`)
	body := `{"id": 12345678901234567890}`
	h := &testHost{request: Message{Body: []byte(body), Size: 1, Header: map[string][]string{"content-type": {"application/json"}}}, response: Message{Status: 404}}
	o := p.Access(t.Context(), h, false)
	require.Nil(t, o.Failure, "%v", o.Failure)
	text, ok := o.State.encode()
	require.True(t, ok)
	o = p.Response(t.Context(), h, decodeState(text))
	require.Nil(t, o.Failure, "%v", o.Failure)
	assert.Equal(t, `[12345678901234567890,null,2,404]`, string(o.Response.Body))
	assert.Equal(t, 201, o.Status)
}
