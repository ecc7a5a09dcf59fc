package frames_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/transcript"
)

// What is written is read back as it was, and is what the recordings of a real Kong look like: same fields, message
// names and decoded messages.
func TestWriterWritesTheFormOfTheRecordings(t *testing.T) {
	for _, name := range transcript.Names() {
		recorded, err := transcript.Load(name)
		require.NoError(t, err)
		var b bytes.Buffer
		begun := time.Now()
		w := frames.NewWriter(&b, begun)
		for _, f := range recorded {
			require.NoError(t, w.Write(f, begun.Add(f.At), f.Payload()))
		}
		require.NoError(t, w.Err())
		again, err := frames.Read(&b)
		require.NoError(t, err)
		require.Len(t, again, len(recorded))
		order := map[int]int{}
		for i, want := range recorded {
			got := again[i]
			at := fmt.Sprintf("%s frame %d: %s %s", name, i+1, want.Kind, want.Method)
			order[want.Conn]++
			assert.Equal(t, order[want.Conn], got.N, at)
			assert.InDelta(t, want.At.Microseconds(), got.At.Microseconds(), 1, at)
			if want.Decoded != nil && got.Decoded != nil {
				assert.JSONEq(t, string(want.Decoded), string(got.Decoded), at)
			} else {
				assert.True(t, got.Decoded == nil || string(got.Decoded) == "{}", at)
			}
			if want.Type == "" {
				want.Type = got.Type
			}
			want.N, got.N, want.At, got.At, want.Decoded, got.Decoded = 0, 0, 0, 0, nil, nil
			assert.Equal(t, want, got, at)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const good = `{"conn":1,"dir":"kong->plugin","kind":"RpcCall","hex":"0200000008ff"}`
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"good", good, ""},
		{"empty lines", "\n" + good + "\r\n\n", ""},
		{"no JSON", good + "\n{", "line 2: not a frame of a recording: unexpected end of JSON input"},
		{"another type", `[1]`, "line 1: not a frame of a recording: json: cannot unmarshal array"},
		{"another kind", `{"kind":"rpc"}`, `line 1: kind: "rpc" is none that a recording has`},
		{"another direction", strings.Replace(good, "kong->plugin", "plugin->kong", 1), `line 1: dir: "plugin->kong" does not go with kind RpcCall, which is "kong->plugin"`},
		{"no hex", strings.Replace(good, "0200000008ff", "02z", 1), "line 1: hex: encoding/hex"},
		{"too short", strings.Replace(good, "0200000008ff", "0200", 1), "line 1: hex: 2 bytes are not one whole frame"},
		{"length does not fit", strings.Replace(good, "08ff", "08", 1), "line 1: hex: 5 bytes are not one whole frame"},
		{"cut", strings.Replace(good, `"hex"`, `"hex_truncated":true,"hex"`, 1), "line 1: hex_truncated: the frame is cut"},
		{"bytes of a connect", `{"dir":"-","kind":"connect","hex":"00"}`, "line 1: hex: connect has no bytes"},
		{"an end with bytes", `{"dir":"plugin->kong","kind":"end_of_event","hex":"0100000008"}`, "line 1: hex: end_of_event is an empty frame"},
	} {
		_, err := frames.Read(strings.NewReader(c.text))
		if c.want == "" {
			assert.NoError(t, err, c.name)
		} else {
			assert.ErrorContains(t, err, c.want, c.name)
		}
	}
	_, err := frames.Read(io.MultiReader(strings.NewReader(good+"\n"), failing{}))
	assert.ErrorContains(t, err, "line 2: disk gone")
}

type failing struct{}

func (failing) Read([]byte) (int, error)  { return 0, errors.New("disk gone") }
func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriterStopsAtAnError(t *testing.T) {
	w := frames.NewWriter(failing{}, time.Now())
	require.NoError(t, w.Err())
	require.ErrorContains(t, w.Write(frames.Frame{Kind: frames.Connect}, time.Now(), nil), "disk full")
	require.ErrorContains(t, w.Err(), "disk full")
}

