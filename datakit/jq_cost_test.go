package datakit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outcomes runs a program, as it is or with limits, and tells every result and the error that ended it.
func outcomes(t testing.TB, program, input string, limits bool) (results []string) {
	query, err := gojq.Parse(program)
	require.NoError(t, err)
	options := jqFunctions()
	if limits {
		limit(query)
	}
	code, err := gojq.Compile(query, options...)
	require.NoError(t, err, query.String())
	in, err := decodeJSON([]byte(input))
	require.NoError(t, err)
	iter := code.Run(in)
	for {
		v, more := iter.Next()
		if !more {
			return results
		}
		if err, failed := v.(error); failed {
			return append(results, "error: "+err.Error())
		}
		text, err := gojq.Marshal(v)
		require.NoError(t, err)
		results = append(results, string(text))
	}
}

// With limits a program has the results that it has without.
func TestLimitsChangeNoResult(t *testing.T) {
	t.Parallel()
	for _, program := range []string{
		"3 - 1", ".n - 1", ".n - .m", "-.n", ". - .", "[(1, 2) - (10, 20)]", "[(.n, .m) - (.m, 20)]",
		".list - .other", ".list -= .other", ".list -= [1]", ".n -= .m", ".n -= (1, 2)", "(.n, .m) -= .n", ".list - .n", ".text - .text",
		"[.list[] - .n?]", "reduce .other[] as $x (.n; . - $x)", "[limit(3; .list[] | . - 1)?]", "def less($x): . - $x; .n | less(2)",
		"[foreach .other[] as $x (0; . - $x; [., $x])]", "if .n - .m > 0 then .n - .m else .m - .n end", "try (.text - 1) catch .",
		"{a: (.n - .m), (\"b\" + (.n - .m | tostring)): 1}", `"is \(.n - .m)"`, ".list[.n - .m:]", ".list[.m - .n] as [$a] | $a", "label $out | .n - .m, break $out",
		"[.list[] as {a: $a} ?// $a | $a]", ".n as $n | .m - $n - 1 - .n", ".list - (.other | map(. - 0))",
		`.text | contains("bc")`, `.text | index("b")`, `.text | indices("b", "c")`, `.text | rindex("b")`, `"b" | inside("abc")`, ".list | indices(1)", ".list | index([1, 2])",
		".list | contains([1, 2])", "{a: [1, 2]} | contains({a: [1]})", ".list | contains(1)", ".n | index(1)", "null | indices(1)",
		"def contains($x): 7; .list | contains(1)", ".contains", "[.index, .inside]", `.text | test("b") and contains("a")`,
	} {
		t.Run(program, func(t *testing.T) {
			const input = `{"n": 7, "m": 3, "list": [1, 2, 1, "x", null, {"a": 1}, [1, 2]], "other": [1, 4, null, {"a": 1.0}], "text": "abcabc"}`
			assert.Equal(t, outcomes(t, program, input, false), outcomes(t, program, input, true))
		})
	}
}

// What the library refuses is not lost when a minus is written anew.
func TestModulesStayRefused(t *testing.T) {
	t.Parallel()
	for _, program := range []string{`import "a" as a; .x - .y`, `include "a"; .x -= .y`} {
		query, err := gojq.Parse(program)
		require.NoError(t, err)
		limit(query)
		_, err = gojq.Compile(query, jqFunctions()...)
		assert.ErrorContains(t, err, "module", program)
	}
}

// FuzzSubtractLists holds our minus of lists to the library's.
func FuzzSubtractLists(f *testing.F) {
	f.Add(`[1, 2, 3]`, `[2]`)
	f.Add(`[1.0, "a", null, [1], {"a": [true]}]`, `[1, {"a": [true]}, [1], "b"]`)
	f.Add(`[12345678901234567890, 12345678901234567891, 0.1]`, `[12345678901234567890, 1e-1]`)
	f.Fuzz(func(t *testing.T, a, b string) {
		input := "[" + a + "," + b + "]"
		var lists [][]any
		if len(input) > 2000 || json.Unmarshal([]byte(input), &lists) != nil || len(lists) != 2 {
			return
		}
		if _, err := decodeJSON([]byte(input)); err != nil {
			return
		}
		assert.Equal(t, outcomes(t, ".[0] - .[1]", input, false), outcomes(t, ".[0] - .[1]", input, true))
	})
}

// Two long lists of a client's do not keep a processor at work.
func TestLongListsEnd(t *testing.T) {
	t.Parallel()
	numbers := func(from, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, ",%d", from+i)
		}
		return "[" + b.String()[1:] + "]"
	}
	lists := "[" + numbers(0, 90_000) + "," + numbers(60_000, 90_000) + "]"
	assert.Equal(t, []string{"60000"}, outcomes(t, ".[0] - .[1] | length", lists, true))
	assert.Equal(t, []string{"60000"}, outcomes(t, ".[1] as $b | .[0] -= $b | .[0] | length", lists, true))
	for _, program := range []string{".[0] as $a | .[1] | contains($a)", ".[0] as $a | .[1] | inside($a)", ".[0][:45000] as $a | .[1] | index($a)", ".[0][:45000] as $a | .[1] | [indices($a)]"} {
		got := outcomes(t, program, lists, true)
		require.Len(t, got, 1)
		assert.Contains(t, got[0], "would take too long: the values are too many to compare each with each")
	}
	text := `["` + strings.Repeat("a", 1_000_000) + `", "` + strings.Repeat("a", 100_000) + `"]`
	assert.Contains(t, outcomes(t, ".[1] as $part | .[0] | rindex($part + \"b\")", text, true)[0], "would take too long")
	assert.Equal(t, []string{"true"}, outcomes(t, ".[1] as $part | .[0] | contains($part)", text, true))
}
