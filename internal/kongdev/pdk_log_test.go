package kongdev

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// A log line without any text is a Lua error where its level is on: Kong reads its first argument by number.
func TestLogWithoutText(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		args   []any
		status int
	}{
		{"text", "kong.log.err", []any{"text"}, 200},
		{"none", "kong.log.err", nil, 500},
		{"false", "kong.log.err", []any{false}, 500},
		{"none, level off", "kong.log.debug", nil, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := structpb.NewList(c.args)
			require.NoError(t, err)
			b, _ := newFakeBench(t, `"access"`, func(f *fakeConn, _ string, _ int32) { f.ask(c.method, list) },
				func(o *Options) { o.LogLevel = "notice" })
			assert.Equal(t, c.status, b.get("/x").StatusCode)
		})
	}
}

// logText encodes the arguments of a log call.
func logText(t *testing.T) []byte {
	list, err := structpb.NewList([]any{"text"})
	require.NoError(t, err)
	b, err := proto.Marshal(list)
	require.NoError(t, err)
	return b
}
