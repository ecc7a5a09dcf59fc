package schema_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

// jsonPlugin has one json field with the given inline schema.
func jsonPlugin(t *testing.T, inline string) schema.Plugin {
	t.Helper()
	return schema.Plugin{Name: "p", Fields: []schema.Field{{Name: "f", Type: schema.JSON, JSONSchema: object(t, inline)}}}
}

func TestJSONFieldTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ inline, value, want string }{
		{`{}`, `null`, ""},
		{`{"type":"object"}`, `null`, "wrong type: expected object, got null"},
		{`{"type":"object"}`, `[]`, ""}, // as in Lua
		{`{"type":"integer"}`, `1.0`, ""},
		{`{"type":"integer"}`, `1.5`, "wrong type: expected integer, got number"},
		{`{"type":"boolean"}`, `"x"`, "wrong type: expected boolean, got string"},
		{`{"minProperties":1}`, `{}`, "expect object to have at least 1 properties"},
		{`{"maxProperties":1}`, `{"a":1,"b":2}`, "expect object to have at most 1 properties"},
		{`{"patternProperties":{"^a":{"type":"string"}},"additionalProperties":false}`, `{"ab":1}`, `failed to validate ab (matching "^a"): wrong type: expected string, got number`},
		{`{"patternProperties":{"^a":{}},"additionalProperties":false}`, `{"b":1}`, "additional properties forbidden, found b"},
		{`{"additionalProperties":{"type":"string"}}`, `{"b":1}`, "failed to validate additional property b: wrong type: expected string, got number"},
		{`{"minItems":1}`, `[]`, "expect array to have at least 1 items"},
		{`{"minItems":1}`, `{}`, "expect array to have at least 1 items"},
		{`{"maxItems":1}`, `[1,2]`, "expect array to have at most 1 items"},
		{`{"uniqueItems":true}`, `[1,2,1.0]`, "expected unique items but items 1 and 3 are equal"},
		{`{"uniqueItems":true}`, `[1,"1"]`, ""},
		{`{"minLength":2}`, `"é"`, "string too short, expected at least 2, got 1"},
		{`{"maxLength":1}`, `"ab"`, "string too long, expected at most 1, got 2"},
		{`{"pattern":"^a"}`, `"b"`, `failed to match pattern "^a" with "b"`},
		{`{"pattern":"^(?=b)"}`, `"a"`, ""}, // only PCRE knows
		{`{"minimum":1}`, `0`, "expected 0 to be greater than 1"},
		{`{"minimum":1,"exclusiveMinimum":true}`, `1`, "expected 1 to be strictly greater than 1"},
		{`{"maximum":1}`, `2`, "expected 2 to be smaller than 1"},
		{`{"maximum":1,"exclusiveMaximum":true}`, `1`, "expected 1 to be strictly smaller than 1"},
		{`{"multipleOf":2}`, `3`, "expected 3 to be a multiple of 2"},
		{`{"enum":[1,null,{"a":[1]}]}`, `{"a":[1.0]}`, ""},
		{`{"enum":[1,null]}`, `2`, "matches none of the enum values"},
		{`{"allOf":[{},{"type":"string"}]}`, `1`, "allOf 2 failed: wrong type: expected string, got number"},
		{`{"anyOf":[{"type":"string"},{"type":"null"}]}`, `1`, "object matches none of the alternatives"},
		{`{"anyOf":[{"type":"string"},{"type":"number"}]}`, `1`, ""},
		{`{"oneOf":[{"type":"string"},{"type":"null"}]}`, `1`, "value should match only one schema, but matches none"},
		{`{"oneOf":[{},{"type":"null"},{}]}`, `1`, "value should match only one schema, but matches both schemas 1 and 3"},
		{`{"oneOf":[{"type":"number"},{"type":"null"}]}`, `1`, ""},
		{`{"not":{"type":"number"}}`, `1`, "value wasn't supposed to match schema"},
		{`{"not":{"type":"string"}}`, `1`, ""},
	} {
		var v any
		require.NoError(t, json.Unmarshal([]byte(c.value), &v))
		p := jsonPlugin(t, c.inline)
		require.NoError(t, p.Check(), c.inline)
		_, err := p.Complete(map[string]any{"f": v})
		if c.want == "" {
			assert.NoError(t, err, "%s %s", c.inline, c.value)
		} else {
			assert.EqualError(t, err, "f: "+c.want, "%s %s", c.inline, c.value)
		}
	}
}

