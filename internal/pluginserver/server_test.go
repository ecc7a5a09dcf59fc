package pluginserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const waitFor = 20 * time.Second

func TestSettersAreAnsweredBeforeKongReads(t *testing.T) {
	returned := make(chan error, 3)
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		returned <- kong.ServiceRequest.SetHeader("x-a", "1")
		returned <- kong.Ctx.SetShared("k", "v")
		returned <- kong.Log.Info("hello")
	}})
	p := r.dial()
	id := p.start(map[string]any{"message": "m"})
	p.event(id, "access")
	for range 3 { // nothing has been read or answered by us
		require.NoError(t, <-returned)
	}
	// one flight holds the three calls and the end of the event
	var names []string
	for range 3 {
		names = append(names, string(p.read()))
		p.read()
	}
	require.Equal(t, []string{"kong.service.request.set_header", "kong.ctx.shared.set", "kong.log.info"}, names)
	require.Empty(t, p.read())
	p.read() // RpcReturn: Kong has the whole event although it owes three replies
	for range 3 {
		p.send(nil)
	}
	calls, err := p.run(id, "access", noAnswer) // and the connection goes on in step
	require.NoError(t, err)
	require.Len(t, calls, 3)
}

func TestHalfWrittenCallsNeverLeave(t *testing.T) {
	var errs []error
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		errs = append(errs,
			kong.ServiceRequest.SetHeader("x-a", "\xff"), // not UTF-8: go-pdk fails after the method's frame
			kong.ServiceRequest.SetHeader("x-b", "2"))
		_, err := kong.Request.GetHeader("\xfe")
		errs = append(errs, err)
		_, err = kong.Request.GetMethod()
		errs = append(errs, err, kong.Response.SetHeader("x-c", "\xff"))
	}})
	p := r.dial()
	id := p.start(nil)
	for range 2 {
		errs = nil
		calls, err := p.run(id, "access", noAnswer)
		require.NoError(t, err)
		require.Equal(t, []string{"kong.service.request.set_header", "kong.request.get_method"}, methodsOf(calls))
		require.Error(t, errs[0])
		require.NoError(t, errs[1])
		require.Error(t, errs[2])
		require.NoError(t, errs[3])
		require.Error(t, errs[4])
	}
}

func TestPanicIsOneRequestsAlone(t *testing.T) {
	for _, c := range []struct {
		name     string
		failOpen bool
		phase    string
		want     []string
	}{
		{"closed", false, "access", []string{"kong.service.request.set_header", exitMethod}},
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
				require.Contains(t, string(calls[1].args), "An unexpected error occurred")
			} else {
				require.NoError(t, err)
				require.Contains(t, string(calls[len(calls)-1].args), "test: handler panicked in "+c.phase)
			}
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
			release := make(chan struct{})
			late := make(chan error, 1)
			var ctxErr atomic.Value
			r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
				_ = kong.ServiceRequest.SetHeader("x-a", "1")
				<-Context(kong).Done()
				ctxErr.Store(Context(kong).Err())
				<-release
				_, err := kong.Request.GetMethod()
				late <- err
			}, log: func(_ *testConfig, kong *pdk.PDK) { _, _ = kong.Log.Serialize() }}, func(s *serverConfig) {
				s.budget = 30 * time.Millisecond
				s.plugin.FailOpen = failOpen
			})
			p := r.dial()
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
			require.ErrorIs(t, ctxErr.Load().(error), context.DeadlineExceeded)
			require.EqualValues(t, 1, r.counts.timeouts.Load())
		})
	}
}

func TestHandlerThatStaysAfterTheEndHoldsNothing(t *testing.T) {
	for name, end := range map[string]func(*pdk.PDK){
		"after Exit":        func(kong *pdk.PDK) { kong.Response.Exit(418, nil, nil) },
		"after Kong closed": func(kong *pdk.PDK) { _, _ = kong.Request.GetMethod() },
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
				end(kong)
				<-release
			}}, func(s *serverConfig) { s.budget = 20 * time.Millisecond })
			t.Cleanup(func() { close(release) }) // before the rig's
			p := r.dial()
			_, err := p.run(p.start(nil), "access", func(pdkCall) ([]byte, bool) { return nil, false })
			require.ErrorIs(t, err, net.ErrClosed)
			require.Eventually(t, func() bool { return r.counts.connections.Load() == 0 }, waitFor, time.Millisecond)
			r.stopAccepting()
			ctx, cancel := context.WithTimeout(context.Background(), waitFor)
			defer cancel()
			require.NoError(t, r.drain(ctx), "nobody waits for it")
		})
	}
}

