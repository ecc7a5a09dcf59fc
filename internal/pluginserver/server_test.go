package pluginserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const waitFor = time.Minute

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
				require.Contains(t, r.logs.String(), "kong ended an event with these calls unanswered, it has refused one of them: kong.response.set_header\"")
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
