package xmljson

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// ToJSON returns the value of an XML document: an object of one key, its outermost element, or what o.Path selects.
//
// It stops when ctx is done. The search of o.Path is the one part whose time depends on more than the size of doc.
func ToJSON(ctx context.Context, doc []byte, o Options) (any, error) {
	o = o.withDefaults()
	root, err := parse(ctx, doc, o.Limits)
	if err != nil {
		return nil, err
	}
	if o.Path != nil {
		return o.Path.selectFrom(ctx, root, &o)
	}
	return o.keyed(root.first)
}

// keyed is the value of an element as an object of one key, its name.
func (o *Options) keyed(element *node) (any, error) {
	v, err := o.value(element)
	if err != nil {
		return nil, err
	}
	return map[string]any{element.name: v}, nil
}

func (o *Options) value(element *node) (any, error) {
	text := strings.Trim(textOf(element), space)
	elements := hasElements(element)
	if !elements && len(element.attrs) == 0 && !o.TextAsProperty {
		if text == "" {
			return map[string]any{}, nil
		}
		return o.typed(text), nil
	}

	object := map[string]any{}
	for child := element.first; child != nil; child = child.next {
		if child.isText() {
			continue
		}
		v, err := o.value(child)
		if err != nil {
			return nil, err
		}
		switch before := object[child.name].(type) {
		case []any:
			object[child.name] = append(before, v)
		case nil:
			if _, null := object[child.name]; null {
				object[child.name] = []any{nil, v}
			} else {
				object[child.name] = v
			}
		default:
			object[child.name] = []any{before, v}
		}
	}
	if err := o.addAttributes(object, element); err != nil {
		return nil, err
	}
	if text != "" {
		return object, put(object, o.TextBlock, o.typed(text))
	}
	return object, nil
}

// addAttributes puts the attributes of an element where the options want them.
func (o *Options) addAttributes(object map[string]any, element *node) error {
	switch {
	case len(element.attrs) == 0:
		return nil
	case o.AttributesBlock != "":
		block := make(map[string]any, len(element.attrs))
		for _, a := range element.attrs {
			block[a.name] = a.value
		}
		return put(object, o.AttributesBlock, block)
	case o.AttributesPrefix != "":
		for _, a := range element.attrs {
			if err := put(object, o.AttributesPrefix+a.name, a.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// put sets a key that attributes or text take. An element that has it already would be lost.
func put(object map[string]any, key string, v any) error {
	if _, taken := object[key]; taken {
		return fmt.Errorf("an element inside has the name %q, which the options give to attributes or text: "+
			"choose names there that no element can have, such as #text, #attr and @", key)
	}
	object[key] = v
	return nil
}

func hasElements(n *node) bool {
	for child := n.first; child != nil; child = child.next {
		if !child.isText() {
			return true
		}
	}
	return false
}

// textOf joins the pieces of text directly inside an element.
func textOf(element *node) string {
	if !element.hasText {
		return ""
	}
	if element.first == element.last {
		return element.first.text
	}
	var b strings.Builder
	for child := element.first; child != nil; child = child.next {
		b.WriteString(child.text)
	}
	return b.String()
}

// typed is the value a text stands for.
func (o *Options) typed(text string) any {
	switch {
	case o.KeepText:
	case text == "null":
		return nil
	case text == "true":
		return true
	case text == "false":
		return false
	case isNumber(text):
		return json.Number(text)
	}
	return text
}

// maxDigits is how many significant digits every number keeps that passes through a float64.
const maxDigits = 15

// isNumber reports whether a text is a number as JSON writes it, and one that no reader changes. Others are names that
// are made of digits: 007, +1, 0x1F, account numbers.
func isNumber(s string) bool {
	if s == "" || len(s) > 32 || s[0] != '-' && (s[0] < '0' || s[0] > '9') || !json.Valid([]byte(s)) {
		return false
	}
	mantissa, _, exponent := strings.Cut(strings.ToLower(s), "e")
	digits := strings.TrimLeft(strings.Replace(strings.TrimPrefix(mantissa, "-"), ".", "", 1), "0")
	if len(digits) > maxDigits {
		return false
	}
	if !exponent {
		return true
	}
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && (f != 0 || digits == "")
}
