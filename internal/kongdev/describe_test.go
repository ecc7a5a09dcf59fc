package kongdev

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFrameString(t *testing.T) {
	tests := []struct {
		f    Frame
		want string
	}{
		{Frame{Worker: 1, Conn: 2, Kind: "connect"}, "w1 c2   -- connect"},
		{Frame{Conn: 2, ToPlugin: true, Kind: "RpcCall", Data: unhexString(t, "0803a2020a12066163636573730804")}, "w0 c2   -> call 3 event access, instance 4"},
		{Frame{Conn: 2, Kind: "step_method", Method: "kong.request.get_header"}, "w0 c2   <- kong.request.get_header"},
		{Frame{Conn: 2, Kind: "step_args", Method: "kong.request.get_header", Data: []byte("\n\x01a")}, `w0 c2   <-   {"v":"a"}`},
		{Frame{Conn: 2, ToPlugin: true, Kind: "step_reply", Method: "kong.request.get_header", Data: []byte("\n\x01\xff")}, `w0 c2   ->   = "\n\x01\xff"`},
		{Frame{Conn: 2, ToPlugin: true, Kind: "step_reply", Method: "kong.response.set_header"}, "w0 c2   ->   = (nothing)"},
		{Frame{Conn: 2, Kind: "end_of_event"}, "w0 c2   <- end_of_event"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, strings.ReplaceAll(tt.f.String(), `": "`, `":"`))
	}
	long := Frame{Kind: "step_args", Method: "kong.request.get_header", Data: appendText(nil, 1, strings.Repeat("é", 4000))}
	assert.Less(t, len(long.String()), longest+100)
	assert.Contains(t, long.String(), "bytes)")
}

// The messages that String expects are those of the recordings.
func TestMessagesOfMethods(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.jsonl")
	require.NoError(t, err)
	seen := 0
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), "_")
		for _, f := range readRecording(t, name) {
			m := argsMessage(f.Method)
			if f.Kind == "step_reply" {
				m = replyMessage(f.Method)
			} else if f.Kind != "step_args" {
				continue
			}
			seen++
			if f.Hex == "" {
				continue // nothing to read
			}
			assert.Equal(t, f.Type, string(m.ProtoReflect().Descriptor().Name()), "%s of %s in %s", f.Kind, f.Method, name)
		}
	}
	assert.Greater(t, seen, 300)
}

func unhexString(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}
