package datakit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
)

// propertyKind reads a property of the gateway or, with an input, writes one.
var propertyKind = kind{
	since: "3.11",
	doc:   "Reads a [property](#properties) of the gateway or, with an input, writes it.",
	options: []option{
		{name: "property", typ: stringType, min: 1, max: 255, required: true, since: "3.11", doc: "Its name."},
		{name: "content_type", typ: stringType, oneOf: contentTypes, since: "3.11", doc: "`application/json`: what is written is encoded, what is read is decoded. The others change nothing."},
		{name: "non_nil", typ: booleanType, otherwise: false, since: "3.15", doc: "null is an error."},
	},
	in:    []port{{name: self, typ: anyType, since: "3.11", doc: "The value to write."}},
	out:   []port{{name: self, typ: anyType, since: "3.11", doc: "What was read or written."}},
	build: buildProperty,
}

type propertyNode struct {
	name     string
	property property
	set      bool
	json     bool // encoded on the way in, decoded on the way out
	nonNil   bool
}

func buildProperty(c *NodeConfig, b *builder) (node, error) {
	name, ok := c.text("property")
	contentType, _ := c.text("content_type")
	nonNil := c.flag("non_nil")
	if !ok {
		if c.members["property"] == nil {
			c.fail("property", "required: the name of a property")
		}
		return nil, nil
	}
	p, ok := propertyNamed(name)
	if !ok {
		hint := ""
		if similar := closest(name, sortedKeys(properties)); similar != "" {
			hint = "; did you mean " + similar + "?"
		}
		return nil, fmt.Errorf("property: there is no property %s%s", shortened(name), hint)
	}
	n := propertyNode{name, p, c.hasInput(), contentType == "application/json", nonNil}
	late := b.graph.vertices[b.graph.byName[c.Name]].late
	switch {
	case n.set && !p.set:
		return nil, fmt.Errorf("property: %s is read only; nothing can be connected to this node's input", name)
	case !n.set && !p.get:
		return nil, fmt.Errorf("property: %s is written only; connect the value to write to this node's input", name)
	case n.set && p.early && late:
		return nil, fmt.Errorf("property: %s can be set before the request is proxied only, and this node runs in the response phase, because it depends on service_response", name)
	case n.set && name == "kong.client.consumer" && n.json:
		return nil, errors.New("content_type: kong.client.consumer takes an object, not its JSON text")
	}
	if p.missing {
		b.warn(c, "property", "%s is not available in open-source Kong; it reads as null", name)
	}
	return n, nil
}

// isLateProperty reports whether a property node reads what only the response phase has.
func isLateProperty(c *NodeConfig) bool {
	if c.Type != "property" {
		return false
	}
	name, _ := c.members["property"].(string)
	p, ok := propertyNamed(name)
	return ok && p.late
}

func (n propertyNode) run(context.Context, values) (values, error) {
	return nil, errors.New("a property is read and written through the gateway")
}

func (n propertyNode) runOn(_ context.Context, host Host, in values) (values, error) {
	if n.set {
		return n.write(host, in.get(self))
	}
	if n.property.missing {
		return n.result(nil)
	}
	v, err := host.Property(n.name)
	if err != nil {
		return nil, err
	}
	if text, ok := v.(string); ok && n.json {
		if v, err = decodeJSON([]byte(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return n.result(v)
}

func (n propertyNode) result(v any) (values, error) {
	if v == nil && n.nonNil {
		return nil, fmt.Errorf("%s is null (non_nil)", n.name)
	}
	return values{{self, v}}, nil
}

// write sets the property. The node's output is what was written.
func (n propertyNode) write(host Host, v any) (values, error) {
	if v == nil && n.nonNil {
		return nil, fmt.Errorf("the value for %s is null (non_nil)", n.name)
	}
	stored := v
	if n.json {
		text, err := encodeJSON(v)
		if err != nil {
			return nil, fmt.Errorf("%s: cannot be written as JSON", n.name)
		}
		stored = string(text)
	}
	if err := n.check(stored); err != nil {
		return nil, fmt.Errorf("%s: %w", n.name, err)
	}
	if n.name != statusProperty {
		if err := host.SetProperty(n.name, stored); err != nil {
			return nil, err
		}
	}
	return values{{self, v}}, nil
}

// check refuses what the gateway would: a refusal there would end the request without a word to anybody.
func (n propertyNode) check(v any) error {
	if n.property.typ != anyType && n.property.typ != numberType {
		if v == nil {
			return fmt.Errorf("expected %s, got null", n.property.typ)
		}
		if _, err := convert(v, n.property.typ); err != nil {
			return err
		}
	}
	switch n.name {
	case statusProperty:
		_, err := statusOf(v)
		return err
	case "kong.service.request.scheme":
		if v != "http" && v != "https" {
			return errors.New("expected http or https")
		}
	case "kong.service.target":
		text, _ := v.(string)
		_, _, err := splitTarget(text)
		return err
	case "kong.client.consumer":
		m, _ := v.(map[string]any)
		for _, key := range []string{"id", "username", "custom_id"} {
			if s, ok := m[key].(string); ok && s != "" {
				return nil
			}
		}
		return errors.New("needs an id, a username or a custom_id")
	}
	return nil
}

// statusOf reads a status that the response phase sets.
func statusOf(v any) (int, error) {
	n, _ := numberOf(v)
	f, ok := floatOf(n)
	if !ok || f != math.Trunc(f) || f < 100 || f > 599 {
		return 0, errors.New("expected a status from 100 to 599")
	}
	return int(f), nil
}

// splitTarget splits host:port, an IPv6 address in brackets.
func splitTarget(s string) (host string, port int, err error) {
	i := strings.LastIndexByte(s, ':')
	wrong := errors.New("expected host:port, with an IPv6 address in brackets")
	if i <= 0 || i == len(s)-1 {
		return "", 0, wrong
	}
	host = s[:i]
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok {
			return "", 0, wrong
		}
	} else if strings.Contains(host, ":") {
		return "", 0, wrong
	}
	for _, c := range s[i+1:] {
		if c < '0' || c > '9' || port > 65535 {
			return "", 0, wrong
		}
		port = port*10 + int(c-'0')
	}
	if port < 1 || port > 65535 || host == "" || strings.ContainsAny(host, "/@ \t\r\n") {
		return "", 0, wrong
	}
	return host, port, nil
}
