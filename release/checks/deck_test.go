package checks_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kong/go-database-reconciler/pkg/file"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// decK's own reader takes every declarative file: this is what `deck file validate` does. It does not look into config.
func TestDeclarativeFiles(t *testing.T) {
	t.Parallel()
	var names []string
	for _, pattern := range []string{"docker/kong*.yml", "docker/echo.yml", "examples/*/kong.yml", "examples/*/*/kong.yml", "examples/configure/*/deck.yml"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		names = append(names, found...)
	}
	for _, name := range names {
		_, err := file.GetContentFromFiles([]string{name}, true)
		assert.NoError(t, err, name)
	}

	wrong := filepath.Join(t.TempDir(), "kong.yml")
	require.NoError(t, os.WriteFile(wrong, []byte("_format_version: \"3.0\"\nservices: [{name: a, url: \"http://b\", rutes: []}]\n"), 0o600))
	_, err := file.GetContentFromFiles([]string{wrong}, true)
	assert.ErrorContains(t, err, "rutes", "mistakes are found")
}
