package pluginserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// onBothServers runs a handler on our server and straight on go-pdk's bridge, as its own server does.
func onBothServers(t *testing.T, answer answers, handler func(t *testing.T, kong *pdk.PDK)) {
	t.Run("own server", func(t *testing.T) {
		done := make(chan struct{})
		r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) {
			defer close(done)
			handler(t, kong)
		}})
		p := r.dial()
		_, err := p.run(p.start(nil), "access", answer)
		require.NoError(t, err)
		<-done
	})
	t.Run("go-pdk", func(t *testing.T) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		ours, theirs := fileConn(t, fds[0]), fileConn(t, fds[1])
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { _ = theirs.Close() }()
			handler(t, pdk.Init(theirs))
		}()
		p := &peer{t, ours}
		for {
			name, err := p.tryRead()
			if err != nil {
				break
			}
			reply, _ := answer(pdkCall{string(name), p.read()})
			p.send(reply)
		}
		<-done
		_ = ours.Close()
	})
}

// headerStruct encodes a Struct by hand, so that its strings may be any bytes.
func headerStruct(pairs ...string) []byte {
	var msg []byte
	for i := 0; i < len(pairs); i += 2 {
		var value []byte
		for j, v := range strings.Split(pairs[i+1], "|") {
			if !strings.Contains(pairs[i+1], "|") {
				value = appendBytesField(nil, valueString, v)
				break
			}
			if j == 0 {
				value = nil
			}
			value = append(value, appendBytesField(nil, 1, appendBytesField(nil, valueString, v))...)
		}
		if strings.Contains(pairs[i+1], "|") {
			value = appendBytesField(nil, valueList, value)
		}
		msg = append(msg, appendBytesField(nil, 1, appendBytesField(appendBytesField(nil, 1, pairs[i]), 2, value))...)
	}
	return msg
}

func TestReaders(t *testing.T) {
	ctx, err := structpb.NewValue(map[string]any{"key": "k", "n": 1.5, "list": []any{true, nil, "x"}})
	require.NoError(t, err)
	ctxWire, err := proto.Marshal(ctx)
	require.NoError(t, err)
	answer := func(c pdkCall) ([]byte, bool) {
		switch c.method {
		case "kong.request.get_headers":
			require.Equal(t, intMessage(100), c.args)
			return headerStruct("host", "a", "x-bin", "\xff\xfe", "x-dup", "1|2"), true
		case "kong.response.get_headers":
			return headerStruct("server", "kong"), true
		case "kong.request.get_query":
			flag := appendBytesField(nil, 1, appendBytesField(appendBytesField(nil, 1, "flag"), 2, []byte{valueBool << 3, 1}))
			return append(headerStruct("a", "1|2", "e", ""), flag...), true
		case "kong.log.serialize":
			return textMessage("{\"x\":\"\xff\"}"), true
		case "kong.nginx.get_var":
			require.Equal(t, textMessage("http_x"), c.args)
			return textMessage("v\xff"), true
		case "kong.request.get_header":
			require.Equal(t, textMessage("x-h"), c.args)
			return textMessage("h\xff"), true
		case "kong.request.get_raw_query":
			return textMessage("q=\xff"), true
		case "kong.request.get_path":
			return textMessage("/\xff"), true
		case "kong.request.get_method":
			return textMessage("GET"), true
		case "kong.nginx.get_ctx":
			return ctxWire, true
		}
		return []byte("\xff\xff"), true
	}
	onBothServers(t, answer, func(t *testing.T, kong *pdk.PDK) {
		h, err := Headers(kong, 100)
		require.NoError(t, err)
		require.Equal(t, map[string][]string{"host": {"a"}, "x-bin": {"\xff\xfe"}, "x-dup": {"1", "2"}}, h)
		h, err = ResponseHeaders(kong, 100)
		require.NoError(t, err)
		require.Equal(t, map[string][]string{"server": {"kong"}}, h)
		q, err := Query(kong, 100)
		require.NoError(t, err)
		require.Equal(t, map[string][]string{"a": {"1", "2"}, "e": {""}, "flag": {""}}, q)
		v, err := Var(kong, "http_x")
		require.NoError(t, err)
		require.Equal(t, "v\xff", v)
		v, err = Header(kong, "x-h")
		require.NoError(t, err)
		require.Equal(t, "h\xff", v)
		v, err = RawQuery(kong)
		require.NoError(t, err)
		require.Equal(t, "q=\xff", v)
		v, err = Path(kong)
		require.NoError(t, err)
		require.Equal(t, "/\xff", v)
		v, err = Method(kong)
		require.NoError(t, err)
		require.Equal(t, "GET", v)
		c, err := CtxValue(kong, "k")
		require.NoError(t, err)
		require.Equal(t, map[string]any{"key": "k", "n": 1.5, "list": []any{true, nil, "x"}}, c)
		Prefetch(kong, AskMethod())
		require.NoError(t, Context(kong).Err())
	})
}

func TestBodies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("f", 20000)), 0o600))
	for _, c := range []struct {
		name   string
		answer []byte
		limit  int64
		body   int
		size   int64
		err    string
	}{
		{"none", nil, 10, 0, 0, ""},
		{"in memory", appendBytesField(nil, bodyContent, "hello"), 10, 5, 5, ""},
		{"in memory, too large", appendBytesField(nil, bodyContent, "hello"), 4, 0, 5, ""},
		{"spooled", appendBytesField(nil, bodyPath, file), 20000, 20000, 20000, ""},
		{"spooled, too large", appendBytesField(nil, bodyPath, file), 19999, 0, 20000, ""},
		{"spooled elsewhere", appendBytesField(nil, bodyPath, file+"x"), 10, 0, 0, "must share Kong's file system and user"},
		{"not a file", appendBytesField(nil, bodyPath, filepath.Dir(file)), 10, 0, 0, "not a regular file"},
		{"refused", appendBytesField(nil, bodyError, "no body"), 10, 0, 0, "kong.request.get_raw_body: no body"},
		{"garbage", []byte{0xff}, 10, 0, 0, "kong.request.get_raw_body: "},
		{"large", appendBytesField(nil, bodyContent, strings.Repeat("x", 3<<20)), 4 << 20, 3 << 20, 3 << 20, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBothServers(t, func(pdkCall) ([]byte, bool) { return c.answer, true }, func(t *testing.T, kong *pdk.PDK) {
				body, size, err := RequestBody(kong, c.limit)
				if c.err != "" {
					require.ErrorContains(t, err, c.err)
					return
				}
				require.NoError(t, err)
				require.Len(t, body, c.body)
				require.Equal(t, c.size, size)
			})
		})
	}
}

// TestHeadersAllocate: 15 headers cost at most 25 allocations, the whole event included (go-pdk's own: 236).
func TestHeadersAllocate(t *testing.T) {
	var pairs []string
	for i := range 15 {
		pairs = append(pairs, "x-header-"+string(rune('a'+i)), "some value of a header")
	}
	wire := headerStruct(pairs...)
	allocs := testing.AllocsPerRun(200, func() {
		if m, ok := parseLists(string(wire)); !ok || len(m) != 15 {
			t.Fatal("headers are not decoded")
		}
	})
	require.LessOrEqual(t, allocs, 15.0)
}
