package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/transcript"
)

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
	p := &player{timeout: 10 * time.Second} // for its frames
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

func (s *scripted) event(p *player, c net.Conn, event string) bool {
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

func (s *scripted) player() *player {
	return &player{timeout: 10 * time.Second, dial: func() (net.Conn, error) { return net.Dial("unix", s.socket) }}
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
	set := func(k, v string) recordedCall { return recordedCall{"kong.response.set_header", pair(k, v), nil, true} }
	get := func(name, value string) recordedCall {
		return recordedCall{"kong.request.get_header", wireBytes(1, []byte(name)), wireBytes(1, []byte(value)), true}
	}
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
		{"fields in another order", []recordedCall{set("X", "y")}, []recordedCall{{"kong.response.set_header", join(wireBytes(2, wireBytes(3, []byte("y"))), wireBytes(1, []byte("X"))), nil, true}}, []string{""}, nil},
		{"an id that is new", []recordedCall{set("X", id("1"))}, []recordedCall{set("X", id("2"))}, []string{""}, nil},
		{"other arguments", []recordedCall{set("X", "y")}, []recordedCall{set("X", "z")}, []string{""}, []string{`kong.response.set_header: the arguments differ|"X", "y"|"X", "z"`}},
		{"another name is answered with what there is", []recordedCall{get("a", "1")}, []recordedCall{get("b", "")}, []string{"\x0a\x011"}, []string{`kong.request.get_header: the arguments differ|"a"|"b"`}},
		{"secrets stay hidden", []recordedCall{set("apikey", "topsecret")}, []recordedCall{set("apikey", "top-secret")}, []string{""}, []string{`kong.response.set_header: the arguments differ|"apikey", (11 bytes)|"apikey", (12 bytes)`}},
		{"a call less", []recordedCall{get("a", "1"), set("X", "y")}, []recordedCall{set("X", "y")}, []string{""}, []string{`kong.request.get_header: the call is not made any more|"a"|`}},
		{"a setter more", nil, []recordedCall{set("X", "y")}, []string{""}, []string{`kong.response.set_header: the call is new||"X", "y"`}},
		{"a question more", []recordedCall{set("X", "y")}, []recordedCall{get("a", ""), set("X", "y")}, nil, []string{`kong.request.get_header: the call is new and the recording has no answer to it; the event is not played further||"a"`}},
		{"no such method", nil, []recordedCall{{method: "kong.cache.get"}}, nil, []string{`"kong.cache.get" is no method of Kong's protocol; Kong answers 500||`}},
		{"the other way round", []recordedCall{set("X", "1"), set("Y", "2")}, []recordedCall{set("Y", "2"), set("X", "1")}, []string{"", ""}, []string{`kong.response.set_header: the call comes later than recorded, it was call 1 and is call 2|"X", "1"|`}},
		{"exit is never answered", []recordedCall{get("a", "1"), exit}, []recordedCall{get("a", ""), exit}, []string{"\x0a\x011"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startScripted(t, &scripted{script: func(string) []recordedCall { return c.now }})
			p := s.player()
			require.NoError(t, p.play(recordingOf(c.recorded...)))
			var got []string
			for _, d := range p.differences {
				assert.Equal(t, 4, d.frame)
				got = append(got, strings.TrimPrefix(d.text, "access of instance 4: ")+"|"+d.recorded+"|"+d.now)
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
		return recordedCall{"kong.response.set_header", join(wireBytes(1, []byte("X")), wireBytes(2, wireBytes(3, []byte(v)))), nil, true}
	}
	s := startScripted(t, &scripted{script: func(string) []recordedCall { return []recordedCall{set(strings.Repeat("a", 32))} }})
	p := s.player()
	p.exact = true
	require.NoError(t, p.play(recordingOf(set(strings.Repeat("b", 32)))))
	require.Len(t, p.differences, 1)
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
		{"closes as recorded", broken, &scripted{ends: func(string) bool { return false }}, ""},
		{"ends what was broken off", broken, &scripted{}, "it comes to its end now"},
		{"wrong sequence", ended, &scripted{alter: func(b []byte) []byte { return append([]byte{8, 9}, b[2:]...) }}, "the answer has sequence 9, the call had 2"},
		{"no status", ended, &scripted{alter: func(b []byte) []byte { return b[:2] }}, "the answer has no instance_status"},
		{"no message", ended, &scripted{alter: func([]byte) []byte { return []byte{0xff} }}, "the answer is no RpcReturn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.script = func(string) []recordedCall { return nil }
			p := startScripted(t, c.server).player()
			require.NoError(t, p.play(c.all))
			if c.want == "" {
				require.Empty(t, p.differences)
				return
			}
			require.NotEmpty(t, p.differences)
			assert.Contains(t, p.differences[0].text, c.want)
		})
	}
	t.Run("silent", func(t *testing.T) {
		silent := make(chan struct{})
		s := startScripted(t, &scripted{script: func(string) []recordedCall { <-silent; return nil }})
		p := s.player()
		p.timeout = 20 * time.Millisecond
		require.NoError(t, p.play(ended))
		close(silent)
		require.Len(t, p.differences, 1)
		assert.Contains(t, p.differences[0].text, "no answer within 20ms")
	})
	t.Run("nobody listens", func(t *testing.T) {
		p := &player{timeout: time.Second, dial: func() (net.Conn, error) { return net.Dial("unix", filepath.Join(t.TempDir(), "none")) }}
		require.ErrorContains(t, p.play(ended), "no such file")
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
	require.NoError(t, p.play(all))
	assert.Empty(t, p.differences)
	assert.Greater(t, p.counts.events, 30)
	assert.Equal(t, 2, p.counts.instances)
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
	require.NoError(t, p.play(append(first, recorded...)))
	assert.GreaterOrEqual(t, s.most, 2)
	for _, d := range p.differences {
		assert.Contains(t, d.text, "not made any more")
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

// kongdev replay at the command line: with -socket, several files, errors with cause and remedy.
func TestReplayCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, all []frames.Frame) string {
		file, err := os.Create(filepath.Join(dir, name))
		require.NoError(t, err)
		defer file.Close()
		w := frames.NewWriter(file, time.Now())
		for _, f := range all {
			require.NoError(t, w.Write(f, time.Now(), f.Payload()))
		}
		return file.Name()
	}
	good := write("good.jsonl", recordingOf())
	more := write("more.jsonl", recordingOf(recordedCall{"kong.response.set_status", []byte{8, 100}, nil, true})[3:])
	s := startScripted(t, &scripted{script: func(string) []recordedCall { return nil }})
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"help", []string{"-help"}, 0, "", "usage: kongdev replay -plugin PLUGIN [flags] FILE ..."},
		{"no file", []string{"-socket", s.socket}, 2, "", "kongdev: replay: no recording: name one or more files; kongdev replay -help tells more\n"},
		{"no plugin", []string{good}, 2, "", "no plugin server: name one with -plugin or -socket, not both"},
		{"two", []string{"-plugin", "x", "-socket", "x", good}, 2, "", "not both"},
		{"unknown flag", []string{"-x"}, 2, "", "flag provided but not defined: -x"},
		{"timeout", []string{"-socket", "x", "-timeout", "0s", good}, 2, "", "-timeout must be more than 0"},
		{"as recorded", []string{"-socket", s.socket, good}, 0, "✓ 1 recording played: 1 instance, 1 event, 0 calls, 0 differences\n", ""},
		{"two files", []string{"-socket", s.socket, good, more}, 1, "✗ " + more + ": frame 1: access of instance 4: kong.response.set_status: the call is not made any more\n    recorded  100\n✗ 2 recordings played", ""},
		{"the second alone", []string{"-socket", s.socket, more}, 1, "", "kongdev: replay: recording " + more + ": frame 1: RpcCall on connection 1: instance 4 was started before this recording"},
		{"no such file", []string{"-socket", s.socket, dir + "/none"}, 1, "", "no such file or directory; name a file that kongdev -record has written\n"},
		{"no recording", []string{"-socket", s.socket, writeFile(t, dir+"/text", "hello", 0o600)}, 1, "", "kongdev: replay: recording " + dir + "/text: line 1: not a frame of a recording"},
		{"empty", []string{"-socket", s.socket, writeFile(t, dir+"/empty", "", 0o600)}, 1, "", "it is empty; was a request sent while it was recorded?"},
		{"no such plugin", []string{"-plugin", dir + "/none", good}, 1, "", "no such file or directory; name a binary, or a query command in quotes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, append([]string{"replay"}, c.args...)...)
			assert.Equal(t, c.code, code)
			if c.stdout == "" {
				assert.Empty(t, stdout)
			}
			assert.Contains(t, stdout, c.stdout)
			assert.Contains(t, stderr, c.stderr)
		})
	}
}

