package pluginserver

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// A script is a sequence of PDK calls made of the fuzzer's bytes: each byte picks a call, the text gives its arguments.
type script struct {
	ops  []byte
	text string
}

func (s script) arg(i int) string {
	if len(s.text) == 0 {
		return "x"
	}
	at := i % len(s.text)
	arg := s.text[at:min(len(s.text), at+1+i%40)]
	if !utf8.ValidString(arg) { // go-pdk falls out of step on these; TestHalfWrittenCallsNeverLeave has ours
		return "y"
	}
	return arg
}

// play makes the calls and notes what the handler got to see.
func (s script) play(kong *pdk.PDK) (seen []string) {
	note := func(v ...any) { seen = append(seen, fmt.Sprint(v...)) }
	for i, op := range s.ops {
		arg := s.arg(i)
		switch op % 22 {
		case 0:
			v, err := kong.Request.GetHeader(arg)
			note(v, err)
		case 1:
			note(kong.ServiceRequest.SetHeader(arg, arg))
		case 2:
			note(kong.Response.SetHeader("x-"+arg, arg))
		case 3:
			note(kong.Ctx.SetShared(arg, arg))
		case 4:
			v, err := kong.Ctx.GetSharedAny(arg)
			note(v, err)
		case 5:
			note(kong.Log.Info(arg, i, true))
		case 6:
			m, err := kong.Request.GetHeaders(-1)
			note(len(m), err)
		case 7:
			note(kong.ServiceRequest.SetHeaders(map[string][]string{"a": {arg, "2"}}))
		case 8:
			note(kong.ServiceRequest.ClearHeader(arg))
		case 9:
			note(kong.Response.SetStatus(100 + i*7))
		case 10:
			note(kong.Client.Authenticate(&entities.Consumer{Id: arg}, &client.AuthenticatedCredential{Id: arg}))
		case 11:
			note(kong.ServiceRequest.SetPath(arg))
		case 12:
			note(kong.ServiceRequest.SetRawBody(strings.Repeat(arg, 1+int(op)*20)))
		case 13:
			b, err := kong.Request.GetRawBody()
			note(len(b), err)
		case 14:
			note(kong.Service.SetTarget(arg, i*500))
		case 15:
			note(kong.Service.SetUpstream(arg))
		case 16:
			note(kong.ServiceRequest.SetMethod(arg))
		case 17:
			note(kong.Nginx.SetCtx(arg, map[string]any{"a": i}))
		case 18:
			v, err := kong.Nginx.GetVar(arg)
			note(v, err)
		case 19:
			note(kong.ServiceRequest.SetQuery(map[string][]string{"q": {arg}}))
		case 20:
			r, err := kong.Router.GetRoute()
			note(r.Name, err)
		case 21:
			note(kong.Ctx.SetShared("k", struct{}{})) // refused before a byte is written
		}
	}
	if len(s.ops)%3 == 0 {
		AskLast(kong, AskVar(s.arg(0)), AskRequestBody(), AskMethod())
		v, err := Var(kong, s.arg(0))
		note(v, err)
		b, _, err := RequestBody(kong, 1<<20)
		note(len(b), err)
		m, err := kong.Request.GetMethod()
		note(m, err)
	}
	return seen
}

// kongFor answers as a Kong whose state is the shared values: so a setter that came too late would be seen.
func kongFor() answers {
	shared := map[string][]byte{}
	return func(c pdkCall) ([]byte, bool) {
		switch c.method {
		case "kong.ctx.shared.set":
			k, v, _ := kv(c.args)
			shared[string(k)] = append([]byte(nil), v...)
			return nil, true
		case "kong.ctx.shared.get":
			k, _ := textArg(c.args)
			return shared[string(k)], true
		case "kong.request.get_header", "kong.nginx.get_var":
			k, _ := textArg(c.args)
			return textMessage("v" + string(k)), true
		case "kong.request.get_raw_body":
			return appendBytesField(nil, bodyContent, strings.Repeat("b", 40000)), true
		case "kong.request.get_headers":
			st, _ := structpb.NewStruct(map[string]any{"a": "1", "b": []any{"2", "3"}})
			b, _ := proto.Marshal(st)
			return b, true
		}
		return nil, true
	}
}

// viaGoPDK is what go-pdk's own server does: its PDK straight on the connection.
func (s script) viaGoPDK(t *testing.T) (calls []pdkCall, seen []string) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, theirs := fileConn(t, fds[0]), fileConn(t, fds[1])
	done := make(chan struct{})
	go func() {
		defer close(done)
		seen = s.play(pdk.Init(theirs))
		_, _ = theirs.Write(appendEnd(nil, 77))
		_ = theirs.Close()
	}()
	p := &peer{t, ours}
	defer func() { _ = ours.Close(); <-done }()
	answer := kongFor()
	for {
		name := p.read()
		if len(name) == 0 {
			<-done
			return calls, seen
		}
		c := pdkCall{string(name), p.read()}
		calls = append(calls, c)
		reply, _ := answer(c)
		p.send(reply)
	}
}

func fileConn(t *testing.T, fd int) *net.UnixConn {
	f := os.NewFile(uintptr(fd), "pair")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	require.NoError(t, err)
	return c.(*net.UnixConn)
}

// FuzzCalls: any sequence of PDK calls gives Kong the same calls with the same arguments in the same order as go-pdk's
// own server, and the handler the same answers.
func FuzzCalls(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}, "/a GET b-c")
	f.Add([]byte{3, 4, 3, 4, 3, 3, 3, 4, 21, 21, 4}, "k")
	f.Add([]byte{1, 21, 1, 21, 0}, "näme\x00 ")
	f.Add([]byte(strings.Repeat("\x01", 150)+"\x00"), "header-name")
	f.Fuzz(func(t *testing.T, ops []byte, text string) {
		if len(ops) > 300 {
			return
		}
		current := script{ops, text}
		var seen []string
		done := make(chan struct{})
		r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
			defer close(done)
			seen = current.play(kong)
		}})
		wantCalls, wantSeen := current.viaGoPDK(t)
		p := r.dial()
		defer func() { _ = p.conn.Close() }()
		gotCalls, err := p.run(p.start(nil), "access", kongFor())
		require.NoError(t, err)
		<-done // after the end of the event, where that has left with the last questions
		require.Equal(t, len(wantCalls), len(gotCalls))
		for i, w := range wantCalls {
			require.Equal(t, w.method, gotCalls[i].method)
			if strings.HasSuffix(w.method, "set_headers") || strings.HasSuffix(w.method, "set_query") || strings.HasSuffix(w.method, "set_ctx") {
				continue // maps marshal in random order; compared by size
			}
			require.Equal(t, string(w.args), string(gotCalls[i].args), w.method)
		}
		require.Equal(t, wantSeen, seen)
	})
}
