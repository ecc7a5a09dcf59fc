package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var validMark = regexp.MustCompile("(?s)<!-- validate: (\\S+) -->\n```yaml\n(.*?)```\n") // read-only

// Configurations on pages that say so are right, by the plugin's own check.
func TestConfigurationsOnPages(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	checked := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, m := range validMark.FindAllStringSubmatch(string(text), -1) {
			checked++
			file := filepath.Join(t.TempDir(), "config.yml")
			require.NoError(t, os.WriteFile(file, []byte(m[2]), 0o600))
			out, err := exec.CommandContext(t.Context(), filepath.Join(bin, m[1]), "-validate", file).CombinedOutput()
			assert.NoError(t, err, "%s: %s", name, out)
		}
	}
	assert.NotZero(t, checked)
}
