package cli

import (
	"encoding/json"
	"maps"
	"slices"

	"kong-go-plugins/datakit"
)

// A shape is what is known of a value before there is one. Nil members of keys are impossible.
type shape struct {
	kind    string // string, number, boolean, null, object, array, or "" for any
	keys    map[string]*shape
	closed  bool   // an object without other keys than keys
	headers bool   // received headers
	of      string // what it is, for messages
	uses    *uses  // of the one input that this is
}

// uses are which inputs of a jq node its program has to do with.
type uses struct {
	all  bool
	keys map[string]bool
}

var anything = &shape{} // read-only

func kindOf(name string) *shape { return &shape{kind: name} }

// ofType is the shape of a port's type.
func ofType(typ string) *shape {
	switch typ {
	case "string", "number", "boolean":
		return kindOf(typ)
	case "map", "object":
		return &shape{kind: "object"}
	}
	return anything
}

// ofValue is the shape of a literal.
func ofValue(v any) *shape {
	switch v := v.(type) {
	case nil:
		return kindOf("null")
	case string:
		return kindOf("string")
	case bool:
		return kindOf("boolean")
	case []any:
		return kindOf("array")
	case map[string]any:
		s := &shape{kind: "object", closed: true, keys: map[string]*shape{}}
		for key, e := range v {
			s.keys[key] = ofValue(e)
		}
		return s
	case json.Number:
		return kindOf("number")
	}
	return anything
}

// named is a copy with a name for messages.
func (s *shape) named(name string) *shape {
	c := *s
	c.of = name
	return &c
}

// join is what a value is that may be either.
func join(a, b *shape) *shape {
	switch {
	case a == b:
		return a
	case a.kind == "" || b.kind == "" || a.kind != b.kind:
		return anything
	case a.kind != "object":
		return kindOf(a.kind)
	}
	s := &shape{kind: "object", closed: a.closed && b.closed, keys: map[string]*shape{}}
	for key, e := range a.keys {
		s.keys[key] = anything
		if other, both := b.keys[key]; both {
			s.keys[key] = join(e, other)
		}
	}
	for key := range b.keys {
		if s.keys[key] == nil {
			s.keys[key] = anything
		}
	}
	return s
}

// plus is what a + b gives, and a * b of objects when deep.
func plus(a, b *shape, deep bool) *shape {
	switch {
	case a.kind == "null" && !deep:
		return b
	case b.kind == "null" && !deep:
		return a
	case a.kind != b.kind || a.kind == "":
		return anything
	case a.kind != "object":
		return kindOf(a.kind)
	}
	s := &shape{kind: "object", closed: a.closed && b.closed, keys: maps.Clone(a.keys)}
	if s.keys == nil {
		s.keys = map[string]*shape{}
	}
	for key, e := range b.keys {
		if before := s.keys[key]; deep && before != nil {
			e = anything
		}
		s.keys[key] = e
	}
	return s
}

// shapes are those of the outputs of a plan's nodes.
type shapes struct {
	nodes   map[string]datakit.Node
	source  *source
	results map[string]*shape // of jq nodes
}

// whole is the shape of a node's whole value.
func (s *shapes) whole(name string) *shape {
	n := s.nodes[name]
	if r := s.results[name]; r != nil {
		return r.named(name)
	}
	if n.Type == "static" {
		values, _ := s.source.node(n.Index - 1)["values"].(map[string]any)
		return ofValue(values).named(name)
	}
	if len(n.Outputs) == 1 && n.Outputs[0].Name == "" {
		return ofType(n.Outputs[0].Type).named(name)
	}
	all := &shape{kind: "object", closed: true, keys: map[string]*shape{}, of: name}
	for _, p := range n.Outputs {
		e := ofType(p.Type).named(name + "." + p.Name)
		e.headers = p.Name == "headers"
		all.keys[p.Name] = e
	}
	return all
}

// of is the shape of what a link carries.
func (s *shapes) of(l datakit.Link) *shape {
	v := s.whole(l.From)
	path := l.Path
	if l.Out != "" {
		path = append([]string{l.Out}, path...)
	}
	for _, name := range path {
		next := v.keys[name]
		if next == nil || v.headers {
			return anything
		}
		if next.of == "" {
			next = next.named(v.of + "." + name)
		}
		v = next
	}
	return v
}

// keyNames are the keys of an object, sorted.
func (s *shape) keyNames() []string { return slices.Sorted(maps.Keys(s.keys)) }
