package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var validMark = regexp.MustCompile("(?s)<!-- validate: (\\S+) -->\n```yaml\n(.*?)```\n") // read-only

// Configurations on pages that say so are right, by the plugin's own check.
func TestConfigurationsOnPages(t *testing.T) {
	t.Parallel()
	checked := 0
	for name := range readPages(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		for _, m := range validMark.FindAllStringSubmatch(string(text), -1) {
			checked++
			file := filepath.Join(t.TempDir(), "config.yml")
			require.NoError(t, os.WriteFile(file, []byte(m[2]), 0o600))
			out, err := exec.CommandContext(t.Context(), filepath.Join(bin, m[1]), "-validate", file).CombinedOutput()
			assert.NoError(t, err, "%s: %s", name, out)
		}
	}
	assert.Greater(t, checked, 4)
}

var shellBlock = regexp.MustCompile("(?s)( *)```sh\n(.*?)```\n") // read-only

// Commands on pages are at least commands: a shell can read them.
func TestCommandsOnPages(t *testing.T) {
	t.Parallel()
	checked := 0
	for name := range readPages(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		for _, m := range shellBlock.FindAllStringSubmatch(string(text), -1) {
			checked++
			cmd := exec.CommandContext(t.Context(), "bash", "-n")
			cmd.Stdin = strings.NewReader(m[2])
			out, err := cmd.CombinedOutput()
			assert.NoError(t, err, "%s: %s%s", name, m[2], out)
		}
	}
	assert.Greater(t, checked, 20)
}
