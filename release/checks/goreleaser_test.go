package checks_test

import (
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goreleaser's own reader takes its file: it refuses keys that it does not know.
func TestGoreleaser(t *testing.T) {
	t.Parallel()
	project, err := config.Load("../../.goreleaser.yaml")
	require.NoError(t, err)
	assert.Len(t, project.Builds, 3)
	assert.Len(t, project.Archives, 1)
	assert.NotEmpty(t, project.SBOMs)
	assert.NotEmpty(t, project.Signs)

	_, err = config.LoadReader(strings.NewReader("version: 2\nbuilds: [{id: a, ldflag: []}]\n"))
	assert.ErrorContains(t, err, "ldflag", "mistakes are found")
}
