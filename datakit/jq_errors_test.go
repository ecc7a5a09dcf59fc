package datakit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failing are programs that fail with the value that they get, or with a part of it.
var failing = map[string]string{
	`.s | tonumber`:                          "tonumber cannot be applied to this value: invalid number",
	`.s | @base64d`:                          "@base64d cannot be applied to this value: illegal base64 data at input byte 4",
	`.s | @urid`:                             "",
	`.s | fromjson`:                          "fromjson: not JSON: wrong at byte 1",
	`.s | strptime("%Y")`:                    "",
	`.s | fromdate`:                          "",
	`.s as $s | .n | ltrimstr($s) | .[$s]`:   "ltrimstr cannot be applied to number",
	`.s as $s | .n | test($s)`:               "test cannot be applied to number",
	`.s as $s | "x" | test($s + "(")`:        "invalid regular expression: error parsing regexp: missing closing )",
	`.s as $s | "x" | test("x"; $s)`:         "unsupported regular expression flag",
	`.s as $s | .n | splits($s)`:             "",
	`.s as $s | .n | startswith($s)`:         "startswith cannot be applied to number",
	`.s as $s | .n | split($s; null)`:        "",
	`.s as $s | .n | implode`:                "implode cannot be applied to number",
	`.s as $s | .n | getpath([$s])`:          "getpath cannot be applied to this value",
	`.s as $s | .n | setpath([$s]; $s)`:      "setpath cannot be applied to this value",
	`.s as $s | .o | delpaths([[$s, $s]])`:   "",
	`.o | delpaths([.])`:                     "",
	`.s as $s | .n | indices($s)`:            "",
	`.s as $s | .n | join($s)`:               "",
	`.s as $s | .n | strftime($s)`:           "",
	`.s as $s | [$s] | strftime($s)`:         "",
	`.s * 1e9`:                               "repeat string result too large",
	`.o + .s`:                                "cannot add: object and string",
	`.l - .s`:                                "cannot subtract: array and string",
	`-.s`:                                    "cannot negate: string",
	`.o / .s`:                                "cannot divide: object and string",
	`.s | keys`:                              "keys cannot be applied to string",
	`.s | keys_unsorted`:                     "keys_unsorted cannot be applied to string",
	`.l | @csv`:                              "@csv cannot format an array including: array",
	`.o | @sh`:                               "",
	`.o / 0`:                                 "cannot divide: object and number",
	`.n / 0`:                                 "cannot divide number by: number",
	`.o - null`:                              "cannot subtract: object and null",
	`.l[{}]`:                                 "expected \"start\" and \"end\" for slicing but got: object",
	`error("cannot add: number to you")`:     "error: cannot add: number to you",
	`.s[]`:                                   "cannot iterate over: string",
	`.s.a`:                                   "expected an object but got: string",
	`{(.l): 1}`:                              "expected a string for object key but got: array",
	`.s | min_by(.a)`:                        "",
	`try (.s | tonumber) catch error(.)`:     "error: tonumber cannot be applied to this value: invalid number",
	`.s | ascii`:                             "ascii takes a number from 0 to 127",
	`.s | todate`:                            "",
	`.l | join(",")`:                         "",
	`.o | tojson | ltrimstr("{") | fromjson`: "",
	`.s | toboolean`:                         "toboolean cannot be applied to this value: invalid boolean",
	`.s as $s | error({a: ($s | length)})`:   "",
	`.s as $s | .l | flatten(-1)`:            "flatten depth should not be negative",
	`.s as $s | .l | .[$s]`:                  "",
	`.l[1e10] = 1`:                           "setpath cannot be applied to this value",
	`path(.s | tostring)`:                    "",
	`[paths(..)] | .[0] | first(.s[])`:       "",
	`limit(-1; .s)`:                          "",
	`.s as {$a} | $a`:                        "",
	`.s as [$a] | $a`:                        "",
	`.s | ltrimstr(1) | has("a")`:            "",
	`.s as $s | .o | has(.l)`:                "",
	`.s as $s | .l | has($s)`:                "",
	`.s | tojson | tonumber`:                 "",
	`.s | splits(.; .)`:                      "",
	`.s | ascii_downcase | explode | map(. * 1e300) | implode`: "",
}

// jqFailures runs all of them on values that hold a text.
func jqFailures(t testing.TB, plans map[string]*Plan, text string) map[string]string {
	body, err := encodeJSON(map[string]any{"s": text, "o": map[string]any{text: text, "a": []any{text}}, "l": []any{text, []any{text}, map[string]any{"k": text}}, "n": 7})
	require.NoError(t, err)
	failures := map[string]string{}
	for program, p := range plans {
		if f := p.Access(t.Context(), requestOf("application/json", string(body)), false).Failure; f != nil {
			failures[program] = f.Err.Error()
		}
	}
	return failures
}

func failingPlans(t testing.TB) map[string]*Plan {
	plans := map[string]*Plan{}
	for program := range failing {
		plans[program] = mustCompile(t, "- {name: J, type: jq, input: request.body, jq: '"+program+"'}")
	}
	return plans
}

// An error names types and functions, and shows no value: a program that takes a token apart fails with the token.
func TestErrorsOfProgramsShowNoValue(t *testing.T) {
	t.Parallel()
	failures := jqFailures(t, failingPlans(t), "zebra")
	for program, want := range failing {
		if want != "" {
			assert.Equal(t, want, failures[program], program)
		}
	}
}

func FuzzErrorsOfPrograms(f *testing.F) {
	for _, s := range []string{"zebra", "zebra zebra zebra zebra zebra zebra", "\"zebra", "(zebra", ") and string (zebra\\", ": zebra: zebra", "{[zebra", "\nzebra) cannot be applied to: string"} {
		f.Add(s)
	}
	plans := failingPlans(f)
	f.Fuzz(func(t *testing.T, text string) {
		if i := len(text) / 2; !strings.Contains(text, "zebra") {
			text = text[:i] + "zebra" + text[i:]
		}
		for program, failure := range jqFailures(t, plans, text) {
			assert.NotContains(t, failure, "zebra", program)
		}
	})
}
