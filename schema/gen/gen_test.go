package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

var example = schema.Plugin{Name: "example", Fields: []schema.Field{{Name: "size", Type: schema.Number, Default: 50, Description: "How many there are."}}}

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(b)
}

func TestWritePlugin(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	begin, end := markers("example")
	page := "# Example\n\n" + begin + "\nold\n" + end + "\nmore"
	require.NoError(t, os.Mkdir(filepath.Join(root, "docs"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "docs", "example.md"), []byte(page), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(root, "README.md"), []byte("# Nothing generated\n"), 0o644))

	var out bytes.Buffer
	err := writePlugin(tree{root, true, &out}, example)
	for _, name := range []string{"schema/example/schema.lua", "schema/example/schema.json", "docs/example.md"} {
		assert.ErrorContains(t, err, name+" is not up to date")
	}
	assert.NoDirExists(t, filepath.Join(root, "schema"), "-check changes nothing")

	require.NoError(t, writePlugin(tree{root, false, &out}, example))
	lua, err := example.Lua("example")
	require.NoError(t, err)
	assert.Equal(t, string(lua), read(t, root, "schema", "example", "schema.lua"))
	assert.Equal(t, string(example.JSONSchema("example")), read(t, root, "schema", "example", "schema.json"))
	assert.Equal(t, "# Example\n\n"+begin+"\n\n"+example.Markdown()+"\n"+end+"\nmore", read(t, root, "docs", "example.md"))
	assert.Equal(t, "# Nothing generated\n", read(t, root, "README.md"))
	assert.Equal(t, "wrote schema/example/schema.lua\nwrote schema/example/schema.json\nwrote docs/example.md\n", out.String())

	out.Reset()
	require.NoError(t, writePlugin(tree{root, false, &out}, example))
	require.NoError(t, writePlugin(tree{root, true, &out}, example))
	assert.Empty(t, out.String(), "nothing changes the second time")
}

func TestWritePluginSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, writePlugin(tree{root, false, &bytes.Buffer{}}, example), "no page, no table")
	require.NoError(t, os.Mkdir(filepath.Join(root, "docs"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "docs", "example.md"), []byte("# Example\n"), 0o644))
	assert.EqualError(t, writePlugin(tree{root, false, &bytes.Buffer{}}, example),
		"docs/example.md: the table has no place: write the lines <!-- generated: example parameters --> and <!-- end generated: example parameters -->")
	bad := example
	bad.Fields = []schema.Field{{Name: "Size", Type: schema.Number}}
	assert.ErrorContains(t, writePlugin(tree{root, false, &bytes.Buffer{}}, bad), "no name for a field")
}

func TestReplaceSection(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"b\ne\n":         "b\n\nT\n\ne\n",
		"x\n b \r\no\ne": "x\nb\n\nT\n\ne",
		"b\n":            "error: b has no e after it",
		"e\n":            "error: e stands there without b before it",
		"b\nb\ne\n":      "error: b stands there twice",
		"b\ne\ne\n":      "error: e stands there without b before it",
		"nothing":        "nothing",
	} {
		got, _, err := replaceSection([]byte(page), "b", "e", []byte("T\n"))
		if err != nil {
			got = []byte("error: " + err.Error())
		}
		assert.Equal(t, want, string(got), "%q", page)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-help"}, 0, "usage: gen [-check] [PLUGIN...]"},
		{[]string{"-bogus"}, 2, "-bogus"},
		{[]string{"bogus"}, 1, "no plugin bogus"},
	} {
		var out bytes.Buffer
		assert.Equal(t, c.code, run(c.args, &out))
		assert.Contains(t, out.String(), c.want)
	}
}

// Each declaration of the project is one that Kong takes, and so is its mirror for control planes.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	for _, p := range plugins() {
		require.NoError(t, p.Check(), p.Name)
		_, err := p.Lua(p.Name)
		require.NoError(t, err)
	}
}

// The generated files of the repository are up to date.
func TestGeneratedFiles(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	assert.Equal(t, 0, run([]string{"-check"}, &out), out.String())
}
