package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A document is a kong.yml with its plugins.
type document struct {
	root    *yaml.Node
	plugins []plugin
}

// A plugin is one configuration of a plugin.
type plugin struct {
	name   string
	config *yaml.Node  // nil without one
	others []attribute // enabled, protocols, tags and what else stands there
	scopes []scope     // empty for everything
}

type attribute struct {
	name  string
	value *yaml.Node
}

// A scope is what a plugin is for, by the name that the file has for it.
type scope struct{ kind, name string }

// parents are the lists of a kong.yml that may hold plugins, with what a plugin there is for.
var parents = []struct{ list, kind, name string }{ // read-only
	{"services", "service", "name"},
	{"routes", "route", "name"},
	{"consumers", "consumer", "username"},
	{"consumer_groups", "consumer_group", "name"},
}

// plural is the part of a path of the Admin API.
func (s scope) plural() string { return s.kind + "s" }

// words are the scope in prose.
func (s scope) words() string { return strings.ReplaceAll(s.kind, "_", " ") + " " + s.name }

func read(file string) (document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return document{}, err
	}
	return parse(text)
}

func parse(text []byte) (d document, err error) {
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil {
		return d, err
	}
	if len(n.Content) != 1 || n.Content[0].Kind != yaml.MappingNode {
		return d, errors.New("expected a map with _format_version and plugins")
	}
	var v any
	if err := n.Decode(&v); err != nil { // refuses what contains itself
		return d, err
	}
	d.root = plain(n.Content[0])
	if d.plugins, err = find(d.root, nil); err == nil && len(d.plugins) == 0 {
		err = errors.New("there is no plugin in it")
	}
	return d, err
}

// plain is a node without aliases and merges (<<), which mean nothing where only a part of the file is written.
func plain(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return plain(n.Alias)
	}
	c := *n
	c.Anchor, c.Content = "", nil
	if n.Kind != yaml.MappingNode {
		for _, child := range n.Content {
			c.Content = append(c.Content, plain(child))
		}
		return &c
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		v := plain(n.Content[i+1])
		switch {
		case n.Content[i].Tag != "!!merge":
			c.Content = append(c.Content, n.Content[i], v)
		case v.Kind == yaml.SequenceNode:
			merged = append(merged, v.Content...)
		default:
			merged = append(merged, v)
		}
	}
	for _, m := range merged {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if member(&c, m.Content[i].Value) == nil {
				c.Content = append(c.Content, m.Content[i], m.Content[i+1])
			}
		}
	}
	return &c
}

// find returns the plugins of an entity and of all entities in it.
func find(entity *yaml.Node, outer []scope) (found []plugin, err error) {
	for _, parent := range parents {
		for _, child := range items(entity, parent.list) {
			name := value(child, parent.name)
			if name == "" {
				if len(items(child, "plugins")) > 0 {
					return nil, fmt.Errorf("line %d: something of %s has plugins and no %s", child.Line, parent.list, parent.name)
				}
			}
			scopes := []scope{{parent.kind, name}} // a route's plugins are for the route, not for its service
			inner, err := find(child, scopes)
			if err != nil {
				return nil, err
			}
			found = append(found, inner...)
		}
	}
	for _, n := range items(entity, "plugins") {
		p := plugin{name: value(n, "name"), scopes: outer}
		if p.name == "" {
			return nil, fmt.Errorf("line %d: a plugin has no name", n.Line)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			switch key, v := n.Content[i].Value, n.Content[i+1]; key {
			case "name":
			case "config":
				p.config = v
			case "service", "route", "consumer", "consumer_group":
				name := v.Value
				if v.Kind == yaml.MappingNode {
					name = value(v, "name") + value(v, "username")
				}
				p.scopes = append(p.scopes[:len(p.scopes):len(p.scopes)], scope{key, name})
			default:
				p.others = append(p.others, attribute{key, v})
			}
		}
		found = append(found, p)
	}
	return found, nil
}

// scalar is what a scalar node means to Kong, which knows no dates.
func scalar(n *yaml.Node) (v any, err error) {
	if n.Tag == "!!timestamp" {
		return n.Value, nil
	}
	if err = n.Decode(&v); err != nil {
		return nil, fmt.Errorf("line %d: %w", n.Line, err)
	}
	if f, ok := v.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return nil, fmt.Errorf("line %d: %s: neither JSON nor HCL has such a number", n.Line, n.Value)
	}
	return v, nil
}

// member returns the value of a key, or nil.
func member(m *yaml.Node, key string) *yaml.Node {
	for i := 0; m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

func items(m *yaml.Node, key string) []*yaml.Node {
	if n := member(m, key); n != nil && n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return nil
}

func value(m *yaml.Node, key string) string {
	if n := member(m, key); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// ours are the plugins of this project; datakit has another name where Kong bundles one.
func ours(name string) bool { return name == "moesif" || name == "keyauth" || name == "datakit" }

// besideKongsOwn is a plugin's name on Konnect and on Enterprise from 3.11 on.
func besideKongsOwn(name string) string {
	if name == "datakit" {
		return "datakit-go"
	}
	return name
}

// uses says whether one of the plugins has the name.
func (d document) uses(name string) bool {
	for _, p := range d.plugins {
		if p.name == name {
			return true
		}
	}
	return false
}

// scoped says whether one of the plugins is for something of the kind.
func (d document) scoped(kind string) bool {
	for _, p := range d.plugins {
		for _, s := range p.scopes {
			if s.kind == kind {
				return true
			}
		}
	}
	return false
}

// title says in one line what a plugin is for.
func (p plugin) title() string {
	if len(p.scopes) == 0 {
		return p.name + " for everything"
	}
	var words []string
	for _, s := range p.scopes {
		words = append(words, "the "+s.words())
	}
	return p.name + " for " + strings.Join(words, " and ")
}
