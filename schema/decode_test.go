package schema_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

// small is a declaration with one field of each kind that plugins of this project use.
var small = schema.Plugin{
	Name: "small",
	Fields: []schema.Field{
		{Name: "secret", Type: schema.String, Required: true, Referenceable: true, Encrypted: true, Description: "A secret of some kind."},
		{Name: "size", Type: schema.Number, Default: 50, Between: []float64{1, 1000}, Description: "How many there are."},
		{Name: "ratio", Type: schema.Number, Default: 0.5, Gt: new(0.0), Description: "A part of the whole."},
		{Name: "count", Type: schema.Integer, Default: 3, Between: []float64{-10, 10}, Description: "A count of things."},
		{Name: "debug", Type: schema.Boolean, Default: false, Description: "Whether to say more."},
		{Name: "header", Type: schema.String, Default: "authorization", Match: "^[%w-]+$", LenMax: new(40), Description: "The name of a header."},
		{Name: "masks", Type: schema.Array, Default: []string{}, Elements: &schema.Field{Type: schema.String}, Description: "Names of masks."},
		{Name: "kinds", Type: schema.Set, Elements: &schema.Field{Type: schema.String, OneOf: []any{"a", "b"}}, Description: "Kinds of things."},
		{Name: "labels", Type: schema.Map, Keys: &schema.Field{Type: schema.String}, Values: &schema.Field{Type: schema.String, LenMin: new(0)}, Description: "Labels by name."},
		{Name: "store", Type: schema.Record, Description: "Where things are kept.", Fields: []schema.Field{
			{Name: "host", Type: schema.String, Default: "localhost"},
			{Name: "port", Type: schema.Integer, Default: 6379, Between: []float64{0, 65535}},
		}},
		{Name: "nodes", Type: schema.JSON, JSONSchema: map[string]any{"type": []any{"array", "object", "null"}}, Description: "Anything at all."},
	},
}

type smallConfig struct {
	Secret string            `json:"secret"`
	Size   int               `json:"size"`
	Ratio  float64           `json:"ratio"`
	Count  int               `json:"count"`
	Debug  bool              `json:"debug"`
	Header string            `json:"header"`
	Masks  []string          `json:"masks"`
	Kinds  []string          `json:"kinds"`
	Labels map[string]string `json:"labels"`
	Store  struct {
		Host string `json:"host"`
		Port int    `json:"port"`
	} `json:"store"`
	Nodes json.RawMessage `json:"nodes"`

	internal int
}

// smallDefaults is what an instance with a secret and nothing else holds.
func smallDefaults() smallConfig {
	c := smallConfig{Secret: "s", Size: 50, Ratio: 0.5, Count: 3, Header: "authorization", Masks: []string{}}
	c.Store.Host, c.Store.Port = "localhost", 6379
	return c
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string
		change func(*smallConfig)
	}{
		"defaults":             {`{"secret":"s"}`, nil},
		"Kong's extra keys":    {`{"secret":"s","__key__":"plugins:x","__seq__":7,"__plugin_id":"p","__ws_id":"w","route_id":"r","plugin_instance_name":"n","$refs":{"header":"{vault://env/h}"}}`, nil},
		"unknown":              {`{"secret":"s","new_in_kong":{"a":[1]}}`, nil},
		"null":                 {`{"secret":"s","size":null,"masks":null,"store":null,"labels":null,"nodes":null}`, nil},
		"whole double":         {`{"secret":"s","size":50.0,"count":3.0e0}`, nil},
		"numbers":              {`{"secret":"s","size":1000,"ratio":0.25,"count":-10}`, func(c *smallConfig) { c.Size, c.Ratio, c.Count = 1000, 0.25, -10 }},
		"empty list as object": {`{"secret":"s","masks":{},"kinds":{}}`, func(c *smallConfig) { c.Kinds = []string{} }},
		"empty map as list":    {`{"secret":"s","labels":[],"store":[]}`, func(c *smallConfig) { c.Labels = map[string]string{} }},
		"lists":                {`{"secret":"s","masks":["a","a"],"kinds":["a","b","a"]}`, func(c *smallConfig) { c.Masks, c.Kinds = []string{"a", "a"}, []string{"a", "b"} }},
		"map":                  {`{"secret":"s","labels":{"a":"","b":"c"}}`, func(c *smallConfig) { c.Labels = map[string]string{"a": "", "b": "c"} }},
		"part of a record":     {`{"secret":"s","store":{"port":1}}`, func(c *smallConfig) { c.Store.Port = 1 }},
		"duplicate":            {`{"secret":"s","size":2,"size":4}`, func(c *smallConfig) { c.Size = 4 }},
		"another letter case":  {`{"secret":"s","Size":2,"SECRET":"x"}`, nil},
		"empty string":         {`{"secret":"s","header":""}`, nil},
		"json field":           {`{"secret":"s","nodes":[{"n":12345678901234567890,"x":null}]}`, func(c *smallConfig) { c.Nodes = json.RawMessage(`[{"n":12345678901234567890,"x":null}]`) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := smallDefaults()
			if c.change != nil {
				c.change(&want)
			}
			var got smallConfig
			require.NoError(t, small.Decode([]byte(c.config), &got))
			assert.Equal(t, want, got)
		})
	}
}

