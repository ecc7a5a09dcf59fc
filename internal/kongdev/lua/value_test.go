package lua

import (
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// What Kong keeps of a value that a plugin sends, and sends back: its losses.
func TestValueLosses(t *testing.T) {
	tests := []struct{ in, kept any }{
		{true, true},
		{false, nil},
		{nil, "NULL_VALUE"},
		{"", ""},
		{0.0, 0.0},
		{1.5, 1.5},
		{[]any{"a", 1.0}, []any{"a", 1.0}},
		{[]any{}, map[string]any{}},
		{[]any{"a", false, "b"}, []any{"a"}},
		{[]any{false, "b"}, map[string]any{"2": "b"}},
		{map[string]any{}, map[string]any{}},
		{map[string]any{"x": true, "y": false, "z": nil}, map[string]any{"x": true, "z": "NULL_VALUE"}},
	}
	for _, tt := range tests {
		in, err := structpb.NewValue(tt.in)
		require.NoError(t, err)
		data, err := proto.Marshal(in)
		require.NoError(t, err)
		v, err := DecodeValue(data)
		require.NoError(t, err)
		var out structpb.Value
		require.NoError(t, proto.Unmarshal(AppendValue(nil, v), &out))
		assert.Equal(t, tt.kept, out.AsInterface(), "%v", tt.in)
	}
	assert.Equal(t, []byte{0x08, 0x01}, AppendValue(nil, nil), "nil is null with the number 1")
}

func TestDeepValueIsRefused(t *testing.T) {
	v, err := structpb.NewValue("x")
	require.NoError(t, err)
	for range 300 {
		v = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{v}})
	}
	data, err := proto.Marshal(v)
	require.NoError(t, err)
	_, err = DecodeValue(data)
	require.ErrorContains(t, err, "nested too deeply")
}

// Whatever a plugin sends is refused or kept, and what is kept survives a round trip.
func FuzzValue(f *testing.F) {
	f.Add([]byte{0x1a, 0x00})
	f.Add([]byte{0x2a, 0x1b, 0x0a, 0x07, 0x0a, 0x01, 0x7a, 0x12, 0x02, 0x08, 0x00, 0x0a, 0x07, 0x0a, 0x01, 0x78, 0x12, 0x02, 0x20, 0x01})
	f.Add([]byte{0x32, 0x10, 0x0a, 0x03, 0x1a, 0x01, 0x61, 0x0a, 0x09, 0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := DecodeValue(data)
		if err != nil || v == nil {
			return
		}
		sent := AppendValue(nil, v)
		again, err := DecodeValue(sent)
		require.NoError(t, err)
		require.Equal(t, sent, AppendValue(nil, again))
		require.NotPanics(t, func() { AppendJSON(nil, v) })
	})
}

func TestFormatNumber(t *testing.T) {
	tests := []struct {
		f      float64
		digits int
		want   string
	}{
		{0, 16, "0"}, {-3, 16, "-3"}, {200, 16, "200"}, {1795286202904, 16, "1795286202904"}, {1795286202904, 14, "1795286202904"},
		{1.795286202908284e18, 16, "1.795286202908284e+18"}, {1.79528620423669e18, 16, "1.79528620423669e+18"},
		{0.1, 16, "0.1"}, {1.5, 14, "1.5"}, {1e16, 16, "1e+16"}, {1e15, 16, "1000000000000000"}, {1e14, 14, "1e+14"}, {1e-5, 16, "1e-05"}, {0.0001, 16, "0.0001"},
		{math.Inf(1), 14, "inf"}, {math.NaN(), 14, "nan"}, {1.0 / 3, 14, "0.33333333333333"},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, FormatNumber(tt.f, tt.digits))
	}
}

func TestAppendJSON(t *testing.T) {
	tests := []struct {
		in   any
		want string
	}{
		{NewList(), `[]`}, {&Table{}, `{}`}, {NewFields(nil), `{}`},
		{map[string]any{"b": 1, "a": nil, "c": []any{}}, `{"b":1,"c":[]}`},
		{"a/b\"\\\x01\x7f\n\xff", `"a/b\"\\\u0001\u007f\n` + "\xff\""},
		{[]string{"x"}, `["x"]`},
		{int64(7), `7`}, {true, `true`}, {nil, `null`},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, string(AppendJSON(nil, tt.in)))
	}
}

func FuzzJSONString(f *testing.F) {
	f.Add("a\"\\\x00\u2028é")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		var back string
		require.NoError(t, json.Unmarshal(AppendJSONString(nil, s), &back))
		require.Equal(t, s, back)
	})
}
