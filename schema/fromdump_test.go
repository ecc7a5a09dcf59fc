package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

func TestCheckPassesGoodDeclarations(t *testing.T) {
	t.Parallel()
	require.NoError(t, small.Check())
	require.NoError(t, everything.Check())
	require.NoError(t, schema.Plugin{Name: "nothing"}.Check())
}

// A dump read back declares the same: it dumps to the same bytes and completes alike.
func TestFromDumpRoundTrip(t *testing.T) {
	t.Parallel()
	for _, p := range []schema.Plugin{small, everything, {Name: "nothing"}, {Name: "scoped", Forbidden: []string{"consumer"}}} {
		dump := p.DumpSchema(p.Name)
		assert.Equal(t, dump, p.DumpSchema(p.Name), "same bytes each time")
		back, err := schema.FromDump(dump)
		require.NoError(t, err, p.Name)
		assert.JSONEq(t, string(dump), string(back.DumpSchema(p.Name)))
		assert.Equal(t, p.Name, back.Name)
		for _, config := range []string{`{}`, `{"secret":"s"}`, `{"bogus":1}`, `{"kind":"c","size":0}`, `{"policy":"redis"}`, `{"store":{}}`} {
			want, wantErr := p.Complete(object(t, config))
			got, gotErr := back.Complete(object(t, config))
			assert.Equal(t, want, got)
			assert.Equal(t, schema.Violation(wantErr), schema.Violation(gotErr))
		}
	}
}

func TestDump(t *testing.T) {
	t.Parallel()
	var d struct {
		Protocol, SocketPath string
		Plugins              []struct {
			Name, Version string
			Priority      int
			Phases        []string
			Schema        json.RawMessage
		}
	}
	dump := small.Dump(schema.DumpInfo{Name: "other", SocketPath: "/run/other.socket", Version: "1.2.3", Priority: 5, Phases: []string{"access", "log"}})
	require.NoError(t, json.Unmarshal(dump, &d))
	assert.Equal(t, "ProtoBuf:1", d.Protocol)
	assert.Equal(t, "/run/other.socket", d.SocketPath)
	require.Len(t, d.Plugins, 1)
	p := d.Plugins[0]
	assert.Equal(t, []any{"other", "1.2.3", 5, []string{"access", "log"}}, []any{p.Name, p.Version, p.Priority, p.Phases})
	assert.JSONEq(t, string(small.DumpSchema("other")), string(p.Schema))
	assert.NotContains(t, string(dump), ":null", "Kong reads null as true")
	assert.Contains(t, string(everything.DumpSchema("x")), `\"quoted\",\nwith a line & <tags>.`, "no escapes for HTML")
}

func TestDumpVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"1.2.3": "1.2.3", "v1.2.3": "1.2.3", "1.2.3-rc1": "1.2.3", "1.2.3+x": "1.2.3", "0.1": "0.1", "2": "2",
		"1.2.3.4": "0.0.0", "": "0.0.0", "dev": "0.0.0", "(devel)": "0.0.0", "1.": "0.0.0", "\x00": "0.0.0",
	} {
		assert.Contains(t, string(small.Dump(schema.DumpInfo{Name: "x", Version: version})), `"Version":"`+want+`"`, version)
	}
}

func TestDumpSchemaText(t *testing.T) {
	t.Parallel()
	p := schema.Plugin{Name: "p", Fields: []schema.Field{
		{Name: "a", Type: schema.Number, Default: 5, Between: []float64{1, 10}, Description: "The number of things."},
		{Name: "b", Type: schema.Record, Optional: true, Fields: []schema.Field{{Name: "c", Type: schema.Array, Default: []string{}, Elements: text()}}},
	}}
	assert.Equal(t, `{"name":"p","fields":[`+
		`{"protocols":{"type":"set","required":true,"default":["grpc","grpcs","http","https"],"elements":{"type":"string","one_of":["grpc","grpcs","http","https"]}}},`+
		`{"config":{"type":"record","required":true,"fields":[`+
		`{"a":{"type":"number","description":"The number of things.","default":5,"between":[1,10]}},`+
		`{"b":{"type":"record","required":false,"fields":[{"c":{"type":"array","default":[],"elements":{"type":"string"}}}]}}]}}]}`,
		string(p.DumpSchema("p")))
}

// plain go-pdk dumps are accepted, too.
func TestFromDumpOfGoPDK(t *testing.T) {
	t.Parallel()
	p, err := schema.FromDump([]byte(`{"name":"hello","fields":[{"config":{"type":"record","fields":[{"message":{"type":"string"}},{"n":{"type":"integer","between":[0,2147483648]}}]}}]}`))
	require.NoError(t, err)
	got, err := p.Complete(map[string]any{"message": "m"})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"message": "m"}, got)
	list, err := p.CompleteProtocols(nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"grpc", "grpcs", "http", "https"}, list)
	list, err = p.CompleteProtocols([]string{"tcp", "udp", "tcp"})
	require.NoError(t, err)
	assert.Equal(t, []string{"tcp", "udp"}, list)
	_, err = p.CompleteProtocols([]string{"http", "smtp"})
	assert.EqualError(t, err, "protocols[1]: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp")
	_, err = everything.CompleteProtocols([]string{"grpc"})
	assert.EqualError(t, err, "protocols[0]: expected one of: http, https, tcp")
}

