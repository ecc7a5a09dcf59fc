package checks_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compose loads a file as docker compose does.
func compose(t *testing.T, file string, env ...string) error {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{file}, cli.WithEnv(env))
	require.NoError(t, err)
	_, err = o.LoadProject(t.Context())
	return err
}

func TestCompositions(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../docker/compose*.yml")
	require.NoError(t, err)
	require.Len(t, names, 3)
	for _, name := range names {
		env := []string{"CONTROL_PLANE=cp.example.com", "TELEMETRY=tp.example.com", "CERTIFICATES=/certificates"}
		assert.NoError(t, compose(t, name, env...), name)
		assert.NoError(t, compose(t, name, append(env, "DATAKIT=datakit-go", "KONG_YML=kong-datakit-go.yml")...), name)
	}
	assert.ErrorContains(t, compose(t, "../../docker/compose.konnect.yml"), "host name of the control plane", "what is missing is said")

	wrong := filepath.Join(t.TempDir(), "compose.yml")
	require.NoError(t, os.WriteFile(wrong, []byte("name: a\nservices: {b: {image: c, readonly: true}}\n"), 0o600))
	assert.ErrorContains(t, compose(t, wrong), "readonly", "mistakes are found")
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docker/Dockerfile")
	require.NoError(t, err)
	parsed, err := parser.Parse(bytes.NewReader(text))
	require.NoError(t, err)
	assert.Empty(t, parsed.Warnings)
	var warnings []string
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		warnings = append(warnings, rule+": "+message)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	require.NoError(t, err)
	assert.Len(t, stages, 3)
	assert.Empty(t, warnings)

	parsed, err = parser.Parse(strings.NewReader("FROM scratch as one\nMAINTAINER nobody\n"))
	require.NoError(t, err)
	_, _, err = instructions.Parse(parsed.AST, lint)
	require.NoError(t, err)
	assert.NotEmpty(t, warnings, "mistakes are found")
}