func TestCommands(t *testing.T) {
	for _, c := range []frames.Command{
		{Sequence: 7, Kind: frames.StartInstance, Plugin: "moesif", Config: []byte(`{"b":"topsecret","a":1}`)},
		{Sequence: 8, Kind: frames.HandleEvent, Instance: -4, Event: "access"},
		{Sequence: 9, Kind: frames.CloseInstance, Instance: 4},
	} {
		got, err := frames.ParseCall(frames.AppendCall(nil, c))
		require.NoError(t, err)
		assert.Equal(t, c, got)
	}
	assert.Equal(t, `start instance of "moesif" with (23 bytes): a b`,
		frames.CallText(frames.AppendCall(nil, frames.Command{Kind: frames.StartInstance, Plugin: "moesif", Config: []byte(`{"b":"topsecret","a":1}`)})))
	assert.Equal(t, "access of instance 4", frames.CallText(frames.AppendCall(nil, frames.Command{Kind: frames.HandleEvent, Instance: 4, Event: "access"})))
	assert.Equal(t, "close instance 4", frames.CallText(frames.AppendCall(nil, frames.Command{Kind: frames.CloseInstance, Instance: 4})))
	assert.Equal(t, "call (1 bytes)", frames.CallText([]byte{0xff}))
}

// Every recorded call has messages of the recorded names.
func TestMethodMessages(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range transcript.Names() {
		recorded, err := transcript.Load(name)
		require.NoError(t, err)
		for _, f := range recorded {
			m, known := frames.MethodMessages(f.Method)
			switch {
			case f.Type == "" || f.Kind != frames.Args && f.Kind != frames.Reply:
			case f.Kind == frames.Args:
				require.True(t, known, f.Method)
				assert.Equal(t, f.Type, string(m.Args.Descriptor().FullName()), f.Method)
				seen[f.Method] = true
			default:
				assert.Equal(t, f.Type, string(m.Reply.Descriptor().FullName()), f.Method)
			}
		}
	}
	assert.Greater(t, len(seen), 30)
	_, known := frames.MethodMessages("kong.ctx.shared.get")
	assert.True(t, known, "its name is an option of the protocol's description")
	_, known = frames.MethodMessages("kong.cache.get")
	assert.False(t, known)
}

