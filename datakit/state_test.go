package datakit

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What waits for a response phase that never comes is bounded: in time, in number and in bytes.
func TestStatesAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newStates()
	s.now = func() time.Time { return now }
	of := func(bytes int) *State {
		return &State{values: map[string]values{"A": {{self, strings.Repeat("x", bytes)}}}}
	}
	big := of(100 << 20)
	for i := range 7 {
		s.put(strconv.Itoa(i), big)
		assert.LessOrEqual(t, s.bytes, maxStateBytes)
	}
	assert.Nil(t, s.take("1"), "the oldest are gone")
	for i := 2; i < 7; i++ {
		assert.Same(t, big, s.take(strconv.Itoa(i)), i)
	}
	assert.Nil(t, s.take("6"), "each is taken once")
	assert.Zero(t, s.bytes)

	for i := range maxStates + 10 {
		s.put("n"+strconv.Itoa(i), of(1))
	}
	assert.LessOrEqual(t, len(s.byID), maxStates)
	assert.NotNil(t, s.take("n"+strconv.Itoa(maxStates+9)))

	now = now.Add(stateTime + time.Second)
	assert.Nil(t, s.take("n"+strconv.Itoa(maxStates)), "a minute is long enough")
	s.put("last", of(5))
	s.put("last", of(7))
	assert.Len(t, s.byID, 1)
	require.Equal(t, 7, s.bytes)
	assert.NotNil(t, s.take("last"))
	assert.Zero(t, s.bytes)
	assert.Zero(t, s.order.Len())
}

// A request that waits long for its upstream keeps its state, however many others come and go meanwhile.
func TestTakenStatesDoNotCount(t *testing.T) {
	t.Parallel()
	s := newStates()
	slow := &State{status: 201}
	s.put("slow", slow)
	for i := range 2 * maxStates {
		s.put(strconv.Itoa(i), &State{})
		require.NotNil(t, s.take(strconv.Itoa(i)))
	}
	assert.Same(t, slow, s.take("slow"))
	assert.Zero(t, s.order.Len())
}

// A response is never given out without what a workflow owes it because the workflow is new: either the state of the one
// before has what the nodes of the response phase take, or the request fails.
func TestStateOfAnotherConfiguration(t *testing.T) {
	t.Parallel()
	const late = "- {name: OUT, type: jq, jq: '{}', inputs: {a: A, status: service_response.status}, output: response.body}"
	before := mustCompile(t, "\n- {name: A, type: jq, jq: '1', input: request.method}\n"+late)
	same := mustCompile(t, "\n- {name: A, type: jq, jq: '2', input: request.method}\n"+late)
	branched := mustCompile(t, "\n- {name: F, type: jq, jq: 'false'}\n- {name: IF, type: branch, input: F, then: [A]}\n- {name: A, type: jq, jq: '1', input: request.method}\n"+late)
	other := mustCompile(t, "\n- {name: MASK, type: jq, jq: '1', input: request.method}\n"+strings.ReplaceAll(late, "a: A", "a: MASK"))
	none := mustCompile(t, "\n- {name: OUT, type: jq, jq: '{}', input: service_response.status, output: response.body}")
	state := func(p *Plan) *State { return p.Access(t.Context(), &testHost{}, false).State }
	text, ok := state(before).encode()
	require.True(t, ok)
	for _, st := range []*State{state(before), decodeState(text)} {
		assert.True(t, before.canGoOn(st))
		assert.True(t, same.canGoOn(st))
		assert.True(t, none.canGoOn(st))
		assert.False(t, other.canGoOn(st))
	}
	assert.True(t, branched.canGoOn(state(branched)), "a node that was skipped is known, too")
	assert.False(t, before.canGoOn(nil))
	assert.True(t, none.canGoOn(nil))
}

// A state that has travelled is the one that was sent. Other plugins may write into the context, too: what is no state is
// nil, or a state that can be sent on.
func FuzzState(f *testing.F) {
	f.Add(`{"values":{"A":{"":1.50,"body":["x",null]}},"skipped":["B"],"status":201,"plugin":{"k":{"a":true}}}`)
	f.Add(`{"values":{"A":7},"skipped":[1],"status":"x","plugin":[]}`)
	f.Add(`{}`)
	f.Add(`kept`)
	f.Fuzz(func(t *testing.T, text string) {
		st := decodeState(text)
		if st == nil {
			return
		}
		sent, ok := st.encode()
		if !ok {
			return
		}
		again := decodeState(sent)
		require.NotNil(t, again)
		twice, ok := again.encode()
		require.True(t, ok)
		assert.JSONEq(t, sent, twice)
		assert.Equal(t, st.status, again.status)
	})
}
