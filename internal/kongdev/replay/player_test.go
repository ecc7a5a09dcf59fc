package replay

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/transcript"
)

func wireBytes(n protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// patience is how long anything may take before a test fails.
const patience = time.Minute

// A scripted plugin server starts every instance as number 77 and makes the calls that its script has for an event.
type scripted struct {
	socket string
	script func(event string) []recordedCall // no answered: only what to send
	ends   func(event string) bool           // false: it closes the connection instead of ending the event
	alter  func(ret []byte) []byte           // of each RpcReturn

	mu       sync.Mutex
	heard    []string // replies
	together int      // events at one time
	most     int
}

func startScripted(t *testing.T, s *scripted) *scripted {
	t.Helper()
	dir, err := os.MkdirTemp("", "kd")
	require.NoError(t, err)
	s.socket = filepath.Join(dir, "p.socket")
	l, err := net.Listen("unix", s.socket)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = l.Close()
		_ = os.RemoveAll(dir)
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *scripted) serve(c net.Conn) {
	defer c.Close()
	p := &Player{Timeout: patience} // for its frames
	for {
		payload, err := p.read(c)
		if err != nil {
			return
		}
		command, err := frames.ParseCall(payload)
		if err != nil {
			return
		}
		ret := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(command.Sequence))
		switch command.Kind {
		case frames.StartInstance:
			ret = append(ret, wireBytes(33, protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 77))...)
		case frames.HandleEvent:
			if command.Instance != 77 || !s.event(p, c, command.Event) {
				return
			}
		}
		if s.alter != nil {
			ret = s.alter(ret)
		}
		if p.send(c, ret) != nil {
			return
		}
	}
}

func (s *scripted) event(p *Player, c net.Conn, event string) bool {
	s.mu.Lock()
	s.together++
	s.most = max(s.most, s.together)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.together--
		s.mu.Unlock()
	}()
	for _, call := range s.script(event) {
		if p.send(c, []byte(call.method)) != nil || p.send(c, call.args) != nil {
			return false
		}
		reply, err := p.read(c)
		if err != nil {
			return false
		}
		s.mu.Lock()
		s.heard = append(s.heard, string(reply))
		s.mu.Unlock()
	}
	if s.ends != nil && !s.ends(event) {
		return false
	}
	return p.send(c, nil) == nil
}

func (s *scripted) player() *Player {
	return &Player{Timeout: patience, Dial: func() (net.Conn, error) { return net.Dial("unix", s.socket) }}
}

// recordingOf is a recording of one event with the calls.
func recordingOf(calls ...recordedCall) []frames.Frame {
	frame := func(kind string, payload []byte) frames.Frame {
		return frames.Frame{Conn: 1, Kind: kind, Wire: frames.AppendWire(nil, payload)}
	}
	all := []frames.Frame{
		{Conn: 1, Kind: frames.Connect},
		frame(frames.Call, frames.AppendCall(nil, frames.Command{Sequence: 2, Kind: frames.StartInstance, Plugin: "p", Config: []byte("{}")})),
		frame(frames.RPCReturn, []byte("\x08\x02\x8a\x02\x02\x10\x04")),
		frame(frames.Call, frames.AppendCall(nil, frames.Command{Sequence: 3, Kind: frames.HandleEvent, Instance: 4, Event: "access"})),
	}
	for _, c := range calls {
		all = append(all, frame(frames.Method, []byte(c.method)), frame(frames.Args, c.args))
		if c.answered {
			all = append(all, frame(frames.Reply, c.reply))
		}
	}
	return append(all, frame(frames.End, nil), frame(frames.RPCReturn, []byte("\x08\x03")))
}

