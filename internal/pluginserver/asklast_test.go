package pluginserver

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readEnd reads the end of an event.
func (p *peer) readEnd() {
	p.t.Helper()
	require.Empty(p.t, p.read())
	require.NotEmpty(p.t, p.read())
}

func TestAskLastLeavesWithTheEnd(t *testing.T) {
	late := make(chan *pdk.PDK, 2)
	r := newRig(t, testHandlers{response: func(_ *testConfig, kong *pdk.PDK) {
		Prefetch(kong, AskVar("a"))
		assert.NoError(t, SetResponseHeader(kong, "x-a", "1"))
		AskLast(kong, AskVar("b"), AskMethod(), AskSerialize()) // the last one not in response
		b, err := Var(kong, "b")
		assert.NoError(t, err)
		method, err := kong.Request.GetMethod() // as go-pdk asks it
		assert.NoError(t, err)
		assert.Equal(t, "2 GET", b+" "+method)

		_, err = Var(kong, "c")
		assert.ErrorIs(t, err, errAnswered)
		_, err = kong.Request.GetPath()
		assert.ErrorIs(t, err, errAnswered)
		assert.ErrorIs(t, SetResponseHeader(kong, "x-b", "2"), errAnswered)
		assert.ErrorIs(t, kong.Response.SetHeader("x-b", "2"), errAnswered)
		kong.Response.Exit(500, nil, nil)
		Prefetch(kong, AskVar("c"))
		AskLast(kong, AskVar("c"))
		assert.ErrorIs(t, Flush(kong), errAnswered)
		late <- kong
	}})
	p := r.dial()
	id := p.start(nil)
	for range 2 { // the connection goes on
		p.event(id, "response")
		var calls []string
		for range 4 { // all of them arrive, and the end, although none has been answered
			calls = append(calls, string(p.read()))
			p.read()
		}
		require.Equal(t, []string{"kong.nginx.get_var", "kong.response.set_header", "kong.nginx.get_var", "kong.request.get_method"}, calls)
		p.readEnd()
		for _, answer := range [][]byte{textMessage("1"), nil, textMessage("2"), textMessage("GET")} {
			p.send(answer)
		}
	}
	calls, err := p.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Empty(t, calls)
	_, err = Var(<-late, "b")
	require.ErrorIs(t, err, errEnded, "the answers go with the handler")
	require.EqualValues(t, 2, r.counts.flights[3].Load(), "one of each response")
}

func TestAskLastOnBothServers(t *testing.T) {
	answer := func(c pdkCall) ([]byte, bool) { return textMessage(string(c.args)), true }
	onBothServers(t, answer, func(t *testing.T, kong *pdk.PDK) {
		AskLast(kong, AskVar("a"), AskVar("b"))
		for _, name := range []string{"b", "a", "b"} {
			value, err := Var(kong, name)
			assert.NoError(t, err)
			assert.Contains(t, value, name)
		}
	})
}

// A handler that has much to do with its answers does not hold up the next event of its connection, and the end of the
// process waits for it.
func TestAskLastWithMuchToDo(t *testing.T) {
	for name, end := range map[string]func(){"return": func() {}, "panic": func() { panic("after the end") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			got := make(chan int, 1)
			r := newRig(t, testHandlers{response: func(_ *testConfig, kong *pdk.PDK) {
				AskLast(kong, AskRequestBody())
				<-release
				body, _, err := RequestBody(kong, 1<<20)
				assert.NoError(t, err)
				got <- len(body)
				end()
			}})
			p := r.dial()
			id := p.start(nil)
			calls, err := p.run(id, "response", func(pdkCall) ([]byte, bool) {
				return appendBytesField(nil, bodyContent, strings.Repeat("b", 100000)), true
			})
			require.NoError(t, err)
			require.Len(t, calls, 1)
			_, err = p.run(id, "access", noAnswer) // while the handler is at work
			require.NoError(t, err)

			drained := make(chan error, 1)
			go func() { drained <- r.drain(t.Context()) }()
			_, err = p.tryRead() // the connection is given up
			require.Error(t, err)
			select {
			case <-drained:
				t.Error("the handler was not waited for")
			case <-time.After(20 * time.Millisecond):
			}
			close(release)
			require.Equal(t, 100000, <-got)
			require.NoError(t, <-drained)
		})
	}
}

func TestPanicAfterAskLast(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("after the end") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
				AskLast(kong, AskMethod())
				end()
			}})
			p := r.dial()
			id := p.start(nil)
			for range 2 { // the request goes on, and so does the connection
				_, err := p.run(id, "access", noAnswer)
				require.NoError(t, err)
			}
			eventually(t, "both are counted", func() bool { return r.counts.panics.Load() == 2 })
		})
	}
}

func TestAskLastRefused(t *testing.T) {
	failed := make(chan error, 2)
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		AskLast(kong, AskVar("a"), AskVar("b"))
		for _, name := range []string{"a", "b"} {
			_, err := Var(kong, name)
			failed <- err
		}
	}})
	p := r.dial()
	p.event(p.start(nil), "access")
	for range 4 {
		p.read()
	}
	p.readEnd()
	p.send(textMessage("1"))
	require.NoError(t, p.conn.Close()) // Kong has refused the second question
	require.Error(t, <-failed)
	require.Error(t, <-failed)
	eventually(t, "the call is named", func() bool {
		return strings.Contains(r.logs.String(), "kong.nginx.get_var") && r.counts.connections.Load() == 0
	})
	require.EqualValues(t, 1, r.counts.refused.Load())
}
