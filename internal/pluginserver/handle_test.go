package pluginserver

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"
)

func TestPanicIsOneRequestsAlone(t *testing.T) {
	for _, c := range []struct {
		name     string
		failOpen bool
		phase    string
		want     []string
	}{
		{"closed", false, "access", []string{"kong.service.request.set_header", "kong.log.err", exitMethod}},
		{"open", true, "access", []string{"kong.service.request.set_header", "kong.log.err"}},
		{"closed in log", false, "log", []string{"kong.log.err"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			boom := func(_ *testConfig, kong *pdk.PDK) {
				_ = kong.ServiceRequest.SetHeader("x-a", "1")
				_, _ = kong.Request.GetHeader("\xff") // half-written
				var missing *testConfig
				_ = missing.Message
			}
			r := newRig(t, testHandlers{access: boom, log: boom}, func(s *serverConfig) { s.plugin.FailOpen = c.failOpen })
			p := r.dial()
			id := p.start(nil)
			calls, err := p.run(id, c.phase, noAnswer)
			require.Equal(t, c.want, methodsOf(calls))
			if c.want[len(c.want)-1] == exitMethod {
				require.ErrorIs(t, err, net.ErrClosed)
				require.Contains(t, string(calls[2].args), "An unexpected error occurred")
				calls = calls[:2]
			} else {
				require.NoError(t, err)
			}
			require.Contains(t, string(calls[len(calls)-1].args), "test: handler panicked in "+c.phase)
			q := r.dial()
			for range 5 {
				_, _ = q.run(id, c.phase, noAnswer)
				q = r.dial()
			}
			require.Equal(t, 1, strings.Count(r.logs.String(), "stack="), "the stack is logged once per place")
			require.EqualValues(t, 6, r.counts.panics.Load())
			require.Contains(t, r.logs.String(), "TestPanicIsOneRequestsAlone")
		})
	}
}

func TestGoexitOfAHandlerIsAPanic(t *testing.T) {
	leave := func(_ *testConfig, kong *pdk.PDK) {
		_ = kong.Log.Info("last words")
		runtime.Goexit()
	}
	for _, failOpen := range []bool{false, true} {
		t.Run(fmt.Sprint("open=", failOpen), func(t *testing.T) {
			r := newRig(t, testHandlers{access: leave, log: leave}, func(s *serverConfig) { s.plugin.FailOpen = failOpen })
			p := r.dial()
			id := p.start(nil)
			for range 2 { // the connection goes on
				calls, err := p.run(id, "log", noAnswer)
				require.NoError(t, err)
				require.Equal(t, "kong.log.info", calls[0].method)
			}
			calls, err := p.run(id, "access", noAnswer)
			if failOpen {
				require.NoError(t, err)
			} else {
				require.Equal(t, []string{"kong.log.info", exitMethod}, methodsOf(calls))
				require.ErrorIs(t, err, net.ErrClosed)
			}
			require.EqualValues(t, 3, r.counts.panics.Load())
			require.Contains(t, r.logs.String(), "runtime.Goexit")
		}) // the rig's end waits for every connection
	}
}

func TestSlowHandlerIsAnsweredInItsPlace(t *testing.T) {
	for _, failOpen := range []bool{false, true} {
		t.Run(fmt.Sprint("open=", failOpen), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				late := make(chan error, 1)
				var ctxErr atomic.Value
				r := newMemoryRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
					_ = kong.ServiceRequest.SetHeader("x-a", "1")
					<-Context(kong).Done()
					ctxErr.Store(Context(kong).Err())
					<-release
					_, err := kong.Request.GetMethod()
					late <- err
				}, log: func(_ *testConfig, kong *pdk.PDK) { _, _ = kong.Log.Serialize() }}, func(s *serverConfig) {
					s.plugin.FailOpen = failOpen
				})
				p := r.connect()
				id := p.start(nil)
				calls, err := p.run(id, "access", noAnswer)
				require.Equal(t, "kong.service.request.set_header", calls[0].method)
				if failOpen {
					require.NoError(t, err)
					calls, err = p.run(id, "log", noAnswer) // the connection serves on while the handler is still late
					require.NoError(t, err)
					require.Contains(t, methodsOf(calls), "kong.log.serialize")
				} else {
					require.Equal(t, exitMethod, calls[len(calls)-1].method)
				}
				close(release)
				require.ErrorIs(t, <-late, errEnded)
				synctest.Wait()
				require.ErrorIs(t, ctxErr.Load().(error), context.DeadlineExceeded)
				require.EqualValues(t, 1, r.counts.timeouts.Load())
				require.Contains(t, r.logs.String(), "a handler did not return within 30s")
			})
		})
	}
}