func TestWaitingForKongIsNotBeingSlow(t *testing.T) {
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _, _ = kong.Request.GetRawBody() }},
		func(s *serverConfig) { s.budget = 10 * time.Millisecond })
	p := r.dial()
	id := p.start(nil)
	before := r.now()
	calls, err := p.run(id, "access", func(pdkCall) ([]byte, bool) {
		for r.now() < before+int64(100*time.Millisecond) { // a client that uploads slowly
			runtime.Gosched()
		}
		return nil, true
	})
	require.NoError(t, err)
	require.Equal(t, []string{"kong.request.get_raw_body"}, methodsOf(calls))
}

func TestExitReturnsAtOnceAndDropsWhatFollows(t *testing.T) {
	after := make(chan error, 2)
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		_ = kong.Response.SetHeader("x-a", "1")
		kong.Response.Exit(418, []byte("teapot"), map[string][]string{"X-B": {"2"}})
		after <- kong.Response.SetHeader("x-c", "3")
		_, err := kong.Request.GetMethod()
		after <- err
	}})
	p := r.dial()
	id := p.start(nil)
	p.event(id, "access")
	require.Equal(t, "kong.response.set_header", string(p.read()))
	p.read()
	require.Equal(t, exitMethod, string(p.read()))
	require.Contains(t, string(p.read()), "teapot")
	require.ErrorIs(t, <-after, errExited) // although Kong has answered nothing
	require.ErrorIs(t, <-after, errExited)
	require.NoError(t, p.conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := p.conn.Read(make([]byte, 1))
	require.True(t, isTimeout(err), "the connection is Kong's to close, got %v", err)
	p.send(nil)
	require.NoError(t, p.conn.Close())
	require.Eventually(t, func() bool { return r.counts.connections.Load() == 0 }, waitFor, time.Millisecond)
	require.EqualValues(t, 2, r.counts.droppedCalls.Load())
}

func TestLogMakesNoCallThatKongRefuses(t *testing.T) {
	var errs []error
	r := newRig(t, testHandlers{log: func(_ *testConfig, kong *pdk.PDK) {
		_, err := kong.Client.GetIp()
		errs = append(errs, err, kong.Response.SetHeader("a", "b"), kong.ServiceRequest.SetHeader("a", "b"))
		_, err = Var(kong, "request_uri")
		errs = append(errs, err)
		kong.Response.Exit(500, nil, nil)
		Prefetch(kong, AskMethod(), AskSerialize())
		_, err = kong.Log.Serialize()
		require.NoError(t, err)
	}})
	p := r.dial()
	calls, err := p.run(p.start(nil), "log", noAnswer)
	require.NoError(t, err)
	require.Equal(t, []string{"kong.log.serialize"}, methodsOf(calls))
	for _, err := range errs {
		require.ErrorContains(t, err, "cannot be called in log")
	}
}

func TestUnknownInstanceIsAskedForAgain(t *testing.T) {
	r := newRig(t, testHandlers{})
	p := r.dial()
	p.event(12345, "access")
	_, err := p.tryRead()
	require.ErrorIs(t, err, io.EOF, "Kong must read a clean end")
	require.EqualValues(t, 1, r.counts.unknownInstance.Load())
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
		if failOpen {
			require.NoError(t, err)
			require.Contains(t, string(calls[0].args), "configuration: json")
		} else {
			require.Equal(t, []string{exitMethod}, methodsOf(calls))
		}
		require.EqualValues(t, 1, r.counts.badConfig.Load())
	}
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