// config wraps a declaration of one field.
func config(field string) string {
	return `{"name":"p","fields":[{"config":{"type":"record","fields":[{"f":` + field + `}]}}]}`
}

func TestFromDumpRefuses(t *testing.T) {
	t.Parallel()
	for dump, want := range map[string]string{
		`nonsense`:                             "schema is not JSON: wrong at byte 2",
		`{} {}`:                                "schema is not JSON: more than one value",
		`[]`:                                   "schema: expected a record",
		`{}`:                                   "fields: 'fields' must be a table\nname: required field missing",
		`{"name":"p","fields":[],"bogus":1}`:   "bogus: unknown field",
		`{"name":"","fields":[]}`:              "name: length must be at least 1",
		`{"name":"p","fields":[],"check":"x"}`: "check: expected a function",
		`{"name":"p","fields":[],"transformations":[{}]}`:                                    "transformations: needs functions, which JSON cannot carry",
		`{"name":"p","fields":{"a":1}}`:                                                      "fields: expected an array",
		`{"name":"p","fields":[1]}`:                                                          "fields[0]: each entry in fields must be a sub-table",
		`{"name":"p","fields":[{}]}`:                                                         "fields[0]: length must be 1: an entry of fields has exactly one key",
		`{"name":"p","fields":[{"config":{"type":"record","fields":[]},"tags":{}}]}`:         "fields[0]: length must be 1: an entry of fields has exactly one key",
		`{"name":"p","fields":[{"new":{"type":"string"}}]}`:                                  "new: cannot create a new field",
		`{"name":"p","fields":[{"config":{"type":"string"}}]}`:                               "config: cannot change type in a specialized field",
		`{"name":"p","fields":[{"protocols":{"type":"set","elements":{"type":"integer"}}}]}`: "protocols: cannot change type in a specialized field",
		config(`7`):                                           "config.f: 'f' must be a table",
		config(`{}`):                                          "config.f.type: required field missing",
		config(`{"type":"text"}`):                             "config.f.type: invalid type: text",
		config(`{"type":"any"}`):                              "config.f.type: invalid type: any",
		config(`{"type":"string","bogus":1}`):                 "config.f.bogus: unknown field",
		config(`{"type":"string","required":null}`):           "config.f.required: must not be null: leave it out",
		config(`{"type":"string","required":1}`):              "config.f.required: expected a boolean",
		config(`{"type":"string","description":"too short"}`): "config.f.description: length must be at least 10",
		config(`{"type":"string","description":"` + strings.Repeat("x", 501) + `"}`): "config.f.description: length must be at most 500",
		config(`{"type":"array"}`):                                                                    "config.f: field of type 'array' must declare 'elements'",
		config(`{"type":"map","keys":{"type":"string"}}`):                                             "config.f: field of type 'map' must declare 'values'",
		config(`{"type":"record"}`):                                                                   "config.f: field of type 'record' must declare 'fields'",
		config(`{"type":"json"}`):                                                                     "config.f: field of type 'json' must declare 'json_schema'",
		config(`{"type":"boolean","one_of":[true]}`):                                                  "config.f: field of type 'boolean' cannot have attribute 'one_of'",
		config(`{"type":"string","between":[1,2]}`):                                                   "config.f: field of type 'string' cannot have attribute 'between'",
		config(`{"type":"number","between":[1]}`):                                                     "config.f.between: length must be 2",
		config(`{"type":"number","between":["a",2]}`):                                                 "config.f.between[0]: expected a number",
		config(`{"type":"number","match":"x"}`):                                                       "config.f: field of type 'number' cannot have attribute 'match'",
		config(`{"type":"string","len_min":0.5}`):                                                     "config.f.len_min: expected an integer",
		config(`{"type":"string","match":"[a"}`):                                                      "config.f.match: malformed pattern",
		config(`{"type":"string","match":""}`):                                                        "config.f.match: length must be at least 1",
		config(`{"type":"string","match_all":[{"err":"x"}]}`):                                         "config.f.match_all[0].pattern: required field missing",
		config(`{"type":"string","match_any":{"err":"x"}}`):                                           "config.f.match_any.patterns: required field missing",
		config(`{"type":"string","custom_validator":"f"}`):                                            "config.f.custom_validator: expected a function, which JSON cannot carry",
		config(`{"type":"number","default":"5"}`):                                                     "config.f.default: expected a number",
		config(`{"type":"number","default":0,"gt":0}`):                                                "config.f.default: value must be greater than 0",
		config(`{"type":"string","default":""}`):                                                      "config.f.default: length must be at least 1",
		config(`{"type":"array","default":["a",1],"elements":{"type":"string"}}`):                     "config.f.default[1]: expected a string",
		config(`{"type":"array","elements":{"type":"string","bogus":1}}`):                             "config.f.elements.bogus: unknown field",
		config(`{"type":"array","elements":7}`):                                                       "config.f.elements: expected a record",
		config(`{"type":"foreign","reference":"nothing"}`):                                            "config.f: schema refers to an invalid foreign entity: nothing",
		config(`{"type":"json","json_schema":{"inline":{"type":"text"}}}`):                            "config.f.json_schema.inline.type: matches none of the enum values: text",
		config(`{"type":"json","json_schema":{"inline":7}}`):                                          "config.f.json_schema.inline: schema must be a table",
		config(`{"type":"string","deprecation":{"message":"m"}}`):                                     "config.f.deprecation.removal_in_version: required field missing",
		config(`{"type":"record","fields":[{"a":{"type":"string"}}],"entity_checks":[{"bogus":{}}]}`): "config.f.entity_checks[0].bogus: unknown field",
		config(`{"type":"record","fields":[],"entity_checks":[{}]}`):                                  "config.f.entity_checks[0]: exactly one of these fields must be non-empty: 'at_least_one_of', 'conditional' and so on",
		config(`{"type":"record","fields":[],"entity_checks":[{"conditional":{"if_field":"a","if_match":{"type":"string"},"then_field":"b","then_match":{}}}]}`): "config.f.entity_checks[0].conditional.if_match.type: unknown field",
		config(`{"type":"string","unique_across_ws":true}`):                                                       "config.f.unique: value must be true",
		config(strings.Repeat(`{"type":"array","elements":`, 60) + `{"type":"string"}` + strings.Repeat("}", 60)): "config.f" + strings.Repeat(".elements", 49) + ": nested deeper than 50 levels",
		strings.Repeat(`{"fields":[`, 1_000_000):                                                                  "schema is not JSON: wrong at byte 55001",
	} {
		t.Run(dump[:min(len(dump), 120)], func(t *testing.T) {
			t.Parallel()
			_, err := schema.FromDump([]byte(dump))
			assert.EqualError(t, err, want)
		})
	}
}