func TestDecodeMistakes(t *testing.T) {
	t.Parallel()
	for config, want := range map[string][]string{
		`{}`:                                                 {"secret: required field missing"},
		`[]`:                                                 {"secret: required field missing"},
		`{"secret":null}`:                                    {"secret: required field missing"},
		`{"secret":""}`:                                      {"secret: required field missing"},
		`{"secret":"s","size":0,"count":1.5}`:                {"count: expected an integer", "size: value should be between 1 and 1000"},
		`{"secret":"s","size":1.5}`:                          {"size: expected an integer"},
		`{"secret":"s","count":1e300}`:                       {"count: value should be between -10 and 10"},
		`{"secret":"s","size":1e999}`:                        {"size: expected a number"},
		`{"secret":"s","ratio":0}`:                           {"ratio: value must be greater than 0"},
		`{"secret":"s","size":"50"}`:                         {"size: expected a number"},
		`{"secret":7,"debug":1,"header":true}`:               {"debug: expected a boolean", "header: expected a string", "secret: expected a string"},
		`{"secret":"s","masks":"a","kinds":{"a":1}}`:         {"kinds: expected a set", "masks: expected an array"},
		`{"secret":"s","masks":["a",null,1,""]}`:             {"masks[1]: required field missing", "masks[2]: expected a string", "masks[3]: length must be at least 1"},
		`{"secret":"s","kinds":["a","c"]}`:                   {"kinds[1]: expected one of: a, b"},
		`{"secret":"s","labels":{"a":1},"store":7}`:          {"labels.a: expected a string", "store: expected a record"},
		`{"secret":"s","store":{"port":65536}}`:              {"store.port: value should be between 0 and 65535"},
		`{"secret":"s","header":"a b"}`:                      {"header: invalid value: a b"},
		`{"secret":"","$refs":{"secret":"{vault://env/s}"}}`: {"secret: vault reference {vault://env/s} could not be resolved; look in Kong's log for the cause"},
		`{"secret":"{vault://env/s}"}`:                       {"secret: vault reference {vault://env/s} arrived unresolved; Kong resolves it when the vault exists on the data plane"},
		`nonsense`:                                           {"the configuration is not JSON: wrong at byte 2"},
		`{"secret":"s"`:                                      {"the configuration is not JSON: it ends too early"},
		`{"secret":"s"} {}`:                                  {"the configuration is not JSON: more than one value"},
		`"text"`:                                             {"the configuration is not a JSON object: expected a record"},
		"{\"secret\":\"\xff\"}":                              {"the configuration is not UTF-8"},
		strings.Repeat(`{"store":`, 1_000_000):               {"the configuration is not JSON: wrong at byte 90001"},
		`{"secret":"s","nodes":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`: {"nodes: nested deeper than 200 levels"},
	} {
		name := config[:min(len(config), 60)]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got smallConfig
			err := small.Decode([]byte(config), &got)
			require.Error(t, err)
			var texts []string
			for _, e := range schema.Errors(err) {
				texts = append(texts, e.Error())
			}
			assert.Equal(t, want, texts)
			assert.NotZero(t, got.Size, "the default stands in for what is wrong")
			assert.NotZero(t, got.Ratio)
			assert.NotEmpty(t, got.Header)
		})
	}
}

