package declarative

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/schema"
)

// What Kong sends as configuration: numbers with 16 digits, sets without
// repetitions, and empty lists only where the schema says that it is one.
func TestConfigAsKongSendsIt(t *testing.T) {
	free := &schema.Field{Type: schema.JSON}
	text := &schema.Field{Type: schema.String}
	declared := schema.Plugin{Name: "p", Fields: []schema.Field{
		{Name: "list", Type: schema.Array, Elements: text}, {Name: "set", Type: schema.Set, Elements: text},
		{Name: "map", Type: schema.Map, Keys: text, Values: &schema.Field{Type: schema.Array, Elements: text}},
		{Name: "free", Type: schema.JSON}, {Name: "frees", Type: schema.Array, Elements: free},
		{Name: "freemap", Type: schema.Map, Keys: text, Values: free},
		{Name: "rec", Type: schema.Record, Fields: []schema.Field{{Name: "free", Type: schema.JSON}, {Name: "list", Type: schema.Array, Elements: text}, {Name: "n", Type: schema.Number, Default: 50.0}}},
		{Name: "unset", Type: schema.String}, {Name: "big", Type: schema.Number}, {Name: "pi", Type: schema.Number},
	}}
	d, err := Parse("kong.yml", []byte(`
_format_version: "3.0"
plugins:
- name: p
  config:
    list: []
    set: [b, a, b]
    map: {x: []}
    free: {a: [], b: [[], 1, {c: []}]}
    frees: [[], {d: []}]
    freemap: {k: []}
    rec: {free: [], list: []}
    big: 9007199254740993
    pi: 3.141592653589793238
`))
	require.NoError(t, err)
	require.NoError(t, d.CompletePlugins(Schemas{Running: map[string]schema.Plugin{"p": declared}}))
	assert.Equal(t, `{"big":9007199254740992,"free":{"a":{},"b":[{},1,{"c":{}}]},"freemap":{"k":{}},"frees":[{},{"d":{}}],"list":[],"map":{"x":[]},`+
		`"pi":3.141592653589793,"rec":{"free":{},"list":[],"n":50},"set":["b","a"]}`, string(lua.AppendJSON(nil, d.Plugins[0].Config)))
}