// A whole sequence of recorded calls as it is shown.
func TestTexts(t *testing.T) {
	recorded, err := transcript.Load("28_probe_vars")
	require.NoError(t, err)
	var got []string
	var args []byte
	for _, f := range recorded {
		switch f.Kind {
		case frames.Args:
			args = f.Payload()
			got = append(got, f.Method+"("+frames.ArgsText(f.Method, args)+")")
		case frames.Reply:
			got[len(got)-1] += " = " + frames.ReplyText(f.Method, args, f.Payload())
		}
	}
	text := strings.Join(got, "\n")
	assert.Contains(t, text, `kong.nginx.get_var("request_uri") = (15 bytes)`, "it holds the query")
	assert.Contains(t, text, "kong.nginx.get_var(\"remote_addr\") = \"127.0.0.1\"\n")

	recorded, err = transcript.Load("06_exit_418")
	require.NoError(t, err)
	for _, f := range recorded {
		if f.Kind == frames.Args && f.Method == "kong.service.request.set_header" {
			assert.Equal(t, `"X-To-Upstream", "from-go"`, frames.ArgsText(f.Method, f.Payload()))
		}
		if f.Kind == frames.Args && f.Method == "kong.response.exit" {
			assert.Regexp(t, `^\(\d+ bytes\)$`, frames.ArgsText(f.Method, f.Payload()))
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	text := func(n byte, s string) string { return string([]byte{n<<3 | 2, byte(len(s))}) + s }
	value := func(s string) string { return text(3, s) }
	entry := func(k, v string) string { return text(1, text(1, k)+text(2, value(v))) }
	for _, c := range []struct{ got, want string }{
		{frames.ArgsText("kong.service.request.set_header", []byte(text(1, "apikey")+text(2, value("topsecret")))), `"apikey", (11 bytes)`},
		{frames.ArgsText("kong.response.set_header", []byte(text(1, "X-A")+text(2, value("b")))), `"X-A", "b"`},
		{frames.ArgsText("kong.response.set_headers", []byte(entry("Set-Cookie", "topsecret")+entry("A", "b"))), `{"A": "b", "Set-Cookie": (11 bytes)}`},
		{frames.ArgsText("kong.response.exit", []byte(text(2, "topsecret"))), "(11 bytes)"},
		{frames.ReplyText("kong.request.get_header", []byte(text(1, "Authorization")), []byte(text(1, "topsecret"))), "(11 bytes)"},
		{frames.ReplyText("kong.request.get_header", []byte(text(1, "x-a")), []byte(text(1, "b"))), `"b"`},
		{frames.ReplyText("kong.request.get_header", []byte(text(1, "x-a")), nil), `""`},
		{frames.ReplyText("kong.request.get_header", []byte(text(1, "x-a")), []byte(text(1, "b\xff"))), "(2 bytes)"},
		{frames.ReplyText("kong.request.get_headers", nil, []byte(entry("A", "topsecret"))), "(18 bytes)"},
		{frames.ReplyText("kong.response.get_status", nil, []byte{8, 200, 1}), "200"},
		{frames.ReplyText("kong.response.set_status", nil, nil), ""},
		{frames.ArgsText("kong.unknown", []byte(text(1, "apikey")+text(2, "topsecret")+text(3, "x"))), `"apikey", (9 bytes), "x"`},
		{frames.PlainArgs("kong.response.set_headers", []byte(entry("Set-Cookie", "secret")+entry("A", strings.Repeat("b", 20)))), `{"A": "bbbbbbbbbbbbbbbbbbbb", "Set-Cookie": "secret"}`},
		{frames.PlainReply("kong.request.get_header", []byte(text(1, "secret"))), `"secret"`},
		{frames.TargetText("/a/b?x=1&api-key=topsecret&flag&%6bey=topsecret"), "/a/b?x=1&api-key=(9 bytes)&flag&%6bey=(9 bytes)"},
		{frames.TargetText("/a\x1b[2J"), "/a\ufffd[2J"},
	} {
		assert.NotContains(t, c.got, "topsecret")
		assert.Equal(t, c.want, c.got)
	}
}

// Whatever is read is written again as it was.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"06_exit_418", "14_panic_process_dies", "17_invalid_utf8_in_string_arg_endless_retry"} {
		recorded, err := transcript.Load(name)
		if err != nil {
			f.Fatal(err)
		}
		var b bytes.Buffer
		w := frames.NewWriter(&b, time.Time{})
		for _, r := range recorded {
			_ = w.Write(r, time.Time{}.Add(r.At), r.Payload())
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte(`{"kind":"connect","dir":"-","t_ms":1e300}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := frames.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var b bytes.Buffer
		w := frames.NewWriter(&b, time.Time{})
		for _, r := range all {
			if r.Dir != frames.Neither && !bytes.Equal(frames.AppendWire(nil, r.Payload()), r.Wire) {
				t.Fatalf("a frame that is not whole: %x", r.Wire)
			}
			if err := w.Write(r, time.Time{}, r.Payload()); err != nil {
				t.Fatal(err)
			}
		}
		again, err := frames.Read(&b)
		if err != nil || len(again) != len(all) {
			t.Fatalf("written again: %v, %d of %d frames", err, len(again), len(all))
		}
		for i := range all {
			if all[i].Conn != again[i].Conn || all[i].Kind != again[i].Kind || all[i].Method != again[i].Method || !bytes.Equal(all[i].Wire, again[i].Wire) || !bytes.Equal(all[i].BodyFile, again[i].BodyFile) {
				t.Fatalf("frame %d: %+v became %+v", i, all[i], again[i])
			}
		}
	})
}

// What is shown is one printable line of bounded length.
func FuzzTexts(f *testing.F) {
	f.Add("kong.response.set_header", []byte("\x0a\x01a\x12\x03\x1a\x01b"))
	f.Add("kong.response.exit", []byte{0x0a, 0x7f})
	f.Add("kong.router.get_route", []byte("\x0a\x02id\x52\x02\x08\x01"))
	f.Fuzz(func(t *testing.T, method string, data []byte) {
		for _, text := range []string{frames.ArgsText(method, data), frames.ReplyText(method, data, data), frames.CallText(data), frames.TargetText(string(data))} {
			if len(text) > 1000 {
				t.Fatalf("%d bytes", len(text))
			}
			if quoted, _ := json.Marshal(text); strings.ContainsAny(text, "\r\n\x1b\x00") {
				t.Fatalf("unprintable: %s", quoted)
			}
		}
	})
}
