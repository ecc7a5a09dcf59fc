package declarative

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

func testSchemas() map[string]schema.Plugin {
	return map[string]schema.Plugin{
		"moesif": {
			Name: "moesif", Protocols: []string{"http", "https"},
			Fields: []schema.Field{
				{Name: "application_id", Type: schema.String, Required: true},
				{Name: "batch_size", Type: schema.Integer, Default: 200, Between: []float64{1, 1000}},
				{Name: "api_endpoint", Type: schema.String},
				{Name: "nodes", Type: schema.Array, Elements: &schema.Field{Type: schema.Record, Fields: []schema.Field{{Name: "size", Type: schema.Integer}}}},
			},
		},
		"scoped": {Name: "scoped", Forbidden: []string{"consumer"}},
	}
}

func TestCompletePlugins(t *testing.T) {
	d, err := Parse("kong.yml", []byte(`
_format_version: "3.0"
plugins:
- name: moesif
  config: {application_id: app, nodes: [{size: 2}]}
- name: scoped
`))
	require.NoError(t, err)
	assert.Equal(t, []string{"moesif", "scoped"}, d.PluginNames())
	require.NoError(t, d.CompletePlugins(Schemas{Running: testSchemas()}))
	assert.Equal(t, "app", d.Plugins[0].Config["application_id"])
	assert.EqualValues(t, 200, d.Plugins[0].Config["batch_size"])
	assert.Equal(t, []string{"http", "https"}, d.Plugins[0].Protocols)
	assert.Equal(t, []string{"grpc", "grpcs", "http", "https"}, d.Plugins[1].Protocols)
}

func TestCompletePluginsReportsEveryMistake(t *testing.T) {
	d, err := Parse("kong.yml", []byte(`
_format_version: "3.0"
consumers: [{username: bob}]
plugins:
- name: moesif
  protocols: [grpc]
  config:
    batch_size: 5000
    nodes:
    - size: 1
    - size: x
    bach_size: 1
- name: key-auth
- name: moesiff
- name: scoped
  consumer: bob
`))
	require.NoError(t, err)
	err = d.CompletePlugins(Schemas{Running: testSchemas()})
	var problems Problems
	require.ErrorAs(t, err, &problems)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 8, err)
	assert.Contains(t, err.Error(), "kong.yml:5: plugins[0].protocols: expected one of: http, https")
	assert.Contains(t, err.Error(), "kong.yml:8: plugins[0].config.application_id: required field missing")
	assert.Contains(t, err.Error(), "kong.yml:8: plugins[0].config.batch_size: value should be between 1 and 1000")
	assert.Contains(t, err.Error(), "kong.yml:11: plugins[0].config.nodes[1].size: expected an integer")
	assert.Contains(t, err.Error(), "kong.yml:12: plugins[0].config.bach_size: unknown field")
	assert.Contains(t, err.Error(), "kong.yml:13: plugins[1].name: plugin 'key-auth' not enabled; add it to the 'plugins' configuration property (it is written in Lua and part of Kong")
	assert.Contains(t, err.Error(), `kong.yml:14: plugins[2].name: plugin 'moesiff' not enabled; add it to the 'plugins' configuration property (running are: moesif, scoped (did you mean "moesif"?)`)
	assert.Contains(t, err.Error(), `kong.yml:15: plugins[3].consumer: value must be null (plugin "scoped" takes no consumer)`)
}

func TestCompletePluginsWithoutServers(t *testing.T) {
	d, err := Parse("kong.yml", []byte("_format_version: \"3.0\"\nplugins: [{name: x}]\n"))
	require.NoError(t, err)
	assert.EqualError(t, d.CompletePlugins(Schemas{}),
		"kong.yml:2: plugins[0].name: plugin 'x' not enabled; add it to the 'plugins' configuration property (no plugin server is running; name the folder with its binary by -plugins)")
}

func TestSubstitute(t *testing.T) {
	d := &Config{Plugins: []*Plugin{{Config: map[string]any{
		"a": "http://collector.kongdev",
		"b": "http://collector.kongdev/v1?x",
		"c": []any{"http://echo.kongdev:80/y", map[string]any{"d": "http://collector.kongdev#f"}},
		"e": "http://collector.kongdev.example.com", "f": "see http://collector.kongdev", "g": 1.0, "h": "http://collector.kongdev:8080",
		"i": "http://collector.kongdev:800",
	}}}}
	d.Substitute(map[string]string{"http://collector.kongdev": "http://127.0.0.1:1/", "http://echo.kongdev": "http://127.0.0.1:2"})
	assert.Equal(t, map[string]any{
		"a": "http://127.0.0.1:1",
		"b": "http://127.0.0.1:1/v1?x",
		"c": []any{"http://127.0.0.1:2/y", map[string]any{"d": "http://127.0.0.1:1#f"}},
		"e": "http://collector.kongdev.example.com", "f": "see http://collector.kongdev", "g": 1.0, "h": "http://collector.kongdev:8080",
		"i": "http://collector.kongdev:800",
	}, d.Plugins[0].Config)
}