func TestInstanceIDs(t *testing.T) {
	r := newRig(t, testHandlers{})
	p := r.dial()
	first := p.start(map[string]any{"__seq__": 40, "message": "a"})
	require.EqualValues(t, 40, first)
	require.Equal(t, first, p.start(map[string]any{"message": "a", "__seq__": 40}), "the same configuration again")
	other := p.start(map[string]any{"__seq__": 40, "message": "b"})
	require.NotEqual(t, first, other, "one id must never mean two configurations")
	require.Greater(t, other, int32(1<<10), "random, not a counter")
	require.NotEqual(t, p.start(nil), p.start(nil))
	require.NotZero(t, p.start(map[string]any{"__seq__": -3}))
	require.NotZero(t, p.start(map[string]any{"__seq__": 1e18}))
	p.closeInstance(first)
	calls, err := p.run(first, "access", noAnswer)
	require.NoError(t, err, "a closed instance stays usable")
	require.Empty(t, calls)
}

func TestInstancesExpire(t *testing.T) {
	var table instances
	table.byID = map[int32]*instance{}
	minute := int64(time.Minute)
	a := table.start([]byte(`{"__seq__":1}`), 0)
	b := table.start([]byte(`{"__seq__":2}`), 0)
	a.closed.Store(1)
	require.Empty(t, table.expire(minute/2))
	a.used.Store(minute)
	require.Empty(t, table.expire(minute+minute/2), "still named")
	require.Equal(t, []*instance{a}, table.expire(3*minute))
	require.Equal(t, []*instance{b}, table.expire(int64(idleGrace)+1))
	require.Zero(t, table.len())

	c := table.start([]byte(`{"__seq__":3}`), 0)
	c.closed.Store(1)
	require.Same(t, c, table.use(c.id, 10*minute)) // its handler runs now
	require.Empty(t, table.expire(10*minute+1))
	require.Nil(t, table.use(4, 0))
}

func TestPanicOfCloseIsAnError(t *testing.T) {
	r := newRig(t, testHandlers{closed: func(*testConfig) { panic("no way") }})
	p := r.dial()
	_, err := p.run(p.start(nil), "access", noAnswer) // builds the configuration
	require.NoError(t, err)
	r.closeInstances(r.instances.expire(int64(2 * idleGrace)))
	require.Contains(t, r.logs.String(), "closing the configuration panicked: no way")
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

func TestStatusInfoAndNames(t *testing.T) {
	r := newRig(t, testHandlers{}, func(s *serverConfig) { s.phases = []string{"access", "log"} })
	p := r.dial()
	id := p.start(nil)
	ask := func(call *kong_plugin_protocol.RpcCall) *kong_plugin_protocol.RpcReturn {
		call.Sequence = 11
		p.sendMessage(call)
		var ret kong_plugin_protocol.RpcReturn
		require.NoError(t, proto.Unmarshal(p.read(), &ret))
		require.EqualValues(t, 11, ret.Sequence)
		return &ret
	}
	info := ask(&kong_plugin_protocol.RpcCall{Call: &kong_plugin_protocol.RpcCall_CmdGetPluginInfo{CmdGetPluginInfo: &kong_plugin_protocol.CmdGetPluginInfo{Name: "test"}}}).GetPluginInfo()
	require.Equal(t, "test", info.Name)
	require.Equal(t, []string{"access", "log"}, info.Phases)
	require.Equal(t, "1.2.3", info.Version)
	require.EqualValues(t, 7, info.Priority)
	names := ask(&kong_plugin_protocol.RpcCall{Call: &kong_plugin_protocol.RpcCall_CmdGetPluginNames{CmdGetPluginNames: &kong_plugin_protocol.CmdGetPluginNames{}}})
	require.Equal(t, []string{"test"}, names.GetPluginNames().Names)
	status := ask(&kong_plugin_protocol.RpcCall{Call: &kong_plugin_protocol.RpcCall_CmdGetInstanceStatus{CmdGetInstanceStatus: &kong_plugin_protocol.CmdGetInstanceStatus{InstanceId: id}}})
	require.Equal(t, id, status.GetInstanceStatus().InstanceId)
}

func TestPrefetchIsOneFlight(t *testing.T) {
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		Prefetch(kong, AskVar("http_a"), AskVar("http_b"), AskMethod(), AskStatus()) // the last one not in access
		a, err := Var(kong, "http_a")
		require.NoError(t, err)
		b, err := kong.Nginx.GetVar("http_b")
		require.NoError(t, err)
		m, err := kong.Request.GetMethod()
		require.NoError(t, err)
		require.Equal(t, "1 2 GET", a+" "+b+" "+m)
		require.NoError(t, kong.ServiceRequest.SetMethod("POST"))
		_, err = kong.Request.GetMethod() // a setter drops the answers
		require.NoError(t, err)
	}})
	p := r.dial()
	id := p.start(nil)
	p.event(id, "access")
	var questions []string
	for range 3 { // all three arrive although none has been answered
		questions = append(questions, string(p.read()))
		p.read()
	}
	require.Equal(t, []string{"kong.nginx.get_var", "kong.nginx.get_var", "kong.request.get_method"}, questions)
	for _, v := range []string{"1", "2", "GET"} {
		p.send(textMessage(v))
	}
	require.Equal(t, "kong.service.request.set_method", string(p.read()))
	p.read()
	require.Equal(t, "kong.request.get_method", string(p.read()))
	p.read()
	p.send(nil)
	p.send(nil)
	require.Empty(t, p.read())
	p.read()
}