func TestHandlerThatStaysAfterTheEndHoldsNothing(t *testing.T) {
	for name, end := range map[string]func(*pdk.PDK){
		"after Exit":        func(kong *pdk.PDK) { kong.Response.Exit(418, nil, nil) },
		"after Kong closed": func(kong *pdk.PDK) { _, _ = kong.Request.GetMethod() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				r := newMemoryRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
					end(kong)
					<-release
				}})
				t.Cleanup(func() { close(release) }) // before the rig's
				p := r.connect()
				_, err := p.run(p.start(nil), "access", func(pdkCall) ([]byte, bool) { return nil, false })
				require.ErrorIs(t, err, net.ErrClosed)
				time.Sleep(budget + time.Second)
				require.Zero(t, r.counts.connections.Load())
				require.NoError(t, r.drain(t.Context()), "nobody waits for it")
			})
		})
	}
}

func TestWaitingForKongIsNotBeingSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newMemoryRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _, _ = kong.Request.GetRawBody() }})
		p := r.connect()
		calls, err := p.run(p.start(nil), "access", func(pdkCall) ([]byte, bool) {
			time.Sleep(2 * budget) // a client that uploads slowly
			return nil, true
		})
		require.NoError(t, err)
		require.Equal(t, []string{"kong.request.get_raw_body"}, methodsOf(calls))
		require.Zero(t, r.counts.timeouts.Load())
	})
}

func TestPhaseWithoutHandlerEnds(t *testing.T) {
	r := newRig(t, testHandlers{})
	p := r.dial()
	calls, err := p.run(p.start(nil), "rewrite", noAnswer)
	require.NoError(t, err)
	require.Empty(t, calls)
}

func TestBadConfigIsAnsweredByPolicy(t *testing.T) {
	for _, failOpen := range []bool{true, false} {
		r := newRig(t, testHandlers{}, func(s *serverConfig) { s.plugin.FailOpen = failOpen })
		p := r.dial()
		id := p.start(map[string]any{"message": []int{1}, "__seq__": 9})
		require.EqualValues(t, 9, id, "StartInstance itself must succeed")
		calls, err := p.run(id, "access", noAnswer)
		require.Equal(t, "kong.log.err", calls[0].method)
		require.Contains(t, string(calls[0].args), "configuration: json")
		if failOpen {
			require.NoError(t, err)
			require.Len(t, calls, 1)
		} else {
			require.Equal(t, []string{"kong.log.err", exitMethod}, methodsOf(calls))
		}
		require.EqualValues(t, 1, r.counts.badConfig.Load())
	}
}

func TestEachBadConfigIsNamed(t *testing.T) {
	r := newRig(t, testHandlers{}, func(s *serverConfig) { s.plugin.FailOpen = true })
	p := r.dial()
	for seq := 21; seq < 23; seq++ {
		_, err := p.run(p.start(map[string]any{"message": seq, "__seq__": seq}), "access", noAnswer)
		require.NoError(t, err)
	}
	require.Contains(t, r.logs.String(), "instance 21: configuration: json")
	require.Contains(t, r.logs.String(), "instance 22: configuration: json")
}

func TestPolicyOnly(t *testing.T) {
	r := newRig(t, testHandlers{}, func(s *serverConfig) { s.policyOnly = true })
	p := r.dial()
	id := p.start(nil)
	calls, _ := p.run(id, "access", noAnswer)
	require.Equal(t, []string{exitMethod}, methodsOf(calls))
	p = r.dial()
	calls, err := p.run(id, "log", noAnswer)
	require.NoError(t, err)
	require.Empty(t, calls)
}
