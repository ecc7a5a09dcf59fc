package kongdev

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/lua"
)

func TestParseArgs(t *testing.T) {
	tests := []struct {
		query string
		max   int
		want  map[string]lua.Value
	}{
		{"", 100, map[string]lua.Value{}},
		{"a=1&a=2&b", 100, map[string]lua.Value{"a": lua.NewList("1", "2"), "b": true}},
		{"a=&=x&&b+c=%41+%zz", 100, map[string]lua.Value{"a": "", "b c": "A %zz"}},
		{"a=1&b=2&c=3", 2, map[string]lua.Value{"a": "1", "b": "2"}},
		{"a=b=c", 100, map[string]lua.Value{"a": "b=c"}},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, parseArgs(tt.query, tt.max).Fields, tt.query)
	}
}

func TestEncodeArgs(t *testing.T) {
	got, err := encodeArgs(lua.NewFields(map[string]lua.Value{"q": lua.NewList("1", "2"), "r": "x y", "f": true, "n": 1.5}))
	require.NoError(t, err)
	assert.Equal(t, "f&n=1.5&q=1&q=2&r=x%20y", got)
	_, err = encodeArgs(lua.NewFields(map[string]lua.Value{"q": lua.NewFields(map[string]lua.Value{"a": "b"})}))
	require.Error(t, err)
}

// What set_query writes, get_query reads.
func FuzzQuery(f *testing.F) {
	f.Add("a", "x y&=%")
	f.Fuzz(func(t *testing.T, key, v string) {
		if key == "" {
			return
		}
		query, err := encodeArgs(lua.NewFields(map[string]lua.Value{key: v}))
		require.NoError(t, err)
		require.Equal(t, map[string]lua.Value{key: v}, parseArgs(query, 10).Fields)
	})
}