func TestWriteBehindBounds(t *testing.T) {
	const calls = 200
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		for i := range calls {
			require.NoError(t, kong.ServiceRequest.SetHeader("x", strings.Repeat("v", 1+i*37)))
		}
		require.NoError(t, kong.Ctx.SetShared("big", strings.Repeat("b", 3<<20)))
		require.NoError(t, kong.ServiceRequest.SetRawBody(strings.Repeat("c", 5<<20)))
	}})
	p := r.dial()
	got, err := p.run(p.start(nil), "access", noAnswer)
	require.NoError(t, err)
	require.Len(t, got, calls+2)
	for i, c := range got[:calls] {
		require.Equal(t, i*37+1, strings.Count(string(c.args), "v"))
	}
	require.Greater(t, len(got[calls].args), 3<<20)
	require.Greater(t, len(got[calls+1].args), 5<<20)
}

func TestRefusedCallsAreNamed(t *testing.T) {
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		_ = kong.ServiceRequest.SetHeader("x-a", "1")
		_ = kong.Client.Authenticate(nil, nil) // refused by go-pdk itself
		_ = kong.Service.SetTarget("h", 80)
	}})
	p := r.dial()
	_, err := p.run(p.start(nil), "access", func(c pdkCall) ([]byte, bool) { return nil, c.method != "kong.service.set_target" })
	require.ErrorIs(t, err, net.ErrClosed)
	require.Eventually(t, func() bool { return r.counts.refused.Load() == 1 }, waitFor, time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(r.logs.String(), "kong.service.set_target") }, waitFor, time.Millisecond)
}

// Kong carries out the calls before an Exit first: when it refuses one, the client never gets the plugin's answer.
func TestRefusedCallsBeforeExitAreNamed(t *testing.T) {
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprint("refused=", refused), func(t *testing.T) {
			r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
				Prefetch(kong, AskMethod())
				_ = kong.Response.SetHeader("x-a", "1")
				_ = kong.Response.SetHeader("x-b", "2")
				kong.Response.Exit(418, nil, nil)
			}})
			p := r.dial()
			p.event(p.start(nil), "access")
			for range 4 {
				p.read()
				p.read()
			}
			p.send(textMessage("GET"))
			p.send(nil)
			if !refused {
				p.send(nil)
			}
			require.NoError(t, p.conn.Close())
			require.Eventually(t, func() bool { return r.counts.connections.Load() == 0 }, waitFor, time.Millisecond)
			if refused {
				require.EqualValues(t, 1, r.counts.refused.Load())
				require.Contains(t, r.logs.String(), "one of them: kong.response.set_header\"")
			} else {
				require.Zero(t, r.counts.refused.Load())
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	refuse := func(_ *testConfig, kong *pdk.PDK) {
		Refuse(kong, 401, "Unauthor\xffized", map[string]string{"WWW-Authenticate": "Key"})
	}
	r := newRig(t, testHandlers{access: refuse, response: refuse})
	p := r.dial()
	id := p.start(nil)
	calls, err := p.run(id, "access", noAnswer)
	require.NoError(t, err, "the connection survives")
	require.Equal(t, []string{"kong.service.set_target", "kong.nginx.set_ctx"}, methodsOf(calls), "fail-closed companion first")
	key, value, ok := kv(calls[1].args)
	require.True(t, ok)
	require.Equal(t, "delayed_response", string(key))
	v, ok := parseValue(value, 0)
	require.True(t, ok)
	require.Equal(t, map[string]any{
		"status_code": 401.0,
		"content":     map[string]any{"message": "Unauthor?ized"},
		"headers":     map[string]any{"WWW-Authenticate": "Key"},
	}, v)
	calls, _ = p.run(id, "response", noAnswer)
	require.Equal(t, []string{exitMethod}, methodsOf(calls))

	r = newRig(t, testHandlers{access: refuse}, func(s *serverConfig) { s.refuseByExit = true })
	p = r.dial()
	calls, _ = p.run(p.start(nil), "access", noAnswer)
	require.Equal(t, []string{exitMethod}, methodsOf(calls))
	require.Contains(t, string(calls[0].args), `{"message":"Unauthor?ized"}`)
	require.Contains(t, string(calls[0].args), "WWW-Authenticate")
}

