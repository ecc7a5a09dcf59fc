package moesif

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBodyMask(t *testing.T) {
	for _, c := range []struct {
		name  string
		masks []string
		in    string
		want  string
	}{
		{"a name at every depth", []string{"k"}, `{"k":1,"a":{"k":{"k":2}},"b":[{"k":3,"c":4}]}`, `{"a":{},"b":[{"c":4}]}`},
		{"exact case", []string{"k"}, `{"K":1,"k":2}`, `{"K":1}`},
		{"whole name", []string{"key"}, `{"apikey":1,"key":2,"keys":3}`, `{"apikey":1,"keys":3}`},
		{"an escaped name", []string{"key"}, `{"k\u0065y":1,"a":2}`, `{"a":2}`},
		{"duplicates", []string{"k"}, `{"k":1,"a":1,"k":2}`, `{"a":1}`},
		{"first, middle, last", []string{"k", "m"}, `{"k":1,"a":1,"m":1,"b":2,"k":1}`, `{"a":1,"b":2}`},
		{"all members", []string{"a", "b"}, `{"a":1,"b":2}`, `{}`},
		{"delimiters in texts", []string{"k"}, `{"k":"}],{\"","a":"},\"k\":1"}`, `{"a":"},\"k\":1"}`},
		{"a scalar", []string{"k"}, `"k"`, `"k"`},
		{"numbers, literals", []string{"k"}, `[1,-2e5,true,null,{"k":false}]`, `[1,-2e5,true,null,{}]`},
		{"a path", []string{"$.user.ssn"}, `{"user":{"ssn":1,"n":2},"ssn":3}`, `{"user":{"n":2},"ssn":3}`},
		{"a path without $", []string{"user.ssn"}, `{"user":{"ssn":1},"x":{"user":{"ssn":2}}}`, `{"user":{},"x":{"user":{"ssn":2}}}`},
		{"the top level only", []string{"$.k"}, `{"k":1,"a":{"k":2}}`, `{"a":{"k":2}}`},
		{"every element", []string{"items[*].card"}, `{"items":[{"card":1,"n":2},{"card":3}]}`, `{"items":[{"n":2},{}]}`},
		{"one element", []string{"items[1]"}, `{"items":[1,2,3]}`, `{"items":[1,3]}`},
		{"inside one element", []string{"items[1].k"}, `{"items":[{"k":1},{"k":2}]}`, `{"items":[{"k":1},{}]}`},
		{"all elements", []string{"items[*]"}, `{"items":[1,2],"a":3}`, `{"items":[],"a":3}`},
		{"through arrays not mentioned", []string{"$.items.card"}, `{"items":[{"card":1},[{"card":2}]]}`, `{"items":[{},[{}]]}`},
		{"an array at the top", []string{"$[*].k"}, `[{"k":1},{"a":2}]`, `[{},{"a":2}]`},
		{"any member", []string{"$.*.k"}, `{"a":{"k":1},"b":{"k":2},"k":3}`, `{"a":{},"b":{},"k":3}`},
		{"a name in quotes", []string{`$["a.b"]['c d']`}, `{"a.b":{"c d":1,"e":2}}`, `{"a.b":{"e":2}}`},
		{"several paths", []string{"a.b", "a.c[0]"}, `{"a":{"b":1,"c":[2,3]}}`, `{"a":{"c":[3]}}`},
		{"path and name", []string{"a.b", "c"}, `{"a":{"b":1,"c":2,"d":3}}`, `{"a":{"d":3}}`},
		{"a path into a scalar", []string{"a.b.c"}, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, string(mask(t, c.masks...).apply([]byte(c.in))))
		})
	}
}

func TestBodyMaskErrors(t *testing.T) {
	for _, entry := range []string{"$", "$x", "a..b", "a.", "[", "[x]", "a[-1]", `a["b`, `a[""]`, "a[1]b", "$."} {
		_, err := newBodyMask([]string{"fine", entry})
		require.Error(t, err, "newBodyMask(%q)", entry)
		assert.Contains(t, err.Error(), strconv.Quote(entry))
	}
	m, err := newBodyMask(nil)
	require.NoError(t, err)
	assert.Nil(t, m)
}
