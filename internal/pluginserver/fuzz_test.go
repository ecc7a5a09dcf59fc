package pluginserver

import (
	"bytes"
	"io"
	"math"
	"net"
	"testing"

	"github.com/Kong/go-pdk/bridge"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-go-plugins/internal/transcript"
)

// recordedFrames adds every recorded frame of one kind to a fuzz corpus.
func recordedFrames(f *testing.F, kinds ...string) {
	for _, name := range transcript.Names() {
		frames, err := transcript.Load(name)
		require.NoError(f, err)
		for _, fr := range frames {
			for _, k := range kinds {
				if fr.Kind == k {
					f.Add(fr.Payload())
				}
			}
		}
	}
}

// FuzzParseCall: what protobuf reads as a call, we read as the same call; nothing crashes.
func FuzzParseCall(f *testing.F) {
	recordedFrames(f, transcript.Call)
	f.Fuzz(func(t *testing.T, msg []byte) {
		got, err := parseCall(msg)
		var want kong_plugin_protocol.RpcCall
		if proto.Unmarshal(msg, &want) != nil || err != nil {
			return
		}
		require.Equal(t, want.Sequence, got.sequence)
		// protobuf merges a message that is given twice; Kong never does that, and the last one counts for us
		canonical, merr := proto.Marshal(&want)
		require.NoError(t, merr)
		got, err = parseCall(canonical)
		switch c := want.Call.(type) {
		case *kong_plugin_protocol.RpcCall_CmdHandleEvent:
			require.NoError(t, err)
			require.Equal(t, c.CmdHandleEvent.InstanceId, got.instance)
			require.Equal(t, c.CmdHandleEvent.EventName, string(got.event))
		case *kong_plugin_protocol.RpcCall_CmdStartInstance:
			require.NoError(t, err)
			require.Equal(t, c.CmdStartInstance.Config, append([]byte(nil), got.config...))
		case *kong_plugin_protocol.RpcCall_CmdCloseInstance:
			require.NoError(t, err)
			require.Equal(t, c.CmdCloseInstance.InstanceId, got.instance)
		case nil:
			require.Error(t, err)
		}
	})
}

// FuzzLists: what go-pdk makes of headers, we make too, and bytes that it refuses we keep.
func FuzzLists(f *testing.F) {
	recordedFrames(f, transcript.Reply)
	f.Add([]byte("\n\x0b\n\x01a\x12\x06\x1a\x04\xff\xfebc"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		_, _ = parseLists(string(msg)) // anything, without a crash
		var st structpb.Struct
		if proto.Unmarshal(msg, &st) != nil {
			return
		}
		canonical, err := proto.Marshal(&st)
		require.NoError(t, err)
		got, ok := parseLists(string(canonical))
		if !ok {
			t.Fatalf("a valid Struct is refused: %x", canonical)
		}
		for k, v := range st.AsMap() {
			switch v := v.(type) {
			case string:
				require.Equal(t, []string{v}, got[k])
			case []any:
				if !allStrings(v) {
					continue
				}
				want := bridge.UnwrapHeaders(&structpb.Struct{Fields: map[string]*structpb.Value{k: st.Fields[k]}})[k]
				require.Equal(t, append([]string{}, want...), append([]string{}, got[k]...))
			}
		}
	})
}

func allStrings(list []any) bool {
	for _, v := range list {
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return true
}

// FuzzValue: a context value reads as protobuf reads it.
func FuzzValue(f *testing.F) {
	recordedFrames(f, transcript.Reply)
	f.Add([]byte{0x11, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f})
	f.Fuzz(func(t *testing.T, msg []byte) {
		_, _ = parseValue(msg, 0)
		var want structpb.Value
		if proto.Unmarshal(msg, &want) != nil {
			return
		}
		canonical, err := proto.Marshal(&want)
		require.NoError(t, err)
		got, ok := parseValue(canonical, 0)
		if !ok || hasNaN(want.AsInterface()) {
			return // deeper than any value of Kong's, or a number that equals nothing
		}
		require.Equal(t, want.AsInterface(), got)
	})
}

func hasNaN(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.IsNaN(v)
	case []any:
		for _, e := range v {
			if hasNaN(e) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if hasNaN(e) {
				return true
			}
		}
	}
	return false
}

// chunks is a connection whose reads give sizes of the fuzzer's choice.
type chunks struct {
	net.Conn
	data  []byte
	sizes []byte
	i     int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := 1
	if len(c.sizes) > 0 {
		n += int(c.sizes[c.i%len(c.sizes)]) * 97
		c.i++
	}
	n = copy(p, c.data[:min(n, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

// FuzzStream: frames come out as they went in however the bytes arrive, and a stream that is no frames ends in an error
// without costing more memory than its bytes.
func FuzzStream(f *testing.F) {
	f.Add([]byte("hello"), []byte{1}, uint16(3))
	f.Add(bytes.Repeat([]byte("x"), 70000), []byte{0, 255, 3}, uint16(20000))
	f.Add([]byte{0xff, 0xff, 0xff, 0x0f, 1, 2, 3}, []byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, data, sizes []byte, cut uint16) {
		if len(data) > 1<<17 {
			return
		}
		var wire []byte
		var want [][]byte
		for rest := data; ; {
			n := min(int(cut), len(rest))
			want = append(want, rest[:n])
			wire = appendFrameBytes(wire, rest[:n])
			if rest = rest[n:]; n == 0 {
				break
			}
		}
		s := newStream(&chunks{data: wire, sizes: sizes}, nil)
		for _, w := range want {
			n, err := s.readHeader(maxReply)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := s.readPayload(n); err != nil || !bytes.Equal(w, p) {
				t.Fatalf("payload of %d bytes: got %d, %v", len(w), len(p), err)
			}
		}
		_, err := s.readHeader(maxReply)
		require.ErrorIs(t, err, io.EOF)

		s = newStream(&chunks{data: data, sizes: sizes}, nil) // the bytes themselves as a stream
		for err = nil; err == nil; {
			var n int
			if n, err = s.readHeader(maxReply); err == nil {
				_, err = s.readPayload(n)
			}
		}
	})
}

// FuzzLastCall: only a whole method frame followed by a whole argument frame is a call, and it is the last two.
func FuzzLastCall(f *testing.F) {
	f.Add([]byte("a"), []byte("b"), []byte("c"))
	f.Add([]byte(""), []byte("kong.log.info"), []byte(""))
	f.Fuzz(func(t *testing.T, orphan, method, args []byte) {
		wire := appendFrameBytes(appendFrameBytes(appendFrameBytes(nil, orphan), method), args)
		m, a, ok := lastCall(wire)
		require.True(t, ok)
		require.True(t, bytes.Equal(method, m) && bytes.Equal(args, a))
		_, _, ok = lastCall(wire[:len(wire)-1])
		require.False(t, ok)
		_, _, ok = lastCall(appendFrameBytes(nil, method))
		require.False(t, ok)
		_, _, _ = lastCall(args) // anything
	})
}
