package datakit

import (
	"context"
	"fmt"

	"kong-go-plugins/datakit/xmljson"
)

// xmlToJSONKind turns XML into a value.
var xmlToJSONKind = kind{
	since: "3.13",
	doc:   "Turns XML into a value: an object by the name of the root.",
	options: append(xmlOptions(),
		option{name: "recognize_type", typ: booleanType, otherwise: true, since: "3.13", doc: "Texts that are a number, true, false or null become such."},
		option{name: "text_as_property", typ: booleanType, otherwise: false, since: "3.13", doc: "Texts always stand under `text_block_name`, also where an element has nothing else."},
		option{name: "xpath", typ: stringType, min: 1, max: 256, since: "3.13", doc: "The part to take: one element, a list where there are several, or null."},
		option{name: "root_element_name", typ: stringType, min: 1, max: 64, since: "3.13", doc: "Without effect; a documented example has it."},
	),
	in:  []port{{name: self, typ: anyType, required: true, since: "3.13", doc: "A text."}},
	out: []port{{name: self, typ: anyType, since: "3.13", doc: "Attributes and texts are members; an element that is repeated is a list, an empty one an empty object."}},
	build: func(c *NodeConfig, b *builder) (node, error) {
		o := readXMLOptions(c, b)
		o.KeepText = !c.flag("recognize_type")
		o.TextAsProperty = c.flag("text_as_property")
		c.text("root_element_name")
		if path, ok := c.text("xpath"); ok {
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
	since: "3.13",
	doc:   "Turns a value, or JSON text, into XML.",
	options: append(xmlOptions(),
		option{name: "root_element_name", typ: stringType, min: 1, max: 64, since: "3.13", doc: "The root, unless the value is an object with this one member. Without it a value that has no single root is put into `root`."},
	),
	freeInputs: true,
	out:        []port{{name: self, typ: stringType, since: "3.13", doc: "The XML, without a declaration."}},
	build: func(c *NodeConfig, b *builder) (node, error) {
		o := readXMLOptions(c, b)
		var ok bool
		if o.Root, ok = c.text("root_element_name"); ok && !xmljson.IsName(o.Root) {
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

// xmlOptions are those of both directions.
func xmlOptions() []option {
	return []option{
		{name: "attributes_block_name", typ: stringType, min: 1, max: 32, since: "3.13", doc: "The member that holds attributes; it counts more than the prefix. One of the two is needed."},
		{name: "attributes_name_prefix", typ: stringType, min: 1, max: 32, since: "3.13", doc: "What the names of members that are attributes begin with."},
		{name: "text_block_name", typ: stringType, min: 1, max: 32, otherwise: "#text", since: "3.13", doc: "The member that holds the text beside attributes and elements."},
	}
}

// readXMLOptions reads them.
func readXMLOptions(c *NodeConfig, b *builder) xmljson.Options {
	o := xmljson.Options{Limits: xmljson.Limits{Bytes: b.maxBody}}
	var block, prefix bool
	o.AttributesBlock, block = c.text("attributes_block_name")
	o.AttributesPrefix, prefix = c.text("attributes_name_prefix")
	o.TextBlock, _ = c.text("text_block_name")
	if block && o.AttributesBlock == o.TextBlock {
		c.fail("attributes_block_name", "%q is text_block_name, too; attributes and text need keys of their own", shortened(o.TextBlock))
	}
	if !block && !prefix && c.members["attributes_block_name"] == nil && c.members["attributes_name_prefix"] == nil {
		c.fail("", "needs attributes_block_name, attributes_name_prefix, or both: how attributes are named")
	}
	return o
}
