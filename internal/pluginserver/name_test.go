package pluginserver

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNameNotes(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "[lua]")
	plugins := filepath.Join(folder, "kong", "plugins")
	for _, file := range []string{"datakit/handler.ljbc", "moesif/handler.lua", "keyauth/schema.lua"} {
		require.NoError(t, os.MkdirAll(filepath.Join(plugins, filepath.Dir(file)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(plugins, file), nil, 0o600))
	}
	shadowed := func(file, other string) string {
		return "Kong has a plugin in Lua of this name, " + filepath.Join(plugins, file) + ", and loads that one in the place of this program; copy this file to another name, like " +
			other + ", and configure that, or remove the plugin in Lua"
	}
	for _, tc := range []struct {
		name, own string
		want      []string
	}{
		{"moesif", "moesif", []string{shadowed("moesif/handler.lua", "moesif-go")}},
		{"datakit", "datakit", []string{shadowed("datakit/handler.ljbc", "datakit-go")}},
		{"datakit-go", "datakit", nil},
		{"keyauth", "keyauth", nil}, // a schema without a handler is there on purpose
		{"moesif-linux-amd64", "moesif", []string{"the plugin is called moesif-linux-amd64, because its file is; Kong wants that name in plugins and in pluginserver_names; rename the file to moesif"}},
		{"for-amd64", "for-amd64", nil},
	} {
		assert.Equal(t, tc.want, nameNotes(tc.name, tc.own, []string{filepath.Join(folder, "none"), folder}), tc.name)
	}
}

// The dump is on standard output alone: Kong reads nothing else there.
func TestDumpSpeaksOfTheNameBesideTheDump(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, runCommand(flagsPlugin(), []string{"/x/demo-linux-arm64", "-dump"}, &stdout, &stderr))
	assert.NotContains(t, stdout.String(), "because")
	assert.Contains(t, stderr.String(), "demo-linux-arm64: the plugin is called demo-linux-arm64, because its file is; ")
}
