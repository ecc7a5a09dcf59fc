package checks_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// editorSchema compiles a plugin's JSON Schema as an editor does.
func editorSchema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("schema.json", doc))
	s, err := c.Compile("schema.json")
	require.NoError(t, err, file)
	return s
}

func fromYAML(t *testing.T, text []byte) any {
	t.Helper()
	text, err := yaml.YAMLToJSON(text)
	require.NoError(t, err)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return v
}

var schemaComment = regexp.MustCompile("(?s)```yaml\n(# yaml-language-server: \\$schema=(\\S+)\n.*?)```")

// The file that the page shows is right for an editor, by the schema that its first line names, and a mistake in it is not.
func TestEditors(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configure.md")
	require.NoError(t, err)
	m := schemaComment.FindSubmatch(page)
	require.NotNil(t, m)
	s := editorSchema(t, filepath.Join("../..", string(m[2])))
	assert.NoError(t, s.Validate(fromYAML(t, m[1])))
	for _, mistake := range []string{"batch_sizes: 5\n", "batch_size: many\n", "batch_size: 0\n", "mask_detectors: [phone]\n"} {
		assert.Error(t, s.Validate(fromYAML(t, append(bytes.Clone(m[1]), mistake...))), mistake)
	}
}

// Every configuration of the examples is right for an editor, too.
func TestEditorsTakeTheExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../examples/*/*/kong.yml")
	require.NoError(t, err)
	schemas := map[string]*jsonschema.Schema{}
	for _, name := range []string{"moesif", "keyauth", "datakit"} {
		schemas[name] = editorSchema(t, filepath.Join("../../schema", name, "schema.json"))
	}
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var visit func(v any)
		visit = func(v any) {
			switch v := v.(type) {
			case []any:
				for _, e := range v {
					visit(e)
				}
			case map[string]any:
				for key, e := range v {
					if key != "plugins" {
						visit(e)
						continue
					}
					for _, p := range e.([]any) {
						p := p.(map[string]any)
						if s := schemas[p["name"].(string)]; s != nil && p["config"] != nil {
							assert.NoError(t, s.Validate(p["config"]), file)
							checked++
						}
					}
				}
			}
		}
		visit(fromYAML(t, text))
	}
	assert.Greater(t, checked, 30)
}
