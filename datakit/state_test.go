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
