package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The guide of datakit does what it shows, command by command, and its workflow is the example's.
func TestGuide(t *testing.T) {
	t.Parallel()
	const example = "examples/datakit/00-first-workflow/kong.yml"
	text, err := os.ReadFile(filepath.Join(root, "docs", "datakit-guide.md"))
	require.NoError(t, err)
	config, err := os.ReadFile(filepath.Join(root, example))
	require.NoError(t, err)
	shown := sourceMark.FindAllStringSubmatch(string(text), -1)
	require.Len(t, shown, 1)
	assert.Equal(t, example, shown[0][1])
	assert.Contains(t, string(config), shown[0][2])

	s := newShell(t)
	const moved = "/tmp/guide.yml" // with the test's port, where the gateway is that the workflow calls
	require.NoError(t, os.WriteFile(s.commands.Replace(moved), []byte(s.commands.Replace(string(config))), 0o600))
	parts := strings.Split(string(text), exampleMark)
	require.Greater(t, len(parts), 5)
	for _, part := range parts[1:] {
		block, _, ok := strings.Cut(part, "```\n")
		require.True(t, ok)
		for _, st := range readSteps(block) {
			command := st.command
			if !strings.HasPrefix(command, "bin/datakit") {
				command = strings.ReplaceAll(command, example, moved)
			}
			got := s.run(t, command)
			assert.True(t, fits(st.output, got), "%s\nshown:\n%s\nprinted:\n%s", st.command, st.output, got)
		}
	}
}