func TestPlayer(t *testing.T) {
	pair := func(k, v string) []byte { return join(wireBytes(1, []byte(k)), wireBytes(2, wireBytes(3, []byte(v)))) }
	set := func(k, v string) recordedCall {
		return recordedCall{"kong.response.set_header", pair(k, v), nil, true, nil}
	}
	get := func(name, value string) recordedCall {
		return recordedCall{"kong.request.get_header", wireBytes(1, []byte(name)), wireBytes(1, []byte(value)), true, nil}
	}
	warn := recordedCall{"kong.log.warn", wireBytes(1, wireBytes(3, []byte("away"))), nil, true, nil}
	exit := recordedCall{method: "kong.response.exit", args: []byte("\x08\xa2\x03")}
	id := func(n string) string { return "0000000" + n + "-0000-4000-8000-000000000000" }
	for _, c := range []struct {
		name     string
		recorded []recordedCall
		now      []recordedCall
		heard    []string
		want     []string // differences: text|recorded|now
	}{
		{"nothing", nil, nil, nil, nil},
		{"as recorded", []recordedCall{get("a", "1"), set("X", "y")}, []recordedCall{get("a", ""), set("X", "y")}, []string{"\x0a\x011", ""}, nil},
		{"fields in another order", []recordedCall{set("X", "y")}, []recordedCall{{"kong.response.set_header", join(wireBytes(2, wireBytes(3, []byte("y"))), wireBytes(1, []byte("X"))), nil, true, nil}}, []string{""}, nil},
		{"an id that is new", []recordedCall{set("X", id("1"))}, []recordedCall{set("X", id("2"))}, []string{""}, nil},
		{"other arguments", []recordedCall{set("X", "y")}, []recordedCall{set("X", "z")}, []string{""}, []string{`kong.response.set_header: the arguments differ|"X", "y"|"X", "z"`}},
		{"another name is answered with what there is", []recordedCall{get("a", "1")}, []recordedCall{get("b", "")}, []string{"\x0a\x011"}, []string{`kong.request.get_header: the arguments differ|"a"|"b"`}},
		{"secrets stay hidden", []recordedCall{set("apikey", "topsecret")}, []recordedCall{set("apikey", "top-secret")}, []string{""}, []string{`kong.response.set_header: the arguments differ|"apikey", (11 bytes)|"apikey", (12 bytes)`}},
		{"a call less", []recordedCall{get("a", "1"), set("X", "y")}, []recordedCall{set("X", "y")}, []string{""}, []string{`kong.request.get_header: the call is not made any more|"a"|`}},
		{"a setter more", nil, []recordedCall{set("X", "y")}, []string{""}, []string{`kong.response.set_header: the call is new||"X", "y"`}},
		{"a question more", []recordedCall{set("X", "y")}, []recordedCall{get("a", ""), set("X", "y")}, nil, []string{`kong.request.get_header: the call is new and the recording has no answer to it; the event is not played further||"a"`}},
		{"no such method", nil, []recordedCall{{method: "kong.cache.get"}}, nil, []string{`"kong.cache.get" is no method of Kong's protocol; Kong answers 500||`}},
		{"the other way round", []recordedCall{set("X", "1"), set("Y", "2")}, []recordedCall{set("Y", "2"), set("X", "1")}, []string{"", ""}, []string{`kong.response.set_header: the call comes later than recorded, it was call 1 and is call 2|"X", "1"|`}},
		{"a log line more", []recordedCall{set("X", "1")}, []recordedCall{warn, set("X", "1"), warn}, []string{"", "", ""}, nil},
		{"a log line less, and one later", []recordedCall{warn, warn, set("X", "1")}, []recordedCall{set("X", "1"), warn}, []string{"", ""}, nil},
		{"exit is never answered", []recordedCall{get("a", "1"), exit}, []recordedCall{get("a", ""), exit}, []string{"\x0a\x011"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startScripted(t, &scripted{script: func(string) []recordedCall { return c.now }})
			p := s.player()
			result, err := p.Play(t.Context(), recordingOf(c.recorded...))
			require.NoError(t, err)
			var got []string
			for _, d := range result.Differences {
				assert.Equal(t, 4, d.Frame)
				got = append(got, strings.TrimPrefix(d.Text, "access of instance 4: ")+"|"+d.Recorded+"|"+d.Now)
			}
			assert.Equal(t, c.want, got)
			s.mu.Lock()
			defer s.mu.Unlock()
			assert.Equal(t, c.heard, s.heard)
		})
	}
}

func TestPlayerExact(t *testing.T) {
	set := func(v string) recordedCall {
		return recordedCall{"kong.response.set_header", join(wireBytes(1, []byte("X")), wireBytes(2, wireBytes(3, []byte(v)))), nil, true, nil}
	}
	s := startScripted(t, &scripted{script: func(string) []recordedCall { return []recordedCall{set(strings.Repeat("a", 32))} }})
	p := s.player()
	p.Exact = true
	result, err := p.Play(t.Context(), recordingOf(set(strings.Repeat("b", 32))))
	require.NoError(t, err)
	require.Len(t, result.Differences, 1)
	p.Logs = true
	result, err = p.Play(t.Context(), recordingOf(set(strings.Repeat("a", 32)), recordedCall{"kong.log.warn", []byte{}, nil, true, nil}))
	require.NoError(t, err)
	require.Len(t, result.Differences, 1)
	assert.Contains(t, result.Differences[0].Text, "kong.log.warn: the call is not made any more")
}

