package kongdev

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/declarative"
)

// A workflow is drawn by the plugin's own binary, which gets the configuration where nobody else sees it.
func TestGraph(t *testing.T) {
	t.Parallel()
	p := &declarative.Plugin{Name: "flow", Config: map[string]any{"nodes": []any{}, "resources": map[string]any{"vault": map[string]any{"k": "vault-secret"}}}}
	for _, c := range []struct{ script, want, failure string }{
		{"cat", `{"nodes":[],"resources":{"vault":{"k":"vault-secret"}}}`, ""},
		{"echo \"$# arguments\"", "0 arguments\n", ""},
		{"echo '-:1: error: nodes: is empty' >&2; exit 1", "", "nodes: is empty"},
		{"exit 3", "", "exit status 3"},
	} {
		script := writeScript(t, t.TempDir(), "draw", c.script+"\n")
		g := &Gateway{opts: Options{Plugins: []PluginServer{{Name: "flow", GraphCmd: shellQuote(script)}}}}
		got, err := g.Graph(t.Context(), p)
		if c.failure != "" {
			require.EqualError(t, err, c.failure)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, c.want, string(got))
	}
	_, err := (&Gateway{}).Graph(t.Context(), p)
	require.EqualError(t, err, "the plugin flow draws no workflows")
}