func TestCheckCommand(t *testing.T) {
	dir := plugins(t)
	bad := writeFile(t, filepath.Join(dir, "bad"), "#!/bin/sh\necho '{\"Plugins\":[{\"Name\":\"bad\",\"Priority\":1.5}]}'\n", 0o755)
	plain := writeFile(t, filepath.Join(dir, "plain"), "", 0o600)
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout []string
		stderr string
	}{
		{"help", []string{"-help"}, 0, nil, "usage: kongdev check PLUGIN ..."},
		{"no plugin", nil, 2, nil, "kongdev: check: no plugin: name one or more binaries; kongdev check -help tells more\n"},
		{"unknown flag", []string{"-x"}, 2, nil, "flag provided but not defined: -x"},
		{"good", []string{dir + "/p"}, 0, []string{"✓ " + dir + "/p: Kong takes it: p 1.0.0, priority 1, phases log\n"}, ""},
		{"a query command", []string{dir + "/p -dump"}, 0, []string{"Kong takes it: p 1.0.0"}, ""},
		{"good and bad", []string{dir + "/p", bad}, 1, []string{
			"✓ " + dir + "/p", "✗ " + bad + ": 4 problems\n",
			"  refused  Plugin \"bad\" cannot be loaded because its PRIORITY field is not a valid integer number, got: \"1.5\".\n           remedy: give \"Priority\" as a whole number\n",
			"  refused  Plugin \"bad\" cannot be loaded because its VERSION field", "  refused  bad argument #1 to 'for iterator'", "  refused  no configuration schema found for plugin: bad",
			"  remark   protocol \"MsgPack:1\" is not in kongdev",
		}, ""},
		{"no such file", []string{dir + "/none"}, 1, nil, "kongdev: check: stat " + dir + "/none: no such file or directory; name a binary, or a query command in quotes\n"},
		{"no executable", []string{plain}, 1, nil, plain + " is no executable file; make it one with chmod +x\n"},
		{"a folder", []string{dir}, 1, nil, dir + " is no file; name the binary in it\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, append([]string{"check"}, c.args...)...)
			assert.Equal(t, c.code, code)
			if c.stdout == nil {
				assert.Empty(t, stdout)
			}
			for _, want := range c.stdout {
				assert.Contains(t, stdout, want)
			}
			assert.Contains(t, stderr, c.stderr)
		})
	}
}