// What stops Kong only later, or confuses a user, is found in a declaration of our own.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]schema.Plugin{
		`name: "a_b" is no name for a control plane`:      {Name: "a_b"},
		"protocols: Kong knows no protocol smtp":          {Name: "p", Protocols: []string{"smtp"}},
		"protocols: the default http is not allowed":      {Name: "p", Protocols: []string{"tcp"}, DefaultProtocols: []string{"http"}},
		"config.a: is declared twice":                     {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String}, {Name: "a", Type: schema.String}}},
		`config.A: "A" is no name for a field`:            {Name: "p", Fields: []schema.Field{{Name: "A", Type: schema.String}}},
		"config.a: between: 2 is above 1":                 {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.Number, Between: []float64{2, 1}}}},
		"config.a: default: a chan int is not a value":    {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String, Default: make(chan int)}}},
		"config.a: Kong checks type json only as a field": {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.JSON}}},
		"config.a: holds text that is not UTF-8":          {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String, Description: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}}},
		"config.checks[0]: there is no field b":           {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String}}, Checks: []schema.Check{{Distinct: []string{"a", "b"}}}},
		"config.a.default: expected one of: x":            {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String, OneOf: []any{"x"}, Default: "y"}}},
		"config.a: cannot be required and optional":       {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String, Required: true, Optional: true}}},
		"config.a: the keys of a map are strings":         {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.Map, Keys: &schema.Field{Type: schema.Integer}, Values: text()}}},
	} {
		assert.ErrorContains(t, p.Check(), want)
	}
}

// FuzzFromDump: no panic; what is accepted dumps, is accepted again, and completes without a panic.
func FuzzFromDump(f *testing.F) {
	f.Add(small.DumpSchema("small"), []byte(`{"secret":"s"}`))
	f.Add(everything.DumpSchema("everything"), []byte(`{"policy":"redis","json":[]}`))
	f.Add([]byte(config(`{"type":"string","match":"%f[%w](a)%1"}`)), []byte(`{"f":"aa"}`))
	f.Add([]byte(config(`{"type":"record","fields":[{"a":{"type":"json","json_schema":{"inline":{"type":["null"]}}}}]}`)), []byte(`{"f":null}`))
	f.Fuzz(func(t *testing.T, dump, config []byte) {
		p, err := schema.FromDump(dump)
		if err != nil {
			return
		}
		again := p.DumpSchema(p.Name)
		require.True(t, json.Valid(again))
		q, err := schema.FromDump(again)
		require.NoError(t, err, "%s", again)
		assert.Equal(t, again, q.DumpSchema(q.Name))
		var m map[string]any
		if json.Unmarshal(config, &m) != nil {
			return
		}
		one, errOne := p.Complete(m)
		two, errTwo := q.Complete(m)
		assert.Equal(t, one, two)
		assert.Equal(t, schema.Violation(errOne), schema.Violation(errTwo))
	})
}
