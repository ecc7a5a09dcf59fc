package kongdev

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// A recordedFrame is a line of testdata/transcripts: what a real Kong 3.9.1 and
// a plugin said to each other.
type recordedFrame struct {
	Conn   int
	Dir    string // ">" to the plugin, "<" from it, "-" neither
	Kind   string
	Method string
	Type   string
	Hex    string
	Note   string
}

func readRecording(t *testing.T, name string) []recordedFrame {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "transcripts", name+"_*.jsonl"))
	require.NoError(t, err)
	require.Len(t, files, 1, name)
	data, err := os.ReadFile(files[0])
	require.NoError(t, err)
	var frames []recordedFrame
	for line := range bytes.Lines(data) {
		var f recordedFrame
		require.NoError(t, json.Unmarshal(line, &f))
		frames = append(frames, f)
	}
	require.NotEmpty(t, frames)
	return frames
}

// A replayer plays the recorded plugin's side and compares the gateway's side
// with the recording.
type replayer struct {
	t     *testing.T
	l     *net.UnixListener
	conns map[int]net.Conn

	// anySequence leaves the calls' numbers open, for recordings whose numbers
	// depend on what was before them.
	anySequence bool
	sequences   map[int64]int64 // recorded to real
}

func newReplayer(t *testing.T, socket string) *replayer {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	require.NoError(t, err)
	r := &replayer{t: t, l: l, conns: map[int]net.Conn{}, sequences: map[int64]int64{}}
	t.Cleanup(func() {
		_ = l.Close()
		for _, c := range r.conns {
			_ = c.Close()
		}
	})
	return r
}

// play runs one recording; the gateway's frames must come in its order.
func (r *replayer) play(frames []recordedFrame) (err error) {
	defer func() {
		if err != nil { // do not let the gateway wait
			for _, c := range r.conns {
				_ = c.Close()
			}
			_ = r.l.Close()
		}
	}()
	for i, f := range frames {
		at := fmt.Sprintf("line %d (%s %s)", i+1, f.Kind, f.Method)
		want, err := hex.DecodeString(f.Hex)
		if err != nil {
			return err
		}
		switch {
		case f.Kind == "connect":
			_ = r.l.SetDeadline(time.Now().Add(10 * time.Second))
			c, err := r.l.Accept()
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			r.conns[f.Conn] = c
		case f.Kind == "close" && strings.HasPrefix(f.Note, "plugin side"):
			_ = r.conns[f.Conn].Close()
		case f.Kind == "close":
			if r.conns[f.Conn] == nil {
				return fmt.Errorf("%s: an earlier recording failed", at)
			}
			_ = r.conns[f.Conn].SetDeadline(time.Now().Add(10 * time.Second))
			if n, err := r.conns[f.Conn].Read(make([]byte, 1)); err == nil || n > 0 {
				return fmt.Errorf("%s: the gateway did not close the connection", at)
			}
		case r.conns[f.Conn] == nil:
			return fmt.Errorf("%s: an earlier recording failed", at)
		case f.Dir == "<":
			if f.Kind == "RpcReturn" && r.anySequence {
				want = withSequence(&kong_plugin_protocol.RpcReturn{}, want, func(n int64) int64 { return r.sequences[n] })
			}
			var head [4]byte
			binary.LittleEndian.PutUint32(head[:], uint32(len(want)))
			if _, err := r.conns[f.Conn].Write(append(head[:], want...)); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		default:
			got, err := readTestFrame(r.conns[f.Conn])
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			if f.Kind == "RpcCall" && r.anySequence {
				withSequence(&kong_plugin_protocol.RpcCall{}, want, func(n int64) int64 {
					got = withSequence(&kong_plugin_protocol.RpcCall{}, got, func(real int64) int64 { r.sequences[n] = real; return n })
					return n
				})
			}
			if w, g := normalFrame(f, want), normalFrame(f, got); w != g {
				return fmt.Errorf("%s:\nwant %s\ngot  %s", at, w, g)
			}
		}
	}
	return nil
}

