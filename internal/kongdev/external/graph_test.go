package external

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A workflow is drawn by the plugin's own binary, which gets the configuration where nobody else sees it.
func TestGraph(t *testing.T) {
	t.Parallel()
	config := map[string]any{"nodes": []any{}, "resources": map[string]any{"vault": map[string]any{"k": "vault-secret"}}}
	for _, c := range []struct{ script, want, failure string }{
		{"cat", `{"nodes":[],"resources":{"vault":{"k":"vault-secret"}}}`, ""},
		{"echo \"$# arguments\"", "0 arguments\n", ""},
		{"echo '-:1: error: nodes: is empty' >&2; exit 1", "", "nodes: is empty"},
		{"exit 3", "", "exit status 3"},
	} {
		script := writeScript(t, t.TempDir(), "draw", c.script+"\n")
		got, err := Server{Name: "flow", GraphCmd: shellQuote(script)}.Graph(t.Context(), config)
		if c.failure != "" {
			require.EqualError(t, err, c.failure)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, c.want, string(got))
	}
	_, err := Server{Name: "flow"}.Graph(t.Context(), config)
	require.EqualError(t, err, "the plugin flow draws no workflows")
}
