package kongdev

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/lua"
)

func TestHeaderList(t *testing.T) {
	l := headerList{}
	l.add("A", "1")
	l.add("B", "2")
	l.add("a", "3")
	l.set("A", "x")
	assert.Equal(t, headerList{{"A", "a", "x"}, {"B", "b", "2"}}, l)
	l.set("B", "1", "2")
	l.set("C", "c")
	assert.Equal(t, []string{"1", "2"}, l.values("b"))
	l.set("b")
	assert.Equal(t, headerList{{"A", "a", "x"}, {"C", "c", "c"}}, l)
	assert.Equal(t, len("A: x\r\nC: c\r\n"), l.size())
	assert.Equal(t, map[string]lua.Value{"a": "x"}, l.table(1).Fields)
}

// set leaves exactly the given values, and the other headers as they were.
func FuzzHeaderSet(f *testing.F) {
	f.Add("A,B,A", "a", "1,2")
	f.Fuzz(func(t *testing.T, names, name, values string) {
		var l headerList
		for n := range strings.SplitSeq(names, ",") {
			l.add(n, "old "+n)
		}
		others := slices.DeleteFunc(slices.Clone(l), func(h header) bool { return h.key == strings.ToLower(name) })
		var want []string
		if values != "" {
			want = strings.Split(values, ",")
		}
		l.set(name, want...)
		require.Equal(t, want, l.values(strings.ToLower(name)))
		l.remove(strings.ToLower(name))
		require.Equal(t, others, l)
	})
}