func Test64Connections(t *testing.T) {
	r := newRig(t, testHandlers{access: func(c *testConfig, kong *pdk.PDK) {
		m, err := kong.Request.GetMethod()
		assert.NoError(t, err)
		assert.NoError(t, kong.ServiceRequest.SetHeader("x-m", m+c.Message))
	}})
	id := r.dial().start(map[string]any{"message": "!"})
	var wg sync.WaitGroup
	for i := range 64 {
		p := r.dial()
		wg.Go(func() {
			for j := range 50 {
				want := fmt.Sprint("G", i, ".", j)
				calls, err := p.run(id, "access", func(c pdkCall) ([]byte, bool) {
					if c.method == "kong.request.get_method" {
						return textMessage(want), true
					}
					return nil, true
				})
				if !assert.NoError(t, err) || !assert.Contains(t, string(calls[1].args), want+"!") {
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestInstanceChurnLeaksNothing(t *testing.T) {
	var open atomic.Int64
	r := newRig(t, testHandlers{
		access: func(*testConfig, *pdk.PDK) { open.Add(1) },
		closed: func(*testConfig) { open.Add(-1) },
	})
	p := r.dial()
	goroutines := runtime.NumGoroutine()
	var before, after runtime.MemStats
	round := func() {
		for i := range 1000 {
			id := p.start(map[string]any{"message": strings.Repeat("x", 10000), "n": i})
			_, err := p.run(id, "access", noAnswer)
			require.NoError(t, err)
			p.closeInstance(id)
		}
		for _, in := range r.instances.expire(r.now() + int64(idleGrace) + int64(time.Hour)) {
			in.close()
		}
		require.Zero(t, r.instances.len())
		require.Zero(t, open.Load())
		runtime.GC()
	}
	round()
	runtime.ReadMemStats(&before)
	round()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(2<<20), "1,000 configurations of 10 kB are gone")
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+1)
}

func TestGarbageNeverCrashes(t *testing.T) {
	r := newRig(t, testHandlers{})
	for _, wire := range [][]byte{
		{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {3, 0, 0, 0, 0xff, 0xff, 0xff}, []byte("GET / HTTP/1.1\r\n\r\n"),
		appendFrameBytes(nil, protowire.AppendTag(nil, fieldHandleEvent, protowire.VarintType)),
	} {
		p := r.dial()
		_, err := p.conn.Write(wire)
		require.NoError(t, err)
		require.NoError(t, p.conn.CloseWrite())
		_, err = io.Copy(io.Discard, p.conn)
		require.True(t, err == nil || errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "reset"), "%v", err)
	}
	_, err := r.dial().run(r.dial().start(nil), "access", noAnswer)
	require.NoError(t, err)
}

func TestHandOverGivesIdleAtOnceAndBusyAfterTheirEvent(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	busyFlags, f, err := newBusyFlags()
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close(); _ = busyFlags.close() }) // after the rig's own cleanup
	var copies sync.Map
	handlers := testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
		close(inside)
		<-release
		_ = kong.ServiceRequest.SetHeader("x-a", "1")
	}}
	r := newRig(t, handlers, func(s *serverConfig) {
		s.busy = busyFlags
		s.onOpen = func(id uint32, c *net.UnixConn) {
			copies.Store(id, duplicate(t, c))
		}
	})
	t.Cleanup(func() {
		select {
		case <-release:
		default:
			close(release)
		}
	})
	next := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _ = kong.Response.SetHeader("x-next", "1") }})
	idle, busy := r.dial(), r.dial()
	id := idle.start(map[string]any{"__seq__": 3})
	next.restore(id, []byte(`{"__seq__":3}`))
	busy.event(id, "access")
	<-inside
	require.Eventually(t, func() bool {
		up := 0
		copies.Range(func(k, _ any) bool {
			if _, idle := busyFlags.idle(k.(uint32)); !idle {
				up++
			}
			return true
		})
		return up == 1
	}, waitFor, time.Millisecond, "one flag of two is up")
	done := make(chan struct{})
	go func() {
		r.stopAccepting()
		r.handOver(func(id uint32) {
			c, _ := copies.LoadAndDelete(id)
			next.adopt(c.(*net.UnixConn), 0)
		})
		close(done)
	}()
	require.Eventually(t, func() bool { return next.counts.connections.Load() == 1 }, waitFor, time.Millisecond)
	calls, err := idle.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Equal(t, []string{"kong.response.set_header"}, methodsOf(calls), "the idle connection is the successor's")
	close(release)
	require.Equal(t, "kong.service.request.set_header", string(busy.read()))
	busy.read()
	busy.send(nil)
	require.Empty(t, busy.read())
	busy.read()
	<-done
	calls, err = busy.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Equal(t, []string{"kong.response.set_header"}, methodsOf(calls), "the busy one follows after its event")
	require.Zero(t, r.counts.connections.Load())
}

