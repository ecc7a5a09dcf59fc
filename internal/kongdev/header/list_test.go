package header

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/lua"
)

func TestHeaderList(t *testing.T) {
	l := List{}
	l.Add("A", "1")
	l.Add("B", "2")
	l.Add("a", "3")
	l.Set("A", "x")
	assert.Equal(t, List{{"A", "a", "x"}, {"B", "b", "2"}}, l)
	l.Set("B", "1", "2")
	l.Set("C", "c")
	assert.Equal(t, []string{"1", "2"}, l.Values("b"))
	l.Set("b")
	assert.Equal(t, List{{"A", "a", "x"}, {"C", "c", "c"}}, l)
	assert.Equal(t, len("A: x\r\nC: c\r\n"), l.Size())
	assert.Equal(t, map[string]lua.Value{"a": "x"}, l.Table(1).Fields)
}

// Set leaves exactly the given values, and the other headers as they were.
func FuzzHeaderSet(f *testing.F) {
	f.Add("A,B,A", "a", "1,2")
	f.Fuzz(func(t *testing.T, names, name, values string) {
		var l List
		for n := range strings.SplitSeq(names, ",") {
			l.Add(n, "old "+n)
		}
		others := slices.DeleteFunc(slices.Clone(l), func(h Line) bool { return h.Key == strings.ToLower(name) })
		var want []string
		if values != "" {
			want = strings.Split(values, ",")
		}
		l.Set(name, want...)
		require.Equal(t, want, l.Values(strings.ToLower(name)))
		l.Remove(strings.ToLower(name))
		require.Equal(t, others, l)
	})
}
