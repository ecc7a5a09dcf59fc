package kv

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every value that JSON can say comes back, with strings of any bytes in it; what stands in Redis never makes us fail.
func FuzzEntry(f *testing.F) {
	f.Add([]byte(`{"value":{"a":[1,1.10,"x",null]},"fresh_until":1}`), "\xff")
	f.Add([]byte(`{"value":{"\u0000bytes":"/w=="}}`), "x")
	f.Add([]byte(`not JSON`), "")
	f.Fuzz(func(t *testing.T, stored []byte, s string) {
		e, err := decodeEntry(stored)
		if err != nil {
			return
		}
		_, err = sizeOf(e.Value)
		require.NoError(t, err)
		in := Entry{Value: map[string]any{"v": e.Value, "s": s, "l": []any{s, json.Number("1.10")}, "o": map[string]any{bytesMember: s}, "p": map[string]any{bytesMember: map[string]any{"q": "eA=="}, "r": s}}, Fresh: e.Fresh}
		b, err := encodeEntry(in)
		require.NoError(t, err)
		out, err := decodeEntry(b)
		require.NoError(t, err)
		require.Equal(t, in, out)
	})
}