// withSequence gives a call or return another number.
func withSequence(m proto.Message, data []byte, change func(int64) int64) []byte {
	if proto.Unmarshal(data, m) != nil {
		return data
	}
	switch m := m.(type) {
	case *kong_plugin_protocol.RpcCall:
		m.Sequence = change(m.Sequence)
	case *kong_plugin_protocol.RpcReturn:
		m.Sequence = change(m.Sequence)
	}
	out, err := proto.Marshal(m)
	if err != nil {
		return data
	}
	return out
}

func readTestFrame(c net.Conn) ([]byte, error) {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.LittleEndian.Uint32(head[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}

// normalFrame is a frame's text without what differs between two runs.
func normalFrame(f recordedFrame, data []byte) string {
	if f.Method == "kong.service.response.get_raw_body" {
		return fmt.Sprintf("a body: %v", len(data) > 0) // the upstreams' echoes differ
	}
	if f.Method == "kong.log.serialize" {
		var s kong_plugin_protocol.ByteString
		if err := proto.Unmarshal(data, &s); err != nil {
			return err.Error()
		}
		return normalJSON(s.V)
	}
	name := protoreflect.FullName("kong_plugin_protocol." + f.Type)
	mt, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		if mt, err = protoregistry.GlobalTypes.FindMessageByName("google.protobuf." + protoreflect.FullName(f.Type)); err != nil {
			return err.Error()
		}
	}
	m := mt.New().Interface()
	if err := proto.Unmarshal(data, m); err != nil {
		return "raw: " + sortedBytes(data) // not UTF-8; fields come in any order
	}
	if call, ok := m.(*kong_plugin_protocol.RpcCall); ok && call.GetCmdStartInstance() != nil {
		config := normalJSON(call.GetCmdStartInstance().Config)
		call.GetCmdStartInstance().Config = nil
		return protojson.Format(m) + config
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		return err.Error() + fmt.Sprintf("%x", data)
	}
	return normalJSON(text)
}

func sortedBytes(b []byte) string {
	b = slices.Clone(b)
	slices.Sort(b)
	return fmt.Sprintf("%x", b)
}

var volatile = []struct { // read-only
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`"(x-kong-(?:proxy|upstream|response)-latency)":"\d+"`), `"$1":"N"`},
	{regexp.MustCompile(`"(kong|proxy|request|receive|balancer_\w+|started_at|\w+ed_at)":[-0-9.e+]+`), `"$1":N`},
	{regexp.MustCompile(`"port":\d+`), `"port":N`},
	{regexp.MustCompile(`"date":"[^"]*"`), `"date":"D"`},
	{regexp.MustCompile(`"(id|x-kong-request-id|v)":"[0-9a-f]{32}"`), `"$1":"ID"`},
	{regexp.MustCompile(`"v":"[0-9a-f]{8}-[0-9a-f-]{27}"`), `"v":"UUID"`},
	{regexp.MustCompile(`"v":\d{10}\.\d+`), `"v":TIME`},
	{regexp.MustCompile(`http://([a-z0-9.]+):\d+/`), `http://$1:PORT/`},
	{regexp.MustCompile(`"(createdAt|updatedAt)":"\d+"`), `"$1":"T"`},
	{regexp.MustCompile(`"bodyFilepath":"[^"]*/`), `"bodyFilepath":"`},
}

// normalJSON sorts fields and blanks what differs between two runs. The sizes of
// echoed responses differ with the echo.
func normalJSON(text []byte) string {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Sprintf("no JSON: %q", text)
	}
	if root, ok := v.(map[string]any); ok {
		if resp, ok := root["response"].(map[string]any); ok {
			h, _ := resp["headers"].(map[string]any)
			size, _ := resp["size"].(json.Number)
			if n, err := size.Int64(); err == nil && h["transfer-encoding"] != "chunked" {
				for _, name := range []string{"x-kong-proxy-latency", "x-kong-upstream-latency", "x-kong-response-latency"} {
					digits, _ := h[name].(string)
					n -= int64(len(digits))
				}
				resp["size"] = n // without the latencies, whose lengths vary
			} else {
				delete(resp, "size")
			}
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	s := string(out)
	for _, r := range volatile {
		s = r.what.ReplaceAllString(s, r.with)
	}
	return s
}

// A recordedRequest is a client's request as curl sent it.
type recordedRequest struct {
	recording string
	method    string
	target    string
	headers   []string // lines after Host, User-Agent and Accept
	body      string
}

func (q recordedRequest) bytes() string {
	text := q.method + " " + q.target + " HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
	for _, h := range q.headers {
		text += h + "\r\n"
	}
	if q.body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(q.body))
	}
	return text + "\r\n" + q.body
}

