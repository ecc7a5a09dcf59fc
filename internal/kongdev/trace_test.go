package kongdev

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// traceKeeper collects traces by number.
type traceKeeper struct {
	mu   sync.Mutex
	live map[int64]*LiveTrace
}

func (k *traceKeeper) options(o *Options) {
	k.live = map[int64]*LiveTrace{}
	o.OnTrace = func(l *LiveTrace) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.live[l.Number()] = l
	}
}

// done waits for the end of a trace.
func (k *traceKeeper) done(t *testing.T, number int64) Trace {
	t.Helper()
	var l *LiveTrace
	require.Eventually(t, func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		l = k.live[number]
		return l != nil && l.Done()
	}, time.Minute, time.Millisecond)
	return l.Snapshot()
}

func TestTrace(t *testing.T) {
	var k traceKeeper
	b, _ := newFakeBench(t, `"access","response","log"`, func(c *fakeConn, phase string, _ int32) {
		switch phase {
		case "access":
			assert.Equal(t, "echoed", c.text("kong.request.get_header", str("x-mark")))
			c.ask("kong.response.set_header", mustKV("X-Set", "1"))
		case "log":
			c.ask("kong.log.serialize", nil)
		}
	}, k.options)
	require.Equal(t, 200, b.get("/echo?a=1", "X-Mark", "echoed").StatusCode)

	tr := k.done(t, 1)
	assert.Equal(t, "GET", tr.Method)
	assert.Equal(t, "/echo?a=1", tr.URI)
	assert.Equal(t, []any{"r", "up", 200, "service"}, []any{tr.Route, tr.Service, tr.Status, tr.Source})
	assert.Positive(t, tr.Bytes)
	require.Len(t, tr.Upstream, 1)
	assert.Equal(t, 200, tr.Upstream[0].Status)
	require.Len(t, tr.Events, 3)
	for i, phase := range []string{"access", "response", "log"} {
		e := tr.Events[i]
		assert.Equal(t, []any{"tplug", phase, ""}, []any{e.Plugin, e.Phase, e.Error})
		assert.LessOrEqual(t, e.Start, e.Sent)
		assert.Less(t, e.Sent, e.End)
	}
	access := tr.Events[0]
	assert.Positive(t, access.Started, "the first event of a configuration needs an instance")
	assert.Zero(t, tr.Events[1].Started)
	assert.Equal(t, access.Instance, tr.Events[1].Instance)
	assert.NotZero(t, access.Instance)
	require.Len(t, access.Calls, 2)
	assert.Equal(t, "kong.request.get_header", access.Calls[0].Method)
	assert.Equal(t, "\x0a\x06x-mark", string(access.Calls[0].Args))
	assert.Equal(t, "\x0a\x06echoed", string(access.Calls[0].Reply))
	assert.LessOrEqual(t, access.Calls[0].At+access.Calls[0].Took, access.Calls[1].At)
	assert.Equal(t, 3, access.Flights, "the event, and one for each reply that was waited for")
	assert.LessOrEqual(t, access.End, tr.Upstream[0].Start)
	assert.LessOrEqual(t, tr.Upstream[0].End, tr.Events[1].Start)
	assert.LessOrEqual(t, tr.Events[1].End, tr.Answered)
	assert.LessOrEqual(t, tr.Answered, tr.Events[2].Start)
}

// Calls that arrive together are one flight, the end of the event with them.
func TestTraceFlights(t *testing.T) {
	var k traceKeeper
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		var out []byte
		for _, frame := range []string{"kong.response.set_header", "\x0a\x01A\x12\x03\x1a\x011", "kong.response.set_header", "\x0a\x01B\x12\x03\x1a\x012"} {
			out = append(out, byte(len(frame)), 0, 0, 0)
			out = append(out, frame...)
		}
		out = append(out, 0, 0, 0, 0)
		_, _ = c.Write(out)
		_, _ = readPlainFrame(c)
		_, _ = readPlainFrame(c)
		c.mute = true // the end of the event is sent
		c.send([]byte{8, 2})
	}, k.options)
	resp := b.get("/")
	assert.Equal(t, "1", resp.Header.Get("A"))
	e := k.done(t, 1).Events[0]
	require.Len(t, e.Calls, 2)
	assert.Equal(t, 1, e.Flights)
	assert.Equal(t, []int{1, 1}, []int{e.Calls[0].Flight, e.Calls[1].Flight})
}

func TestTraceOfFailures(t *testing.T) {
	var k traceKeeper
	var closed sync.Once
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		switch test := c.text("kong.request.get_header", str("x-test")); test {
		case "exit":
			c.ask("kong.response.exit", &kong_plugin_protocol.ExitArgs{Status: 418})
		case "wrong":
			c.ask("kong.response.get_status", nil)
		case "close":
			closed.Do(func() { _ = c.Close() })
		}
	}, k.options, func(o *Options) { o.TraceBytes = 4 })
	for _, test := range []string{"exit", "wrong", "close"} {
		b.get("/", "X-Test", test)
	}
	exit := k.done(t, 1)
	assert.Equal(t, []any{418, "exit", 418, "", true}, []any{exit.Status, exit.Source, exit.Events[0].Exit, exit.Events[0].Error, exit.Done})
	assert.Equal(t, "exit 418", exit.Events[0].Calls[1].Error)
	call := exit.Events[0].Calls[0]
	assert.Equal(t, []int{4, 8, 4, 6}, []int{len(call.Args), call.ArgSize, len(call.Reply), call.RepSize}, "cut at TraceBytes")
	assert.Empty(t, exit.Upstream)

	wrong := k.done(t, 2)
	assert.Equal(t, 500, wrong.Status)
	assert.Contains(t, wrong.Events[0].Error, "function cannot be called in access phase")
	assert.Contains(t, wrong.Events[0].Calls[1].Error, "function cannot be called in access phase")

	repeated := k.done(t, 3)
	require.Len(t, repeated.Events, 2, "a repeat is an event of its own")
	assert.Equal(t, "closed", repeated.Events[0].Error)
	assert.Empty(t, repeated.Events[1].Error)
	assert.Equal(t, 200, repeated.Status)
}

// A trace can be read while it grows.
func TestTraceInTheMaking(t *testing.T) {
	var k traceKeeper
	hold, held := make(chan struct{}), make(chan struct{})
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) {
		c.text("kong.request.get_method", nil)
		close(held)
		<-hold
	}, k.options)
	got := make(chan reply)
	go func() { got <- b.get("/slow") }()
	<-held
	k.mu.Lock()
	l := k.live[1]
	k.mu.Unlock()
	require.Eventually(t, func() bool { return len(l.Snapshot().Events[0].Calls) == 1 }, time.Minute, time.Millisecond)
	s := l.Snapshot()
	assert.Equal(t, []any{false, 0, time.Duration(0)}, []any{s.Done, s.Status, s.Events[0].End})
	close(hold)
	require.Equal(t, 200, (<-got).StatusCode)
	assert.True(t, strings.HasPrefix(k.done(t, 1).URI, "/slow"))
	assert.Len(t, s.Events[0].Calls, 1, "a snapshot stays as it is")
}
