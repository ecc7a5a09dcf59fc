package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func image(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range []string{"datakit", "keyauth", "moesif"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, n), []byte("binary "+n), 0o644))
	}
	return dir
}

func TestInstall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want map[string]string // file -> plugin
		err  string
	}{
		{"DEST", map[string]string{"datakit": "datakit", "keyauth": "keyauth", "moesif": "moesif"}, ""},
		{"-only moesif,keyauth DEST", map[string]string{"keyauth": "keyauth", "moesif": "moesif"}, ""},
		{"-only datakit -name datakit=datakit-go DEST", map[string]string{"datakit-go": "datakit"}, ""},
		{"-only datakit -name datakit=datakit DEST", map[string]string{"datakit": "datakit"}, ""},
		{"", nil, "0 folders given; expected the one to copy into"},
		{"DEST DEST", nil, "2 folders given"},
		{"DEST/none", nil, "does not exist; mount a volume there"},
		{"-only mosif DEST", nil, `-only "mosif": no such plugin; the image has datakit, keyauth, moesif`},
		{"-name datakit DEST", nil, `-name "datakit": expected a new name`},
		{"-name datakit=../x DEST", nil, "expected a new name of a-z, 0-9 and -"},
		{"-name datakit=moesif DEST", nil, `"moesif" is another plugin's name`},
		{"-only moesif -name datakit=x DEST", nil, `"datakit" is not copied`},
		{"-unknown DEST", nil, "flag provided but not defined"},
	} {
		dest := t.TempDir()
		args := strings.Fields(strings.ReplaceAll(c.args, "DEST", dest))
		var said strings.Builder
		err := run(args, image(t), &said)
		if c.err != "" {
			require.ErrorContains(t, err, c.err, c.args)
		} else {
			require.NoError(t, err, c.args)
		}
		entries, err := os.ReadDir(dest)
		require.NoError(t, err)
		assert.Len(t, entries, len(c.want), c.args)
		for file, plugin := range c.want {
			text, err := os.ReadFile(filepath.Join(dest, file))
			require.NoError(t, err, c.args)
			assert.Equal(t, "binary "+plugin, string(text))
			info, err := os.Stat(filepath.Join(dest, file))
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o755), info.Mode())
			assert.Contains(t, said.String(), filepath.Join(dest, file)+" (mode 0755)\n")
		}
	}
}

// A file that is replaced stays whole for those who have it open.
func TestInstallReplaces(t *testing.T) {
	t.Parallel()
	dest := t.TempDir()
	old := filepath.Join(dest, "moesif")
	require.NoError(t, os.WriteFile(old, []byte("the one before"), 0o755))
	running, err := os.Open(old)
	require.NoError(t, err)
	defer running.Close()
	require.NoError(t, run([]string{dest}, image(t), &strings.Builder{}))
	var text [14]byte
	_, err = running.Read(text[:])
	require.NoError(t, err)
	assert.Equal(t, "the one before", string(text[:]))
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	require.NoError(t, run([]string{"-help"}, image(t), &said))
	assert.Contains(t, said.String(), "usage: install [-only a,b] [-name old=new] FOLDER")
}