// send sends the request as it is and reads the answer.
func (q recordedRequest) send(addr string) (reply, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, q.bytes()); err != nil {
		return reply{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: q.method})
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(resp.Body)
	return reply{resp, string(body)}, err
}

// replay sends the requests one after another and compares frames and answers.
func (b *bench) replay(r *replayer, requests []recordedRequest, answers map[string]reply) {
	for _, q := range requests {
		b.t.Run(q.recording, func(t *testing.T) {
			played := make(chan error, 1)
			go func() { played <- r.play(readRecording(t, q.recording)) }()
			got, err := q.send(strings.TrimPrefix(b.URL(), "http://"))
			if perr := <-played; perr != nil {
				require.NoError(t, perr)
			}
			require.NoError(t, err)
			b.waitQuiet() // as in the recordings, the next request finds all connections back in the pool
			want, known := answers[q.recording]
			if !known {
				return
			}
			assert.Equal(t, want.StatusCode, got.StatusCode)
			assert.Equal(t, normalHeaders(want.Header), normalHeaders(got.Header))
			if !strings.HasPrefix(q.target, "/echo") || got.StatusCode != 200 {
				id := regexp.MustCompile(`[0-9a-f]{32}`)
				assert.Equal(t, id.ReplaceAllString(want.body, "ID"), id.ReplaceAllString(got.body, "ID"))
			}
		})
	}
}

func normalHeaders(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Date", "X-Kong-Request-Id", "X-Kong-Proxy-Latency", "X-Kong-Upstream-Latency", "X-Kong-Response-Latency"} {
		if h.Get(name) != "" {
			h.Set(name, "V")
		}
	}
	return h
}

// readAnswers reads the recorded answers of requests.txt.
func readAnswers(t *testing.T) map[string]reply {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "transcripts", "requests.txt"))
	require.NoError(t, err)
	answers := map[string]reply{}
	for part := range strings.SplitSeq(string(data), "### ") {
		title, text, ok := strings.Cut(part, "\n")
		if !ok {
			continue
		}
		head, body, _ := strings.Cut(text, "\n\n")
		lines := strings.Split(head, "\n")
		resp := &http.Response{Header: http.Header{}}
		_, err := fmt.Sscanf(lines[0], "HTTP/1.1 %d", &resp.StatusCode)
		require.NoError(t, err, title)
		for _, line := range lines[1:] {
			name, v, _ := strings.Cut(line, ": ")
			if name == "Transfer-Encoding" { // taken away by the HTTP client
				continue
			}
			resp.Header.Add(name, v)
		}
		answers[title[:2]] = reply{resp, strings.TrimSuffix(body, "\n")}
	}
	require.NotEmpty(t, answers)
	return answers
}

// replayPlugin is a plugin server run by somebody else, whose dump is a file.
func replayPlugin(t *testing.T, name string, phases string) func(*Options) {
	t.Helper()
	dump := filepath.Join(t.TempDir(), "dump.json")
	text := fmt.Sprintf(`{"Protocol":"ProtoBuf:1","Plugins":[{"Name":%q,"Phases":[%s],"Version":"0.1.0","Priority":1500,"Schema":{"name":%q,"fields":[]}}]}`, name, phases, name)
	require.NoError(t, os.WriteFile(dump, []byte(text), 0o600))
	return func(o *Options) {
		o.Plugins = []PluginServer{{Name: name, QueryCmd: "cat " + dump}}
	}
}

