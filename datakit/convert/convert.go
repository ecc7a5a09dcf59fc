// Package convert rewrites workflows of the old datakit filter (Kong 3.10 and before) for the plugin.
package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// A Note tells what a conversion could not do, or what works in another way afterwards.
type Note struct {
	Line int    // in the document that was read
	Node string // its name; empty outside of nodes
	Open bool   // something is left to do by hand
	Text string
}

// String is for a line behind the file's name: 12: node JOIN: …
func (n Note) String() string {
	text := fmt.Sprintf("%d: ", n.Line)
	if n.Node != "" {
		text += "node " + n.Node + ": "
	}
	if n.Open {
		text += "to do: "
	}
	return text + n.Text
}

// Document rewrites all workflows of the old filter in a document of YAML or JSON, and leaves the rest as it is. Comments
// and order stay in YAML; JSON gets sorted keys. Workflows that already are the plugin's stay as they are.
func Document(doc []byte) ([]byte, []Note, error) {
	isJSON := bytes.HasPrefix(bytes.TrimSpace(doc), []byte("{")) && json.Valid(doc)
	c := &conversion{workflows: map[*yaml.Node]bool{}}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	d := yaml.NewDecoder(bytes.NewReader(doc))
	for {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("neither YAML nor JSON: %w", err)
		}
		c.walk(&n, false)
		if isJSON {
			text, err := asJSON(&n)
			return text, c.sorted(), c.check(err)
		}
		if err := e.Encode(&n); err != nil {
			return nil, nil, err
		}
	}
	if err := c.check(nil); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), c.sorted(), e.Close()
}

func asJSON(n *yaml.Node) ([]byte, error) {
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

// A conversion goes through the documents of a file.
type conversion struct {
	notes     []Note
	workflows map[*yaml.Node]bool // that were seen
}

// sorted are the notes in the order of the document.
func (c *conversion) sorted() []Note {
	slices.SortStableFunc(c.notes, func(a, b Note) int { return a.Line - b.Line })
	return c.notes
}

// check adds to an error that there was nothing to convert.
func (c *conversion) check(err error) error {
	if err == nil && len(c.workflows) == 0 {
		return errors.New("there is no workflow: no list called nodes whose items have a type")
	}
	return err
}

// walk converts the workflows below n. In a filter chain they are the old filter's for certain.
func (c *conversion) walk(n *yaml.Node, inFilter bool) {
	if n.Kind == yaml.MappingNode {
		c.moveFilters(n)
		if nodes := member(n, "nodes"); isWorkflow(nodes) {
			if !c.workflows[nodes] && (inFilter || isOld(nodes)) {
				c.convertNodes(nodes)
			}
			c.workflows[nodes] = true
			return
		}
	}
	for _, child := range n.Content {
		c.walk(child, inFilter)
	}
}

// isWorkflow reports whether a node of YAML is the list of nodes of a workflow.
func isWorkflow(n *yaml.Node) bool {
	if n == nil || n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return false
	}
	for _, item := range n.Content {
		if item.Kind != yaml.MappingNode || textOf(member(item, "type")) == "" {
			return false
		}
	}
	return true
}

// filterNames are what the old filter is called in filter chains; read-only.
var filterNames = map[string]bool{"datakit": true, "datakit_filter": true}

// moveFilters makes plugins of the datakit filters in the filter chains of a service or route.
func (c *conversion) moveFilters(owner *yaml.Node) {
	chains := member(owner, "filter_chains")
	if chains == nil || chains.Kind != yaml.SequenceNode {
		return
	}
	var plugins, keptChains []*yaml.Node
	for _, chain := range chains.Content {
		filters := member(chain, "filters")
		if filters == nil || filters.Kind != yaml.SequenceNode {
			keptChains = append(keptChains, chain)
			continue
		}
		var kept []*yaml.Node
		for _, filter := range filters.Content {
			if !filterNames[textOf(member(filter, "name"))] {
				kept = append(kept, filter)
				continue
			}
			set(filter, "name", scalar("datakit"))
			if config := member(filter, "config"); textOf(config) != "" { // JSON in a string
				var inner yaml.Node
				if yaml.Unmarshal([]byte(config.Value), &inner) == nil && len(inner.Content) == 1 {
					set(filter, "config", inner.Content[0])
				}
			}
			c.walk(filter, true)
			plugins = append(plugins, filter)
		}
		if filters.Content = kept; len(kept) > 0 {
			keptChains = append(keptChains, chain)
		}
	}
	if len(plugins) == 0 {
		return
	}
	c.notes = append(c.notes, Note{Line: chains.Line, Text: "the filter is a plugin now: it runs in the order of plugins, by its priority"})
	if chains.Content = keptChains; len(keptChains) == 0 {
		remove(owner, "filter_chains")
	}
	if list := member(owner, "plugins"); list != nil && list.Kind == yaml.SequenceNode {
		list.Content = append(list.Content, plugins...)
	} else {
		set(owner, "plugins", &yaml.Node{Kind: yaml.SequenceNode, Content: plugins})
	}
}

// member is the value of a key, or nil.
func member(m *yaml.Node, key string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// set gives a key a value, in its old place if it has one.
func set(m *yaml.Node, key string, v *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = v
			return
		}
	}
	m.Content = append(m.Content, scalar(key), v)
}

// replace puts another key and value into the place of a key.
func replace(m *yaml.Node, key, with string, v *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i].Value, m.Content[i+1] = with, v
			return
		}
	}
}

func remove(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = append(m.Content[:i], m.Content[i+2:]...)
			return
		}
	}
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

// textOf is the text of a scalar, empty for everything else and for null.
func textOf(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}