func TestDecodeNeedsAStruct(t *testing.T) {
	t.Parallel()
	var n int
	for _, into := range []any{nil, n, &n, smallConfig{}, (*smallConfig)(nil)} {
		assert.Error(t, small.Decode([]byte(`{"secret":"s"}`), into))
		assert.NotPanics(t, func() { small.SetDefaults(into) })
		assert.Error(t, small.CheckStruct(into))
	}
}

func TestSetDefaults(t *testing.T) {
	t.Parallel()
	want := smallDefaults()
	want.Secret, want.internal = "kept", 7
	got := smallConfig{Secret: "kept", internal: 7}
	small.SetDefaults(&got)
	assert.Equal(t, want, got)
}

func TestCheckStruct(t *testing.T) {
	t.Parallel()
	require.NoError(t, small.CheckStruct(&smallConfig{}))
	p := schema.Plugin{Fields: []schema.Field{
		{Name: "a", Type: schema.String},
		{Name: "b", Type: schema.Array, Elements: &schema.Field{Type: schema.Number}},
		{Name: "c", Type: schema.Boolean},
	}}
	err := p.CheckStruct(&struct {
		A int      `json:"a"`
		B []string `json:"b"`
		D bool     `json:"d"`
		e bool
	}{e: true})
	for _, want := range []string{"a: string does not fit into int", "b[]: number does not fit into string", "c: ", "d: member D has no field"} {
		assert.ErrorContains(t, err, want)
	}
}

// FuzzDecode: whatever arrives, there is an error or a struct within all ranges, and never a panic.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"secret":"s"}`, `{"secret":"s","size":50.0,"masks":{}}`, `{"secret":"s","size":1.5}`, `[]`, `null`, `{"a":`,
		`{"secret":"s","count":-1e400,"labels":{"":""},"kinds":["a",null]}`, `{"secret":"\ud800","store":[1]}`,
		`{"secret":"","$refs":{"secret":7},"nodes":{"a":[{}]}}`, `{"secret":"s","$refs":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		var c smallConfig
		if small.Decode(config, &c) != nil {
			return
		}
		assert.NotEmpty(t, c.Secret)
		assert.True(t, c.Size >= 1 && c.Size <= 1000)
		assert.True(t, c.Ratio > 0 && !math.IsInf(c.Ratio, 0))
		assert.True(t, c.Count >= -10 && c.Count <= 10)
		assert.Regexp(t, `^[0-9A-Za-z-]{1,40}$`, c.Header)
		assert.NotNil(t, c.Masks)
		for _, m := range c.Masks {
			assert.NotEmpty(t, m)
		}
		for _, k := range c.Kinds {
			assert.Contains(t, []string{"a", "b"}, k)
		}
		assert.True(t, c.Store.Port >= 0 && c.Store.Port <= 65535)
		if c.Nodes != nil {
			assert.True(t, json.Valid(c.Nodes))
		}
		// what was decoded decodes to the same again
		again, err := json.Marshal(c)
		require.NoError(t, err)
		var d smallConfig
		require.NoError(t, small.Decode(again, &d))
		assert.Equal(t, c, d)
	})
}
