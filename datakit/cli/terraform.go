package cli

import (
	"encoding/json"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// terraform reads the resources of Terraform's JSON syntax: the plugin's own resource of Kong's providers, and those for
// any plugin whose configuration is an object or its JSON text.
func (r *sourceReader) terraform(resources *yaml.Node) {
	for _, kind := range entries(resources) {
		own := slices.Contains([]string{"konnect_gateway_plugin_" + r.plugin, "kong-gateway_plugin_" + r.plugin}, kind.key.Value)
		for _, e := range entries(kind.value) {
			for _, block := range blocks(e.value) {
				m := members(block)
				name := m["name"]
				if name == nil {
					name = m["plugin"]
				}
				if m["config"] == nil || !own && (name == nil || name.Value != r.plugin) {
					continue
				}
				where := kind.key.Value + "." + e.key.Value + ".config"
				for _, config := range blocks(m["config"]) {
					r.terraformConfig(block, config, where)
				}
			}
		}
	}
}

// blocks are one block, or several in a list: Terraform takes both.
func blocks(n *yaml.Node) []*yaml.Node {
	if n = resolve(n); n == nil {
		return nil
	}
	if n.Kind == yaml.SequenceNode {
		return items(n)
	}
	return []*yaml.Node{n}
}

func (r *sourceReader) terraformConfig(holder, config *yaml.Node, where string) {
	if config.Kind == yaml.ScalarNode { // the JSON text of it
		roots, err := documents(r.file, []byte(plainText(config.Value)))
		if err != nil || len(roots) != 1 {
			r.fail(config, "config: is no JSON text")
			return
		}
		setLine(roots[0], config.Line, 0)
		r.add(holder, roots[0], where, nil)
		return
	}
	r.add(holder, flattened(config, 0), where, nil)
}

func setLine(n *yaml.Node, line, depth int) {
	if n.Line = line; depth < maxDepth {
		for _, e := range n.Content {
			setLine(e, line, depth+1)
		}
	}
}

// plainText undoes what Terraform's templates need escaped.
func plainText(s string) string { return strings.NewReplacer("$${", "${", "%%{", "%{").Replace(s) }

// flattened gives nodes the shape that Kong has: the providers write a node's type as the one key around it, and values of
// any type as JSON texts.
func flattened(config *yaml.Node, depth int) *yaml.Node {
	config = resolve(config)
	if config == nil || depth > maxDepth {
		return config
	}
	made := *config
	made.Content = make([]*yaml.Node, len(config.Content))
	for i, e := range config.Content {
		made.Content[i] = flattened(e, depth+1)
	}
	if made.Kind == yaml.ScalarNode {
		made.Value = plainText(made.Value)
	}
	if made.Kind != yaml.MappingNode {
		return &made
	}
	for i := 0; i+1 < len(made.Content); i += 2 {
		if made.Content[i].Value != "nodes" || made.Content[i+1].Kind != yaml.SequenceNode {
			continue
		}
		for j, n := range made.Content[i+1].Content {
			if n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[1].Kind == yaml.MappingNode {
				typ := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "type", Line: n.Content[0].Line}
				name := *n.Content[0]
				inner := *n.Content[1]
				inner.Content = append([]*yaml.Node{typ, &name}, inner.Content...)
				if name.Value == "static" {
					decodeValues(&inner)
				}
				made.Content[i+1].Content[j] = &inner
			}
		}
	}
	return &made
}

// decodeValues decodes the JSON texts in the values of a static node.
func decodeValues(static *yaml.Node) {
	decode := func(n *yaml.Node) *yaml.Node {
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && json.Valid([]byte(n.Value)) {
			if roots, err := documents("", []byte(n.Value)); err == nil && len(roots) == 1 {
				setLine(roots[0], n.Line, 0)
				return roots[0]
			}
		}
		return n
	}
	for i := 0; i+1 < len(static.Content); i += 2 {
		if static.Content[i].Value != "values" {
			continue
		}
		values := decode(static.Content[i+1])
		static.Content[i+1] = values
		if values.Kind == yaml.MappingNode {
			for j := 1; j < len(values.Content); j += 2 {
				values.Content[j] = decode(values.Content[j])
			}
		}
	}
}
