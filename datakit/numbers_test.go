package datakit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a client sends cannot keep a program at work, nor end the process: counting with a number of millions of digits
// takes half a minute that nothing can interrupt, and a value of a million levels more stack than a process has.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("1", 4_000_000)
	nested := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	for name, c := range map[string]struct{ program, body, want, failure string }{
		"a long number":                      {".[0] + 1", "[" + digits + "]", "", `node request failed with error: "the request's body: a number has more than 1000 characters"`},
		"a number that is not too long":      {".[0] + 1", "[" + strings.Repeat("9", maxNumber) + "]", `1` + strings.Repeat("0", maxNumber), ""},
		"digits in a string":                 {".[0] | length", `["` + digits + `"]`, "4000000", ""},
		"digits in a string made a number":   {".[0] | tonumber", `["` + digits + `"]`, "", "a number has more than 1000 characters"},
		"JSON in a string with a number":     {".[0] | fromjson | .[0] + 1", `["[` + digits + `]"]`, "", "fromjson: a number has more than 1000 characters"},
		"what a program does about it":       {"try (.[0] | tonumber) catch 0", `["` + digits + `"]`, "0", ""},
		"tonumber and fromjson all the same": {`[.[] | tonumber], ("[1, 2.50]" | fromjson) | length`, `["1", "-2.5e3", 7]`, "3", ""},
		"no number":                          {".[0] | tonumber", `["1x"]`, "", "tonumber"},
		"many levels":                        {"[.]", nested(9999), nested(10_000), ""},
		"too many levels":                    {"[[[.]]]", nested(9999), "", "the result is nested deeper than 10000 levels"},
		"too many levels of objects":         {"{a: {b: {c: .}}}", nested(9999), "", "the result is nested deeper than 10000 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := encodeJSON(c.program)
			require.NoError(t, err)
			p := mustCompile(t, `[{name: OUT, type: jq, jq: `+string(text)+`, input: request.body, output: service_request.body}]`)
			o := p.Access(t.Context(), &testHost{request: jsonMessage(c.body)}, false)
			if c.failure != "" {
				require.NotNil(t, o.Failure)
				assert.Contains(t, o.Failure.Error(), c.failure)
				assert.Less(t, len(o.Failure.Error()), 300)
				return
			}
			require.Nil(t, o.Failure, "%v", o.Failure)
			assert.Equal(t, c.want, string(o.Service.Body))
		})
	}
}

func FuzzLongNumbers(f *testing.F) {
	f.Add(1000, 7, "[1,", "]")
	f.Add(1001, 0, "", "")
	f.Add(5000, 999, `{"a":"1`, `"}`)
	f.Fuzz(func(t *testing.T, digits, blanks int, before, after string) {
		if digits < 0 || digits > 20_000 || blanks < 0 || blanks > 2000 || len(before)+len(after) > 10_000 {
			return
		}
		text := []byte(strings.Repeat(" ", blanks) + before + strings.Repeat("1", digits) + after)
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return
		}
		assert.Equal(t, holdsLongNumber(v), hasLongNumber(text, v), "the short look misses no number")
	})
}

// What is no number, or too large for one, is written as jq writes it.
func TestNumbersThatAreNotFinite(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `
- {name: A, type: jq, jq: "{a: [nan, 1.5], b: infinite, c: -infinite, d: \"x\"}"}
- {name: P, type: property, property: kong.ctx.shared.a, content_type: application/json, input: A}
- {name: E, type: exit, inputs: {body: A}}`)
	h := &testHost{}
	o := p.Access(t.Context(), h, true)
	require.Nil(t, o.Failure)
	const want = `{"a":[null,1.5],"b":1.7976931348623157e+308,"c":-1.7976931348623157e+308,"d":"x"}`
	assert.Equal(t, want, string(o.Answer.Body))
	assert.Equal(t, want, h.properties["kong.ctx.shared.a"])
	text, err := o.Trace.MarshalJSON()
	require.NoError(t, err)
	assert.Contains(t, string(text), `{"a":[null,1.5],"b":1.7976931348623157e+308`)
}
