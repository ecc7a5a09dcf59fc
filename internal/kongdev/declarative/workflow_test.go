package declarative

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHasWorkflow(t *testing.T) {
	t.Parallel()
	node := map[string]any{"name": "A", "type": "jq"}
	for _, c := range []struct {
		nodes any
		want  bool
	}{
		{nil, false}, {[]any{}, false}, {map[string]any{}, false}, {[]any{"10.0.0.1:80"}, false}, {[]any{node, map[string]any{"name": "B"}}, false},
		{[]any{map[string]any{"name": 1, "type": "x"}}, false}, {[]any{node}, true}, {[]any{node, node}, true},
	} {
		assert.Equal(t, c.want, (&Plugin{Config: map[string]any{"nodes": c.nodes}}).HasWorkflow(), "%v", c.nodes)
	}
}
