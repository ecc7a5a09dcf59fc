package declarative

import (
	"fmt"
	"math"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is a field as plain Go values: nil, bool, float64, string, []any and
// map[string]any, which is what Kong's own reader makes of it.
func (o *fileObject) value(name string) any {
	n := o.fields[name]
	if n == nil {
		return nil
	}
	return o.doc.plain(n, o.field(name), 0)
}

func (d *document) plain(n *yaml.Node, at string, depth int) any {
	if n == nil || !d.count(n.Line, at) {
		return nil
	}
	if depth > maxNesting {
		d.problem(n.Line, at, "nested deeper than %d levels", maxNesting)
		return nil
	}
	if n = followAlias(n); n == nil {
		return nil
	}
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for i, c := range n.Content {
			out = append(out, d.plain(c, fmt.Sprintf("%s[%d]", at, i), depth+1))
		}
		return out
	case yaml.MappingNode:
		o := d.object(n, at, depth)
		if o == nil {
			return nil
		}
		out := make(map[string]any, len(o.keys))
		for _, k := range o.keys {
			out[k] = d.plain(o.fields[k], o.field(Clip(k)), depth+1)
		}
		return out
	}
	return scalarValue(n)
}

// scalarValue is a scalar by YAML 1.1, which Kong reads: unquoted yes, no, on
// and off are booleans; a date stays text.
func scalarValue(n *yaml.Node) any {
	if n.Kind != yaml.ScalarNode {
		return nil
	}
	switch n.ShortTag() {
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		var f float64
		if err := n.Decode(&f); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
		return n.Value
	case "!!str":
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0 {
			switch n.Value {
			case "yes", "Yes", "YES", "on", "On", "ON":
				return true
			case "no", "No", "NO", "off", "Off", "OFF":
				return false
			}
		}
	}
	return n.Value
}