// duplicate returns another descriptor of the connection. Not by File: that makes the shared description blocking.
func duplicate(t *testing.T, c *net.UnixConn) *net.UnixConn {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	fd := -1
	require.NoError(t, raw.Control(func(f uintptr) { fd, err = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0) }))
	require.NoError(t, err)
	f := os.NewFile(uintptr(fd), "copy")
	defer func() { _ = f.Close() }()
	nc, err := net.FileConn(f)
	require.NoError(t, err)
	return nc.(*net.UnixConn)
}

func TestDrainHalfClosesIdleAndFinishesBusy(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, testHandlers{access: func(*testConfig, *pdk.PDK) { close(inside); <-release }})
	idle, busy := r.dial(), r.dial()
	id := idle.start(nil)
	busy.event(id, "access")
	<-inside
	r.stopAccepting()
	done := make(chan error, 1)
	go func() { done <- r.drain(context.Background()) }()
	_, err := idle.tryRead()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, idle.conn.Close())
	close(release)
	require.Empty(t, busy.read())
	busy.read()
	_, err = busy.tryRead()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, busy.conn.Close())
	require.NoError(t, <-done)
}

func TestRefusesAfterHandlerReturned(t *testing.T) {
	kept := make(chan *pdk.PDK, 1)
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { kept <- kong }})
	p := r.dial()
	id := p.start(nil)
	_, err := p.run(id, "access", noAnswer)
	require.NoError(t, err)
	_, err = (<-kept).Request.GetMethod()
	require.ErrorIs(t, err, errEnded)
	calls, err := p.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Empty(t, calls, "a stray call never reaches the next event")
}

func TestStartAnswersBeforeDecoding(t *testing.T) {
	var decoded atomic.Bool
	r := newRig(t, testHandlers{}, func(s *serverConfig) {
		s.plugin.New = func() any { return &slowConfig{&decoded} }
	})
	p := r.dial()
	id := p.start(map[string]any{"a": 1})
	require.False(t, decoded.Load())
	_, err := p.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.True(t, decoded.Load())
}

type slowConfig struct{ decoded *atomic.Bool }

func (c *slowConfig) UnmarshalJSON(b []byte) error {
	c.decoded.Store(json.Valid(b))
	return nil
}
func (c *slowConfig) Access(*pdk.PDK) {}

// handOverRig is a server that gives its connections to next, and what starts that.
func handOverRig(t *testing.T, h testHandlers) (r, next *rig, begin func() (done chan struct{})) {
	busyFlags, f, err := newBusyFlags()
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close(); _ = busyFlags.close() })
	var copies sync.Map
	r = newRig(t, h, func(s *serverConfig) {
		s.busy = busyFlags
		s.onOpen = func(id uint32, c *net.UnixConn) { copies.Store(id, duplicate(t, c)) }
	})
	next = newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _ = kong.Response.SetHeader("x-next", "1") }})
	return r, next, func() chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.stopAccepting()
			r.handOver(func(id uint32) {
				c, _ := copies.LoadAndDelete(id)
				next.adopt(c.(*net.UnixConn), 0)
			})
		}()
		return done
	}
}

