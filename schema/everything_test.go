package schema_test

import "kong-go-plugins/schema"

func text() *schema.Field { return &schema.Field{Type: schema.String} }

// everything declares each feature at least once.
var everything = schema.Plugin{
	Name:             "everything",
	Protocols:        []string{"http", "https", "tcp"},
	DefaultProtocols: []string{"http", "https"},
	Fields: []schema.Field{
		{Name: "secret", Type: schema.String, Referenceable: true, Encrypted: true, Match: "^%w+$", Description: "A secret: \"quoted\",\nwith a line & <tags>."},
		{Name: "kind", Type: schema.String, Required: true, Default: "a", OneOf: []any{"a", "b"}, NotOneOf: []any{"x"}},
		{Name: "word", Type: schema.String, LenMin: new(2), LenMax: new(5), StartsWith: "w", NotMatch: "%s"},
		{Name: "exact", Type: schema.String, LenEq: new(3)},
		{Name: "empty", Type: schema.String, LenMin: new(0), Default: ""},
		{Name: "strict", Type: schema.String,
			MatchAll:  []schema.Pattern{{Pattern: "^s", Err: "must begin with s"}, {Pattern: "t$"}},
			MatchNone: []schema.Pattern{{Pattern: "%d", Err: "no digits"}, {Pattern: "%p"}}},
		{Name: "either", Type: schema.String, MatchAny: &schema.Patterns{Patterns: []string{"^a", "b$"}, Err: "neither a nor b"}},
		{Name: "regex", Type: schema.String, IsRegex: true},
		{Name: "id", Type: schema.String, UUID: true},
		{Name: "own_words", Type: schema.String, Match: "^a$", Err: "say a"},
		{Name: "number", Type: schema.Number, Gt: new(0.5), Default: 1.5},
		{Name: "ranged", Type: schema.Number, Between: []float64{1, 1000}, Default: 50},
		{Name: "integer", Type: schema.Integer, Between: []float64{-5, 5}, Default: -1},
		{Name: "one_number", Type: schema.Integer, OneOf: []any{1, 2}},
		{Name: "since", Type: schema.Integer, Timestamp: true},
		{Name: "fixed", Type: schema.Number, Eq: 7, Default: 7},
		{Name: "other", Type: schema.Number, Ne: 7},
		{Name: "not_null", Type: schema.Boolean, Ne: schema.Null{}, Default: true},
		{Name: "never", Type: schema.String, Eq: schema.Null{}},
		{Name: "list", Type: schema.Array, Elements: &schema.Field{Type: schema.Number, Between: []float64{0, 9}}, Default: []int{1, 2}, LenMin: new(1), LenMax: new(3), Contains: 1},
		{Name: "set", Type: schema.Set, Elements: text(), Default: []string{}, MutuallyExclusiveSubsets: [][]string{{"a", "b"}, {"c"}}},
		{Name: "map", Type: schema.Map, Keys: &schema.Field{Type: schema.String, LenMax: new(4)}, Values: &schema.Field{Type: schema.Array, Elements: text()}, Default: map[string][]string{"k": {"v"}}},
		{Name: "record", Type: schema.Record, Fields: []schema.Field{
			{Name: "inner", Type: schema.Integer, Default: 1},
			{Name: "deep", Type: schema.Record, Fields: []schema.Field{{Name: "deepest", Type: schema.Boolean, Default: true}}},
			{Name: "x", Type: schema.String}, {Name: "y", Type: schema.String},
		}, Checks: []schema.Check{{MutuallyRequired: []string{"x", "y"}}}},
		{Name: "maybe", Type: schema.Record, Optional: true, Fields: []schema.Field{{Name: "needed", Type: schema.String, Required: true}}},
		{Name: "records", Type: schema.Array, Elements: &schema.Field{Type: schema.Record, Fields: []schema.Field{
			{Name: "name", Type: schema.String, Required: true, Unit: "letters"}, {Name: "port", Type: schema.Integer, Default: 80},
			{Name: "sub", Type: schema.Record, Fields: []schema.Field{{Name: "z", Type: schema.Integer, Default: 1}}},
		}}},
		{Name: "json", Type: schema.JSON, JSONSchema: map[string]any{
			"type": []string{"array", "null"}, "items": map[string]any{
				"type": "object", "additionalProperties": false, "required": []string{"name"},
				"properties": map[string]any{
					"name": map[string]any{"type": "string"}, "status": map[string]any{"type": "integer", "minimum": 200, "maximum": 599},
					"type": map[string]any{"enum": []string{"call", "jq"}}, "any": map[string]any{},
				}}}},
		{Name: "old", Type: schema.String, Description: "An old field of the plugin.", Doc: "Use `word`.", Examples: []any{"x", 1, true},
			Deprecation: &schema.Deprecation{Message: "old is gone", RemovalInVersion: "2.0", OldDefault: "x", ReplacedWith: [][]string{{"word"}}}},
		{Name: "redis", Type: schema.String}, {Name: "policy", Type: schema.String}, {Name: "local", Type: schema.String},
		{Name: "p", Type: schema.String}, {Name: "q", Type: schema.String}, {Name: "r", Type: schema.String},
	},
	Checks: []schema.Check{
		{Conditional: &schema.Conditional{IfField: "policy", IfMatch: schema.Field{Eq: "redis"}, ThenField: "redis", ThenMatch: schema.Field{Required: true}}},
		{ConditionalAtLeastOneOf: &schema.ConditionalAtLeastOneOf{
			IfField: "policy", IfMatch: schema.Field{Eq: "local"}, ThenAtLeastOneOf: []string{"local"}, ThenErr: "policy local needs %s",
			ElseMatch: &schema.Field{Eq: "other"}, ElseThenAtLeastOneOf: []string{"word"}}},
		{AtLeastOneOf: []string{"kind", "word"}},
		{Distinct: []string{"p", "q"}},
		{MutuallyExclusive: []string{"q", "r"}},
		{MutuallyExclusiveSets: &schema.ExclusiveSets{Set1: []string{"p"}, Set2: []string{"word", "exact"}}},
	},
	TopChecks: []schema.Check{{OnlyOneOf: []string{"config.kind", "config.since"}}},
}
