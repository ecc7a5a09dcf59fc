package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

func TestMarkdown(t *testing.T) {
	t.Parallel()
	p := schema.Plugin{Name: "p", Fields: []schema.Field{
		{Name: "id", Type: schema.String, Required: true, Referenceable: true, Description: "Who you are."},
		{Name: "size", Type: schema.Number, Default: 50, Between: []float64{1, 1000}, Unit: "events", Description: "How many | at\nonce.", Doc: "See [sending](#sending)."},
		{Name: "kind", Type: schema.String, Default: "a", OneOf: []any{"a", "b`c"}},
		{Name: "store", Type: schema.Record, Fields: []schema.Field{{Name: "host", Type: schema.String}}},
		{Name: "rules", Type: schema.Array, Default: []string{}, Elements: &schema.Field{Type: schema.Record, Fields: []schema.Field{{Name: "if", Type: schema.String, Required: true}}}},
		{Name: "old", Type: schema.Map, Keys: text(), Values: text(), Deprecation: &schema.Deprecation{Message: "use size", RemovalInVersion: "2.0"}},
	}}
	assert.Equal(t, strings.Join([]string{
		"| parameter | type | default | what it does |",
		"|---|---|---|---|",
		"| `id` | string | **required** | Who you are. Takes a vault reference. |",
		"| `size` | number (events), 1 to 1000 | `50` | How many \\| at once. See [sending](#sending). |",
		"| `kind` | string: `a`, ``b`c`` | `\"a\"` |  |",
		"| `store` | record |  |  |",
		"| `store.host` | string |  |  |",
		"| `rules` | array of record | `[]` |  |",
		"| `rules[].if` | string | **required** |  |",
		"| `old` | map of string |  | Deprecated: use size. |",
		"",
	}, "\n"), p.Markdown())
}

// The JSON Schema takes what Kong takes; the small validator of json fields reads the keywords that it uses.
func TestJSONSchema(t *testing.T) {
	t.Parallel()
	text := everything.JSONSchema("everything")
	require.True(t, json.Valid(text))
	assert.True(t, strings.HasSuffix(string(text), "}\n"))
	assert.Equal(t, string(text), string(everything.JSONSchema("everything")))

	p := schema.Plugin{Name: "p", Fields: []schema.Field{
		{Name: "id", Type: schema.String, Required: true, Referenceable: true, OneOf: []any{"x"}, Description: "Who you are."},
		{Name: "size", Type: schema.Number, Default: 50, Between: []float64{1, 1000}},
		{Name: "list", Type: schema.Set, Elements: &schema.Field{Type: schema.Integer, Gt: new(0.0)}, LenMin: new(1)},
		{Name: "map", Type: schema.Map, Required: true, Default: map[string]string{}, Keys: &schema.Field{Type: schema.String, LenMax: new(3)}, Values: &schema.Field{Type: schema.Boolean}},
		{Name: "rec", Type: schema.Record, Fields: []schema.Field{{Name: "a", Type: schema.String, Required: true}}},
	}}
	assert.JSONEq(t, `{
		"$schema": "http://json-schema.org/draft-07/schema#",
		"$comment": "Generated from the plugin's declaration; do not edit.",
		"title": "config of the Kong plugin other",
		"type": "object", "additionalProperties": false, "required": ["id", "rec"],
		"properties": {
			"id": {"description": "Who you are.", "anyOf": [{"type": "string", "enum": ["x"], "minLength": 1}, {"type": "string", "pattern": "^\\{vault://.*\\}$"}]},
			"size": {"default": 50, "anyOf": [{"type": "number", "minimum": 1, "maximum": 1000}, {"type": "null"}]},
			"list": {"anyOf": [{"type": "array", "items": {"type": "integer", "exclusiveMinimum": 0}, "minItems": 1}, {"type": "null"}]},
			"map": {"default": {}, "type": "object", "additionalProperties": {"type": "boolean"}, "propertyNames": {"type": "string", "minLength": 1}},
			"rec": {"type": "object", "additionalProperties": false, "required": ["a"], "properties": {"a": {"type": "string", "minLength": 1}}}
		}}`, string(p.JSONSchema("other")))
}
