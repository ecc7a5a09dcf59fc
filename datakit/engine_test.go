package datakit

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Kong starts an instance per worker and configuration, and all of them anew at every change: equal ones share a plan.
func TestInstancesShareAPlan(t *testing.T) {
	t.Parallel()
	e := newTestEngine(t)
	instance := func(config string) *Config {
		c := New(e)
		require.NoError(t, c.UnmarshalJSON([]byte(config)))
		c.Prepare()
		return c
	}
	plan := func(c *Config) *Plan {
		p, err := c.resolve()
		require.NoError(t, err)
		return p
	}
	const nodes = `"nodes": [{"name": "A", "type": "jq", "jq": "."}]`
	one := instance(`{"__plugin_id": "1", "__seq__": 1, ` + nodes + `}`)
	same := instance(`{"__plugin_id": "2", "__seq__": 2, "debug": false, ` + nodes + `}`)
	other := instance(`{"__plugin_id": "1", "__seq__": 3, "debug": true, ` + nodes + `}`)
	assert.Same(t, plan(one), plan(same))
	assert.NotSame(t, plan(one), plan(other))
	one.Close()
	one.Close() // the server may
	assert.Same(t, plan(same), plan(instance(`{`+nodes+`}`)), "it lasts as long as somebody uses it")
	same.Close()
	assert.Same(t, plan(same), plan(instance(`{`+nodes+`}`)), "and for a while afterwards")
}
