package schema_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &m))
	return m
}

// everythingDefaults is the configuration {} after Kong has filled it.
const everythingDefaults = `{"kind":"a","empty":"","number":1.5,"ranged":50,"fixed":7,"integer":-1,"not_null":true,"list":[1,2],"set":[],
	"map":{"k":["v"]},"record":{"inner":1,"deep":{"deepest":true}}}`

func TestCompleteFills(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{}`: `{}`,
		// an explicit null stays null, also where there is a default
		`{"ranged":null,"set":null}`: `{"ranged":null,"set":null}`,
		`{"kind":"b","list":[1.0]}`:  `{"kind":"b","list":[1]}`,
		`{"set":["a","b","a",""]}`:   ``,
		`{"set":["a","b","a"]}`:      `{"set":["a","b"]}`,
		`{"map":{},"set":{}}`:        `{"map":{},"set":[]}`,
		`{"map":[]}`:                 `{"map":{}}`,
		`{"record":false}`:           `{}`,
		`{"maybe":false}`:            `{}`,
		`{"record":{"inner":3}}`:     `{"record":{"inner":3,"deep":{"deepest":true}}}`,
		`{"maybe":{"needed":"x"}}`:   `{"maybe":{"needed":"x"}}`,
		`{"records":[{"name":"a"},{"name":"b","port":1,"sub":{}}]}`:    `{"records":[{"name":"a","port":80},{"name":"b","port":1,"sub":{"z":1}}]}`,
		`{"secret":"{vault://env/a-b}"}`:                               `{"secret":"{vault://env/a-b}"}`,
		`{"json":[{"name":"n","any":null}]}`:                           `{"json":[{"name":"n","any":null}]}`,
		`{"json":{}}`:                                                  `{"json":{}}`,
		`{"policy":"redis","redis":"{vault://env/not-referenceable}"}`: `{"policy":"redis","redis":"{vault://env/not-referenceable}"}`,
	} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			in := object(t, config)
			got, err := everything.Complete(in)
			assert.Equal(t, object(t, config), in, "the input is not changed")
			if want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			expected := object(t, everythingDefaults)
			for k, v := range object(t, want) {
				if v == nil {
					delete(expected, k)
				} else {
					expected[k] = v
				}
			}
			assert.Equal(t, expected, got)
			again, err := everything.Complete(got)
			require.NoError(t, err)
			for k, v := range got {
				assert.Equal(t, v, again[k], "completing twice changes nothing that is set")
			}
		})
	}
}

func TestCompleteDefaultsAreCopies(t *testing.T) {
	t.Parallel()
	one, err := everything.Complete(nil)
	require.NoError(t, err)
	one["map"].(map[string]any)["k"].([]any)[0] = "changed"
	two, err := everything.Complete(nil)
	require.NoError(t, err)
	assert.Equal(t, object(t, everythingDefaults), two)
}

// The texts are those of Kong's kong/db/schema/init.lua.
func TestCompleteTexts(t *testing.T) {
	t.Parallel()
	for config, want := range map[string][]string{
		`{"bogus":1,"Kind":null}`: {"Kind: unknown field", "bogus: unknown field"},
		`{"kind":null}`: {": at least one of these fields must be non-empty: 'kind', 'word'",
			": exactly one of these fields must be non-empty: 'config.kind', 'config.since'", "kind: required field missing"},
		`{"kind":"x"}`:                         {"kind: must not be one of: x"},
		`{"kind":"c"}`:                         {"kind: expected one of: a, b"},
		`{"one_number":3}`:                     {"one_number: expected one of: 1, 2"},
		`{"kind":1}`:                           {"kind: expected a string"},
		`{"number":"1"}`:                       {"number: expected a number"},
		`{"number":0.5}`:                       {"number: value must be greater than 0.5"},
		`{"ranged":0}`:                         {"ranged: value should be between 1 and 1000"},
		`{"ranged":1000.5}`:                    {"ranged: value should be between 1 and 1000"},
		`{"integer":1.5}`:                      {"integer: expected an integer"},
		`{"integer":"1"}`:                      {"integer: expected an integer"},
		`{"not_null":"true"}`:                  {"not_null: expected a boolean"},
		`{"not_null":null}`:                    {"not_null: value must not be null"},
		`{"never":"x"}`:                        {"never: value must be null"},
		`{"fixed":8}`:                          {"fixed: value must be 7"},
		`{"fixed":null}`:                       {"fixed: value must be 7"},
		`{"other":7}`:                          {"other: value must not be 7"},
		`{"since":0,"kind":"a"}`:               {": exactly one of these fields must be non-empty: 'config.kind', 'config.since'", "since: expected a valid timestamp"},
		`{"since":1}`:                          {": exactly one of these fields must be non-empty: 'config.kind', 'config.since'"},
		`{"word":"w"}`:                         {"word: length must be at least 2"},
		`{"word":"wwwwww"}`:                    {"word: length must be at most 5"},
		`{"word":"xx"}`:                        {"word: should start with: w"},
		`{"word":"w w"}`:                       {"word: invalid value: w w"},
		`{"exact":"x"}`:                        {"exact: length must be 3"},
		`{"redis":""}`:                         {"redis: length must be at least 1"},
		`{"secret":"top secret"}`:              {"secret: invalid value: (not shown)"},
		`{"secret":"{vault://"}`:               {"secret: invalid value: (not shown)"},
		`{"strict":"xt"}`:                      {"strict: must begin with s"},
		`{"strict":"sx"}`:                      {"strict: invalid value: sx"},
		`{"strict":"s1t"}`:                     {"strict: no digits"},
		`{"strict":"s.t"}`:                     {"strict: invalid value: s.t"},
		`{"either":"ba"}`:                      {"either: neither a nor b"},
		`{"regex":"a("}`:                       {"regex: not a valid regex: a("},
		`{"id":"5f"}`:                          {"id: expected a valid UUID"},
		`{"own_words":"b"}`:                    {"own_words: say a"},
		`{"list":7}`:                           {"list: expected an array"},
		`{"list":{"a":1}}`:                     {"list: expected an array"},
		`{"list":[]}`:                          {"list: length must be at least 1"},
		`{"list":[1,2,3,4]}`:                   {"list: length must be at most 3"},
		`{"list":[2]}`:                         {"list: expected to contain: 1"},
		`{"list":[1,10,null,"x"]}`:             {"list[1]: value should be between 0 and 9", "list[2]: required field missing", "list[3]: expected a number"},
		`{"set":"a"}`:                          {"set: expected a set"},
		`{"set":["a","c"]}`:                    {"set: these sets are mutually exclusive: ('a', 'b'), ('c')"},
		`{"map":"a"}`:                          {"map: expected a map"},
		`{"map":["a"]}`:                        {"map: expected a map"},
		`{"map":{"toolong":[],"b":[1]}}`:       {"map.b[0]: expected a string", "map.toolong: length must be at most 4"},
		`{"map":{"a":null}}`:                   {"map.a: required field missing"},
		`{"record":7}`:                         {"record: expected a record"},
		`{"record":null}`:                      {"record: required field missing"},
		`{"record":{"deep":{"no":1}}}`:         {"record.deep.no: unknown field"},
		`{"record":{"x":"1"}}`:                 {"record: all or none of these fields must be set: 'x', 'y'"},
		`{"maybe":{}}`:                         {"maybe.needed: required field missing"},
		`{"records":[{"port":"x"}]}`:           {"records[0].name: required field missing", "records[0].port: expected an integer"},
		`{"policy":"redis"}`:                   {": failed conditional validation given value of field 'policy'", "redis: required field missing"},
		`{"policy":"local"}`:                   {": policy local needs 'local'"},
		`{"policy":"other"}`:                   {": at least one of these fields must be non-empty: 'word'"},
		`{"p":"1","q":"1"}`:                    {": values of these fields must be distinct: 'p', 'q'"},
		`{"q":"1","r":"2"}`:                    {": only one or none of these fields must be set: 'q', 'r'"},
		`{"p":"1","word":"ww"}`:                {": these sets are mutually exclusive: ('p'), ('word')"},
		`{"json":7}`:                           {"json: wrong type: expected one of array, null, got number"},
		`{"json":[{"status":199,"name":"n"}]}`: {"json: failed to validate item 1: property status validation failed: expected 199 to be greater than 200"},
		`{"json":[{"name":"n","bogus":1}]}`:    {"json: failed to validate item 1: additional properties forbidden, found bogus"},
		`{"json":[{"name":"n","type":"x"}]}`:   {"json: failed to validate item 1: property type validation failed: matches none of the enum values"},
		`{"json":[{"status":200}]}`:            {"json: failed to validate item 1: property name is required"},
		`{"kind":"a\nconfig.x: forged"}`:       {"kind: expected one of: a, b"},
		`{"word":"w \n"}`:                      {`word: invalid value: w \n`},
	} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			_, err := everything.Complete(object(t, config))
			require.Error(t, err)
			var got []string
			for _, e := range schema.Errors(err) {
				got = append(got, e.Field+": "+e.Text)
			}
			assert.Equal(t, want, got)
		})
	}
}

func TestCompleteAtLeastOneOf(t *testing.T) {
	t.Parallel()
	p := schema.Plugin{Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String, Referenceable: true}, {Name: "b", Type: schema.Array, Elements: text()}},
		Checks: []schema.Check{{AtLeastOneOf: []string{"a", "b"}}}}
	_, err := p.Complete(map[string]any{"b": []any{}})
	assert.EqualError(t, err, "at least one of these fields must be non-empty: 'a', 'b'")
	_, err = p.Complete(map[string]any{"a": "{vault://env/a}"})
	assert.NoError(t, err)
}

// A rule over several fields that needs one which is missing says so in place of the field's own text, as in Kong.
func TestCompleteMissingForCheck(t *testing.T) {
	t.Parallel()
	p := schema.Plugin{Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String, Required: true}, {Name: "b", Type: schema.String}},
		Checks: []schema.Check{{Distinct: []string{"a", "b"}}}}
	_, err := p.Complete(map[string]any{"b": "x"})
	assert.EqualError(t, err, "a: field required for entity check")
}

func TestViolation(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		`{}`:                           "",
		`{"ranged":0}`:                 "schema violation (config.ranged: value should be between 1 and 1000)",
		`{"ranged":0,"bogus":1}`:       "2 schema violations (config.bogus: unknown field; config.ranged: value should be between 1 and 1000)",
		`{"policy":"local"}`:           "schema violation (config.@entity: {\n  \"policy local needs 'local'\"\n})",
		`{"record":{"deep":{"no":1}}}`: "schema violation (config.record: {\n  deep = {\n    no = \"unknown field\"\n  }\n})",
		`{"record":{"x":"1"}}`:         "schema violation (config.record: {\n  [\"@entity\"] = {\n    \"all or none of these fields must be set: 'x', 'y'\"\n  }\n})",
		`{"list":[1,10,2,"x"]}`:        "schema violation (config.list: {\n  [2] = \"value should be between 0 and 9\",\n  [4] = \"expected a number\"\n})",
		`{"map":{"b":[],"toolong":[],"toolong2":[]}}`: "schema violation (config.map: length must be at most 4)",
		`{"list":[10]}`: "schema violation (config.list: {\n  \"value should be between 0 and 9\"\n})",
	} {
		_, err := everything.Complete(object(t, config))
		assert.Equal(t, want, schema.Violation(err), config)
	}
}
