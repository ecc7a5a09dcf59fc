package datakit

import "context"

// staticKind gives fixed values.
var staticKind = kind{
	since:   "3.11",
	doc:     "Gives fixed values.",
	options: []option{{name: "values", typ: mapType, required: true, since: "3.11", doc: "The values by name."}},
	decides: "The members of `values`, each with the type of its value.",
	declare: func(c *NodeConfig) (out []port) {
		m, ok := c.object("values")
		if !ok && c.members["values"] == nil {
			c.fail("values", "required: an object with the values")
		}
		for _, key := range sortedKeys(m) {
			out = append(out, port{name: key, typ: typeOf(m[key])})
		}
		return out
	},
	build: func(c *NodeConfig, _ *builder) (node, error) {
		m, _ := c.object("values")
		return staticNode{valuesOf(m)}, nil
	},
}

type staticNode struct{ all values }

func (n staticNode) run(context.Context, values) (values, error) { return n.all, nil }

// staticValue is what a static node gives at an output, self for all of it.
func staticValue(c *NodeConfig, out string) any {
	m, _ := c.object("values")
	if out == self {
		return m
	}
	return m[out]
}
