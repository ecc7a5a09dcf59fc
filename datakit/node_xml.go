package datakit

import (
	"context"
	"fmt"

	"kong-go-plugins/datakit/xmljson"
)

// xmlToJSONKind turns XML into a value.
var xmlToJSONKind = kind{
	in:  []port{{name: self, typ: anyType, required: true}},
	out: []port{{name: self, typ: anyType}},
	build: func(c *NodeConfig, b *builder) (node, error) {
		o := xmlOptions(c, b)
		o.KeepText = !c.flag("recognize_type", true)
		o.TextAsProperty = c.flag("text_as_property", false)
		c.get("root_element_name") // one of the documented snippets has it here, where it means nothing
		if path, ok := c.text("xpath", 1, 256); ok {
			var err error
			if o.Path, err = xmljson.Compile(path); err != nil {
				c.fail("xpath", "%s", err)
			}
		}
		return xmlToJSONNode{o}, nil
	},
}

type xmlToJSONNode struct{ options xmljson.Options }

func (n xmlToJSONNode) run(ctx context.Context, in values) (values, error) {
	text, ok := in.get(self).(string)
	if !ok {
		return nil, fmt.Errorf("expected XML as a string, got %s", nameOf(in.get(self)))
	}
	v, err := xmljson.ToJSON(ctx, []byte(text), n.options)
	if err != nil {
		return nil, err
	}
	return values{{self, v}}, nil
}

// jsonToXMLKind turns a value, or JSON text, into XML.
var jsonToXMLKind = kind{
	freeInputs: true,
	out:        []port{{name: self, typ: stringType}},
	build: func(c *NodeConfig, b *builder) (node, error) {
		o := xmlOptions(c, b)
		var ok bool
		if o.Root, ok = c.text("root_element_name", 1, 64); ok && !xmljson.IsName(o.Root) {
			c.fail("root_element_name", "%q is no name of an XML element", shortened(o.Root))
		}
		return jsonToXMLNode{o}, nil
	},
}

type jsonToXMLNode struct{ options xmljson.Options }

func (n jsonToXMLNode) run(_ context.Context, in values) (values, error) {
	v, whole := in.lookup(self)
	if !whole && len(in) > 0 {
		v = in.object()
	}
	out, err := xmljson.ToXML(v, n.options)
	if err != nil {
		return nil, err
	}
	return values{{self, string(out)}}, nil
}

// xmlOptions reads what both directions have.
func xmlOptions(c *NodeConfig, b *builder) xmljson.Options {
	o := xmljson.Options{TextBlock: "#text", Limits: xmljson.Limits{Bytes: b.maxBody}}
	var block, prefix bool
	o.AttributesBlock, block = c.text("attributes_block_name", 1, 32)
	o.AttributesPrefix, prefix = c.text("attributes_name_prefix", 1, 32)
	if text, ok := c.text("text_block_name", 1, 32); ok {
		o.TextBlock = text
	}
	if block && o.AttributesBlock == o.TextBlock {
		c.fail("attributes_block_name", "%q is text_block_name, too; attributes and text need keys of their own", shortened(o.TextBlock))
	}
	if !block && !prefix && c.members["attributes_block_name"] == nil && c.members["attributes_name_prefix"] == nil {
		c.fail("", "needs attributes_block_name, attributes_name_prefix, or both: how attributes are named")
	}
	return o
}