func TestHandOverInTheMiddleOfAFrame(t *testing.T) {
	r, next, begin := handOverRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _ = kong.Response.SetHeader("x-old", "1") }})
	p := r.dial()
	id := p.start(map[string]any{"__seq__": 3})
	next.restore(id, []byte(`{"__seq__":3}`))
	call, err := proto.Marshal(&kong_plugin_protocol.RpcCall{Sequence: 77, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{
		CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: id, EventName: "access"},
	}})
	require.NoError(t, err)
	_, err = p.conn.Write(appendHeader(nil, len(call))) // Kong's first send; the second has not come yet
	require.NoError(t, err)
	require.Eventually(t, func() bool { // read by the server, which now waits for the rest
		n, err := unix.IoctlGetInt(int(fdOf(t, p.conn)), unix.SIOCOUTQ)
		return err == nil && n == 0
	}, waitFor, time.Millisecond)
	done := begin()
	_, err = p.conn.Write(call)
	require.NoError(t, err)
	require.Equal(t, "kong.response.set_header", string(p.read()))
	require.Contains(t, string(p.read()), "x-old", "whoever read the length answers")
	p.send(nil)
	require.Empty(t, p.read())
	p.read()
	<-done
	calls, err := p.run(id, "access", noAnswer)
	require.NoError(t, err)
	require.Contains(t, string(calls[0].args), "x-next")
}

func TestHandOverWithRepliesOutstanding(t *testing.T) {
	r, next, begin := handOverRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { _ = kong.Response.SetHeader("x-old", "1") }})
	p := r.dial()
	id := p.start(nil)
	p.event(id, "access")
	p.read()
	p.read()
	require.Empty(t, p.read())
	p.read() // the event is over, one reply is owed
	done := begin()
	select {
	case <-done:
		t.Fatal("a connection with a reply outstanding was given away")
	case <-time.After(30 * time.Millisecond):
	}
	p.send(nil)
	<-done // without another event
	require.EqualValues(t, 1, next.counts.connections.Load())
}

func fdOf(t *testing.T, c *net.UnixConn) (fd uintptr) {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(f uintptr) { fd = f }))
	return fd
}

// TestSuccessorOfADeadWorkerSkipsWhatKongOwed: an event is over for Kong once it has read its end; if the worker dies
// before it has read the replies to its setters, the next one skips them.
func TestSuccessorOfADeadWorkerSkipsWhatKongOwed(t *testing.T) {
	flags, f, err := newBusyFlags()
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close(); _ = flags.close() })
	var id uint32
	var copied *net.UnixConn
	set := func(_ *testConfig, kong *pdk.PDK) {
		_ = kong.Response.SetHeader("x-a", "1")
		_ = kong.Response.SetHeader("x-b", "2")
	}
	r := newRig(t, testHandlers{access: set}, func(s *serverConfig) {
		s.busy = flags
		s.onOpen = func(i uint32, c *net.UnixConn) { id, copied = i, duplicate(t, c) }
	})
	p := r.dial()
	instance := p.start(map[string]any{"__seq__": 3})
	require.Eventually(t, func() bool { owed, ok := flags.idle(id); return ok && owed == 0 }, waitFor, time.Millisecond)
	p.event(instance, "access")
	for range 4 {
		require.NotEmpty(t, p.read())
	}
	require.Empty(t, p.read())
	p.read()
	require.Eventually(t, func() bool { owed, ok := flags.idle(id); return ok && owed == 2 }, waitFor, time.Millisecond)
	// the worker is dead from here on: nobody reads its descriptor any more
	r.connections()[0].leave.Store(true)
	r.mu.Lock()
	r.give = func(uint32) {}
	r.mu.Unlock()
	next := newRig(t, testHandlers{access: set})
	next.restore(instance, []byte(`{}`))
	_ = r.connections()[0].conn.Close()
	next.adopt(copied, 2)
	p.send(nil)
	p.send(nil)
	calls, err := p.run(instance, "access", noAnswer)
	require.NoError(t, err)
	require.Len(t, calls, 2)
}
