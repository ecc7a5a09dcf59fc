package datakit

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wrong is a value that no option of a type takes.
func wrong(t typ) any {
	if t == stringType {
		return 1
	}
	return "x"
}

// TestDeclaredOptions holds every declaration to what is done with it: it is described, it is checked, and it has one shape
// in the schema, where options of all types stand together.
func TestDeclaredOptions(t *testing.T) {
	t.Parallel()
	shapes := map[string]any{}
	for _, name := range sortedKeys(kinds) {
		k := kinds[name]
		assert.NotEmpty(t, k.doc, name)
		assert.NotEmpty(t, k.since, name)
		for _, p := range slices.Concat(k.in, k.out) {
			assert.NotEmpty(t, p.doc, "%s: port %s", name, p.name)
		}
		for _, d := range slices.Concat(commonOptions[2:], k.options) {
			at := name + "." + d.name
			assert.NotEmpty(t, d.doc, at)
			if shape, twice := shapes[d.name]; twice {
				assert.Equal(t, shape, d.schema(), "%s is declared otherwise by another type", at)
			}
			shapes[d.name] = d.schema()

			config, err := json.Marshal(map[string]any{"nodes": []any{map[string]any{"name": "A", "type": name, d.name: wrong(d.typ)}}})
			require.NoError(t, err)
			_, err = newTestEngine(t).Compile(config)
			assert.True(t, err != nil && slices.ContainsFunc(Problems(err), func(p *Problem) bool { return p.Path == "nodes[0]."+d.name }), "%s is not checked: %v", at, err)
		}
	}
}