// A body that came in a file comes in a file again, as long as its content was recorded.
func TestPlayerMakesBodyFiles(t *testing.T) {
	const method = "kong.request.get_raw_body"
	s := startScripted(t, &scripted{script: func(string) []recordedCall { return []recordedCall{{method: method}} }})
	p := s.player()
	p.Folder = t.TempDir()
	all := recordingOf(recordedCall{method, []byte{}, frames.WithBodyPath("/gone"), true, nil})
	for i := range all {
		if all[i].Kind == frames.Reply {
			all[i].BodyFile = []byte("large")
		}
	}
	result, err := p.Play(t.Context(), all)
	require.NoError(t, err)
	require.Empty(t, result.Differences)
	s.mu.Lock()
	defer s.mu.Unlock()
	path := frames.BodyPath(method, []byte(s.heard[0]))
	assert.Equal(t, p.Folder, filepath.Dir(path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "large", string(content))
}

// What a plugin server can get wrong below the calls.
func TestPlayerMeetsABrokenServer(t *testing.T) {
	ended := recordingOf()
	broken := ended[:len(ended)-2] // the event has no end
	for _, c := range []struct {
		name   string
		all    []frames.Frame
		server *scripted
		want   string
	}{
		{"closes", ended, &scripted{ends: func(string) bool { return false }}, "the plugin server closed the connection; Kong would send the event again"},
		{"closes as recorded", append(broken[:len(broken):len(broken)], frames.Frame{Conn: 1, Kind: frames.Close}), &scripted{ends: func(string) bool { return false }}, ""},
		{"ends what was broken off", append(broken[:len(broken):len(broken)], frames.Frame{Conn: 1, Kind: frames.Close}), &scripted{}, "it comes to its end now"},
		{"ends where the recording ended before", broken, &scripted{}, ""},
		{"closes where the recording ended before", broken, &scripted{ends: func(string) bool { return false }}, "the plugin server closed the connection"},
		{"wrong sequence", ended, &scripted{alter: func(b []byte) []byte { return append([]byte{8, 9}, b[2:]...) }}, "the answer has sequence 9, the call had 2"},
		{"no status", ended, &scripted{alter: func(b []byte) []byte { return b[:2] }}, "the answer has no instance_status"},
		{"no message", ended, &scripted{alter: func([]byte) []byte { return []byte{0xff} }}, "the answer is no RpcReturn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.script = func(string) []recordedCall { return nil }
			p := startScripted(t, c.server).player()
			result, err := p.Play(t.Context(), c.all)
			require.NoError(t, err)
			if c.want == "" {
				require.Empty(t, result.Differences)
				return
			}
			require.NotEmpty(t, result.Differences)
			assert.Contains(t, result.Differences[0].Text, c.want)
		})
	}
	t.Run("silent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			silent := make(chan struct{})
			s := &scripted{script: func(string) []recordedCall { <-silent; return nil }}
			p := &Player{Timeout: 20 * time.Second, Dial: func() (net.Conn, error) {
				near, far := net.Pipe()
				go s.serve(far)
				return near, nil
			}}
			begun := time.Now()
			result, err := p.Play(t.Context(), ended)
			require.NoError(t, err)
			close(silent)
			assert.Equal(t, p.Timeout, time.Since(begun))
			require.Len(t, result.Differences, 1)
			assert.Contains(t, result.Differences[0].Text, "no answer within 20s")
		})
	})
	t.Run("told to stop", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		silent := make(chan struct{})
		defer close(silent)
		s := startScripted(t, &scripted{script: func(string) []recordedCall { stop(); <-silent; return nil }})
		_, err := s.player().Play(ctx, ended)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("nobody listens", func(t *testing.T) {
		p := &Player{Timeout: patience, Dial: func() (net.Conn, error) { return net.Dial("unix", "/nowhere/socket") }}
		_, err := p.Play(t.Context(), ended)
		require.ErrorContains(t, err, "no such file")
	})
}