func TestJSONFieldSchemaIsChecked(t *testing.T) {
	t.Parallel()
	for inline, want := range map[string]string{
		`{"$ref":"#/x"}`:                  "inline.$ref: this keyword is not supported here",
		`{"type":7}`:                      "inline.type: wrong type: expected a type or a list of types",
		`{"type":["string","any"]}`:       "inline.type: matches none of the enum values: any",
		`{"enum":[]}`:                     "inline.enum: expect array to have at least 1 items",
		`{"required":["a",1]}`:            "inline.required: expect array to have at least 1 items",
		`{"minLength":-1}`:                "inline.minLength: wrong type: expected integer, got number",
		`{"multipleOf":0}`:                "inline.multipleOf: wrong type: expected number, got number",
		`{"uniqueItems":1}`:               "inline.uniqueItems: wrong type: expected boolean, got number",
		`{"pattern":1}`:                   "inline.pattern: wrong type: expected string, got number",
		`{"additionalProperties":1}`:      "inline.additionalProperties: wrong type: expected object, got number",
		`{"properties":{"a":{"type":1}}}`: "inline.properties.a.type: wrong type: expected a type or a list of types",
		`{"properties":[1]}`:              "inline.properties: wrong type: expected object, got array",
		`{"oneOf":[]}`:                    "inline.oneOf: expect array to have at least 1 items",
		`{"anyOf":[{"not":1}]}`:           "inline.anyOf[0].not: wrong type: expected object, got number",
	} {
		assert.ErrorContains(t, jsonPlugin(t, inline).Check(), want)
	}
}

func TestIsRegex(t *testing.T) {
	t.Parallel()
	for pattern, ok := range map[string]bool{
		"^a+$": true, "(?<name>a)": true, "a(?=b)": true, `(a)\1`: true, "a++": true, "(?<!x)y": true,
		"a(": false, "[a": false, "*": false, "a)": false,
	} {
		_, err := everything.Complete(map[string]any{"regex": pattern})
		if ok {
			assert.NoError(t, err, pattern)
		} else {
			assert.EqualError(t, err, "regex: not a valid regex: "+pattern)
		}
	}
}

// Every Go type that a config struct may use receives its values, and what does not fit is an error, not a panic.
func TestDecodeIntoOtherTypes(t *testing.T) {
	t.Parallel()
	type port uint16
	type item struct {
		Name string `json:"name"`
		Port *int   `json:"port"`
	}
	p := schema.Plugin{Name: "p", Fields: []schema.Field{
		{Name: "port", Type: schema.Integer}, {Name: "any", Type: schema.Array, Elements: &schema.Field{Type: schema.Number}},
		{Name: "items", Type: schema.Array, Elements: &schema.Field{Type: schema.Record, Fields: []schema.Field{
			{Name: "name", Type: schema.String}, {Name: "port", Type: schema.Integer, Default: 80}}}},
		{Name: "lists", Type: schema.Map, Keys: text(), Values: &schema.Field{Type: schema.Array, Elements: text()}},
		{Name: "json", Type: schema.JSON, JSONSchema: map[string]any{}},
	}}
	type config struct {
		Port  port                `json:"port"`
		Any   any                 `json:"any"`
		Items []item              `json:"items"`
		Lists map[string][]string `json:"lists"`
		JSON  []item              `json:"json"`
	}
	require.NoError(t, p.CheckStruct(&config{}))
	var c config
	require.NoError(t, p.Decode([]byte(`{"port":8080,"any":[1.5],"items":[{"name":"a"},{"port":1}],"lists":{"x":["y"]},"json":[{"name":"j"}]}`), &c))
	assert.Equal(t, config{8080, []any{1.5}, []item{{"a", new(80)}, {"", new(1)}}, map[string][]string{"x": {"y"}}, []item{{"j", nil}}}, c)
	for in, want := range map[string]string{
		`{"port":65536}`:              "port: expected an integer",
		`{"port":-1}`:                 "port: expected an integer",
		`{"items":[{"port":1e17}]}`:   "items[0].port: expected an integer",
		`{"json":{"name":1}}`:         "json: does not have the form of this field",
		`{"json":[{"name":[1]}]}`:     "json: ",
		`{"lists":{"x":["y",["z"]]}}`: "lists.x[1]: expected a string",
	} {
		assert.ErrorContains(t, p.Decode([]byte(in), &c), want)
	}
	wrong := &struct {
		Port  bool           `json:"port"`
		Any   fmt.Stringer   `json:"any"`
		Items string         `json:"items"`
		Lists map[int]string `json:"lists"`
		JSON  chan int       `json:"json"`
	}{}
	err := p.Decode([]byte(`{"port":1,"any":[1],"items":[{}],"lists":{"a":["b"]},"json":1}`), wrong)
	for _, want := range []string{"port: integer does not fit into bool", "any: array does not fit", "items: array does not fit into string", "lists: map does not fit", "json: "} {
		assert.ErrorContains(t, err, want)
	}
}