func TestTranscripts(t *testing.T) {
	b := newBench(t, replayPlugin(t, "tplug", `"access","response","log"`))
	r := newReplayer(t, filepath.Join(b.Prefix(), "tplug.socket"))
	x := func(v string) string { return "x-test: " + v }
	b.replay(r, []recordedRequest{
		{"01", "GET", "/hello?x=1&y=2&flag", nil, ""},
		{"02", "GET", "/hello", nil, ""},
		{"03", "POST", "/echo", []string{"content-type: application/json", x("body")}, `{"a":1}`},
		{"04", "POST", "/echo", []string{"content-type: application/json", x("body")}, strings.Repeat("x", 20011)},
		{"05", "GET", "/missing", nil, ""},
		{"06", "GET", "/", []string{x("exit")}, ""},
		{"07", "GET", "/", []string{x("exit-more")}, ""},
		{"08", "GET", "/echo", []string{x("respbody")}, ""},
		{"09", "GET", "/echo", []string{x("respexit")}, ""},
		{"10", "GET", "/items/42?a=1&a=2&b", []string{x("hdrs"), "X-Dup: 1", "X-Dup: 2"}, ""},
		{"11", "GET", "/", []string{x("badpdk")}, ""},
		{"12", "GET", "/", []string{x("loglvl")}, ""},
	}, readAnswers(t))
}

func TestTranscriptsAfterRestart(t *testing.T) {
	b := newBench(t, replayPlugin(t, "tplug", `"access","response","log"`))
	r := newReplayer(t, filepath.Join(b.Prefix(), "tplug.socket"))
	r.anySequence = true
	b.replay(r, []recordedRequest{{"15", "GET", "/", nil, ""}, {"16", "OPTIONS", "/", nil, ""}}, readAnswers(t))
}

// A plugin out of step closes its connection again and again, and Kong repeats
// the event as often.
func TestEndlessTranscript(t *testing.T) {
	b := newBench(t, func(o *Options) {
		replayPlugin(t, "bad", `"access"`)(o)
		d := o.Config
		d.Plugins = []*PluginEntity{{
			ID: "a293119b-faae-5e15-b544-0d0a68ffb915", Name: "bad", Service: d.Services[0], Enabled: true,
			Config: map[string]any{"num": 1, "message": "hello"}, File: "kong.yml", Line: 1,
		}}
	})
	r := newReplayer(t, filepath.Join(b.Prefix(), "bad.socket"))
	played := make(chan error, 1)
	go func() {
		played <- r.play(readRecording(t, "17"))
		_ = r.l.Close() // the recording ends here, the repeats would not
	}()
	got, err := recordedRequest{"17", "GET", "/", []string{"x-test: getarg"}, ""}.send(strings.TrimPrefix(b.URL(), "http://"))
	require.NoError(t, err)
	require.NoError(t, <-played)
	assert.Equal(t, 500, got.StatusCode)
	assert.GreaterOrEqual(t, b.Stats().Retries, int64(5))
}

func TestProbeTranscripts(t *testing.T) {
	b := newBench(t, func(o *Options) {
		replayPlugin(t, "probe", `"access","log"`)(o)
		d := o.Config
		d.Routes[1].ID, d.Routes[1].Name, d.Routes[1].Paths = "b1f09595-f767-55e1-bd7a-de7e8d246b15", "rx", []string{`~/items/(?<id>\d+)/(.*)`}
		d.Plugins = []*PluginEntity{{
			ID: "f7c4d16e-c7cf-5446-9d03-3e27c594d5eb", Name: "probe", Service: d.Services[0], Enabled: true,
			Config: map[string]any{"num": 1, "message": "hello"}, File: "kong.yml", Line: 1,
		}}
	})
	r := newReplayer(t, filepath.Join(b.Prefix(), "probe.socket"))
	var requests []recordedRequest
	for i, test := range []string{"shared", "auth", "authnil", "setuphdr", "exitnil", "exitempty", "exitstatus", "exitbin", "vars", "addhdr", "utf8"} {
		q := recordedRequest{fmt.Sprint(20 + i), "GET", "/", []string{"x-test: " + test}, ""}
		switch test {
		case "vars":
			q.target = "/items/42/foo"
		case "utf8":
			q.method, q.body = "POST", "\xffraw"
			q.headers = append(q.headers, "x-bin: a\xff\xfeb", "Content-Type: application/x-www-form-urlencoded")
		}
		requests = append(requests, q)
	}
	b.replay(r, requests, nil)
}