// A plugin that does what was recorded plays all recordings of a real Kong without a difference: a server that makes the
// recorded calls, in the recorded events.
func TestPlayerPlaysEveryRecording(t *testing.T) {
	var all []frames.Frame
	for _, name := range transcript.Names() {
		recorded, err := transcript.Load(name)
		require.NoError(t, err)
		if n, _ := strconv.Atoi(name[:2]); n < 13 { // one process, one after another
			all = append(all, recorded...)
		}
	}
	list, err := readExchanges(all)
	require.NoError(t, err)
	var mu sync.Mutex
	scripts := map[string][][]recordedCall{} // by phase, in order
	ends := map[string][]bool{}
	for _, e := range list {
		if e.command.Kind == frames.HandleEvent {
			scripts[e.command.Event] = append(scripts[e.command.Event], e.calls)
			ends[e.command.Event] = append(ends[e.command.Event], e.returned)
		}
	}
	s := startScripted(t, &scripted{script: func(event string) []recordedCall {
		mu.Lock()
		defer mu.Unlock()
		next := scripts[event][0]
		scripts[event] = scripts[event][1:]
		return next
	}})
	p := s.player()
	result, err := p.Play(t.Context(), all)
	require.NoError(t, err)
	assert.Empty(t, result.Differences)
	assert.Greater(t, result.Events, 30)
	assert.Equal(t, 2, result.Instances)
}

// Two events that overlapped in the recording overlap again: each waits for the other.
func TestPlayerOverlaps(t *testing.T) {
	recorded, err := transcript.Load("13_two_concurrent")
	require.NoError(t, err)
	first, err := transcript.Load("01_get_first_start_instance")
	require.NoError(t, err)
	s := startScripted(t, &scripted{script: func(string) []recordedCall { return nil }})
	both := make(chan struct{})
	waiting := 0
	s.script = func(event string) []recordedCall {
		s.mu.Lock()
		defer s.mu.Unlock()
		if event == "access" && len(s.heard) == 0 {
			if waiting++; waiting == 3 { // one of 01, two of 13
				close(both)
			}
		}
		return nil
	}
	s.ends = func(event string) bool {
		s.mu.Lock()
		n := waiting
		s.mu.Unlock()
		if event == "access" && n > 1 {
			<-both
		}
		return true
	}
	p := s.player()
	result, err := p.Play(t.Context(), append(first, recorded...))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, s.most, 2)
	for _, d := range result.Differences {
		assert.Contains(t, d.Text, "not made any more")
	}
}

func TestReadExchangesRefuses(t *testing.T) {
	good := recordingOf()
	event := good[3]
	for _, c := range []struct {
		name string
		all  []frames.Frame
		want string
	}{
		{"instance of before", good[3:], "frame 1: RpcCall on connection 1: instance 4 was started before this recording; name the recording that starts it first"},
		{"two commands", append(append([]frames.Frame{}, good[:4]...), event), "frame 5: RpcCall on connection 1: the command before it has no end"},
		{"nothing asked", []frames.Frame{{Kind: frames.End, Wire: make([]byte, 4)}}, "frame 1: end_of_event on connection 0: nothing was asked"},
		{"no call made", append(append([]frames.Frame{}, good[:4]...), frames.Frame{Conn: 1, Kind: frames.Args, Wire: make([]byte, 4)}), "frame 5: step_args on connection 1: no call was made"},
		{"no command", []frames.Frame{{Kind: frames.Call, Wire: make([]byte, 4)}}, "frame 1: RpcCall on connection 0: it is no command of Kong's"},
	} {
		_, err := readExchanges(c.all)
		assert.EqualError(t, err, c.want, c.name)
	}
}

// Any frames are either refused or played as exchanges that lie within them.
func FuzzReadExchanges(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04\x05"), []byte("\x08\x02\x8a\x02\x02\x10\x04"))
	kinds := []string{frames.Connect, frames.Close, frames.Call, frames.Method, frames.Args, frames.Reply, frames.End, frames.RPCReturn}
	f.Fuzz(func(t *testing.T, order, payload []byte) {
		var all []frames.Frame
		for _, o := range order {
			all = append(all, frames.Frame{Conn: int(o >> 6), Kind: kinds[o&7], Wire: frames.AppendWire(nil, payload)})
		}
		list, err := readExchanges(all)
		if err != nil {
			return
		}
		for _, e := range list {
			if e.from < 0 || e.to < e.from || e.to >= len(all) || all[e.from].Kind != frames.Call {
				t.Fatalf("%+v", e)
			}
		}
	})
}
