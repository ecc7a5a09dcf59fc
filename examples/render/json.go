package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// writeJSON writes a node with its keys in their order.
func writeJSON(b *bytes.Buffer, n *yaml.Node) error {
	switch n.Kind {
	case yaml.MappingNode:
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeScalar(b, n.Content[i].Value); err != nil {
				return err
			}
			b.WriteByte(':')
			if err := writeJSON(b, n.Content[i+1]); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	default:
		v, err := scalar(n)
		if err != nil {
			return err
		}
		return writeScalar(b, v)
	}
	return nil
}

// writeScalar is json.Marshal without the escapes for HTML.
func writeScalar(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line's end
	return nil
}

// body is what is sent to an API to make the plugin: scopes are those that the path does not say.
func (p plugin) body(name string, scopes []scope, key func(scope) (field, value string)) (string, error) {
	var b bytes.Buffer
	b.WriteString(`{"name":`)
	if err := writeScalar(&b, name); err != nil {
		return "", err
	}
	for _, a := range p.others {
		fmt.Fprintf(&b, ",%q:", a.name)
		if err := writeJSON(&b, a.value); err != nil {
			return "", err
		}
	}
	for _, s := range scopes {
		field, value := key(s)
		fmt.Fprintf(&b, ",%q:{%q:", s.kind, field)
		if err := writeScalar(&b, value); err != nil {
			return "", err
		}
		b.WriteByte('}')
	}
	if p.config != nil {
		b.WriteString(`,"config":`)
		if err := writeJSON(&b, p.config); err != nil {
			return "", err
		}
	}
	b.WriteByte('}')
	var indented bytes.Buffer
	err := json.Indent(&indented, b.Bytes(), "", "  ")
	return indented.String(), err
}
