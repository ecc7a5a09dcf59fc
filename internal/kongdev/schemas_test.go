package kongdev

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
)

func TestSchemas(t *testing.T) {
	dir := t.TempDir()
	dump := func(name, fields string) external.Server {
		path := writeProgram(t, dir, name, `echo '{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"`+name+`","Phases":["log"],"Version":"1.0.0","Priority":1,"Schema":{"name":"`+
			name+`","fields":[{"config":{"type":"record","fields":[`+fields+`]}}]}}]}'`)
		return external.Server{Name: name, QueryCmd: path + " -dump"}
	}
	good := dump("good", `{"size":{"type":"integer","default":7}}`)
	infos, schemas, err := Schemas(t.Context(), []external.Server{good})
	require.NoError(t, err)
	assert.Equal(t, "1.0.0", infos["good"].Version)
	d, err := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\nplugins: [{name: good}]\n"))
	require.NoError(t, err)
	require.NoError(t, d.CompletePlugins(schemas))
	assert.EqualValues(t, 7, d.Plugins[0].Config["size"])

	bad := dump("bad", `{"size":{"type":"nonsense"}}`)
	_, _, err = Schemas(t.Context(), []external.Server{good, bad})
	assert.ErrorContains(t, err, `plugin "bad": Kong would not start with its schema`)

	silent := writeProgram(t, dir, "silent", "echo trouble >&2; exit 3\n")
	_, _, err = Schemas(t.Context(), []external.Server{{Name: "silent", QueryCmd: silent + " -dump"}})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "trouble")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = Schemas(ended, []external.Server{good})
	assert.Error(t, err)
}

// writeProgram makes an executable at dir/name.
func writeProgram(t *testing.T, dir, name, script string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755)) // it is run
	return path
}