// A recording that the gateway writes has the form of the recordings, and its bytes are whole.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "kong.yml"), "_format_version: \"3.0\"\nservices: [{name: up, url: \"http://echo.kongdev\", routes: [{paths: [/]}]}]\nplugins: [{name: moesif, config: {application_id: topsecret, api_endpoint: \"http://collector.kongdev\"}}]\n", 0o600)
	name := filepath.Join(dir, "rec.jsonl")
	args := []string{"-f", file, "-plugins", builtMoesif(t), "-listen", "127.0.0.1:0", "-admin", "off", "-v", "-record", name, "--", "sh", "-c"}
	code, stdout, stderr := runCommand(t, append(args, `curl -s "$KONGDEV_URL/ok?token=topsecret" && exit 7`)...)
	require.Equal(t, 7, code, stderr)
	assert.JSONEq(t, `{"ok":true}`, stdout, "nothing but the command's output")
	assert.Contains(t, stderr, "GET /ok?token=(9 bytes): 200 from the service, ")
	assert.Contains(t, stderr, "└─ log of moesif: ")
	assert.NotContains(t, stderr, "topsecret")

	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm(), "it holds secrets")
	all, err := readRecording(name)
	require.NoError(t, err)
	list, err := readExchanges(all)
	require.NoError(t, err)
	var events []string
	for _, e := range list {
		events = append(events, e.command.Event)
		assert.True(t, e.returned)
	}
	assert.Equal(t, []string{"", "access", "response", "log"}, events)
	assert.Contains(t, string(list[0].command.Config), "topsecret")
	for _, f := range all {
		assert.True(t, json.Valid(f.Decoded) || f.Decoded == nil)
	}

	for range 2 { // a recording is replaced, anything else is not
		code, stdout, stderr = runCommand(t, "replay", "-plugin", builtMoesif(t)+"/moesif", name)
		require.Equal(t, 0, code, stdout+stderr)
		assert.Contains(t, stdout, "1 instance, 3 events, ")
		code, _, stderr = runCommand(t, append(args, "true")...)
		require.Equal(t, 0, code, stderr)
		code, _, _ = runCommand(t, append(args, `curl -s "$KONGDEV_URL/ok"`)...)
		require.Equal(t, 0, code)
	}
	args[len(args)-4] = file
	code, _, stderr = runCommand(t, append(args, "true")...)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "kongdev: record: "+file+" is there and is no recording; remove it or name another file with -record\n")
	args[len(args)-4] = dir + "/none/x"
	_, _, stderr = runCommand(t, append(args, "true")...)
	assert.Contains(t, stderr, "no such file or directory; name a file that can be written with -record\n")
}

func TestCommandBehindTheGateway(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), "_format_version: \"3.0\"\nservices: [{name: up, url: \"http://echo.kongdev\", routes: [{paths: [/]}]}]\n", 0o600)
	args := []string{"-f", file, "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "--"}
	for _, c := range []struct {
		command []string
		code    int
		stdout  string
		stderr  string
	}{
		{[]string{"sh", "-c", "exit 3"}, 3, "", ""},
		{[]string{"sh", "-c", "kill -9 $$"}, 137, "", ""},
		{[]string{"/nowhere/at/all"}, 127, "", "kongdev: fork/exec /nowhere/at/all: no such file or directory\n"},
		{[]string{"sh", "-c", `curl -s "$KONGDEV_URL/text"; curl -s "$KONGDEV_ADMIN_URL/services/up" | grep -o '"host":"[^"]*"'`}, 0, "\"host\":\"echo.kongdev\"\n", ""},
	} {
		code, stdout, stderr := runCommand(t, append(args[:len(args):len(args)], c.command...)...)
		assert.Equal(t, c.code, code, c.command)
		assert.Contains(t, stdout, c.stdout)
		assert.Contains(t, stderr, c.stderr)
	}
	code, _, stderr := runCommand(t, "-f", file, "-demo", "--", "true")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "-demo goes without a command")
}
