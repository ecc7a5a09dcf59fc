package xmljson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ToXML writes a value as one XML element, without a declaration: keys sorted, attributes before the rest.
//
// A string is read as JSON first. An empty string, array or object becomes an empty element, null an element with the
// text null. An array becomes elements of its key's name; where one element is all there is room for (an array inside an
// array, an outermost array) its items stand inside such an element. A key whose value is an object or an array is an
// element, whatever Options make of its name. Characters that XML cannot hold become U+FFFD.
func ToXML(v any, o Options) ([]byte, error) {
	if text, ok := v.(string); ok {
		parsed, err := parseJSON(text)
		if err != nil {
			return nil, err
		}
		v = parsed
	}
	w := &writer{o: o.withDefaults()}
	name, v := o.root(v)
	if err := w.element(name, v, 1); err != nil {
		return nil, err
	}
	return w.b.Bytes(), nil
}

// root decides about the outermost element and what it holds.
func (o *Options) root(v any) (string, any) {
	if object, ok := v.(map[string]any); ok && len(object) == 1 {
		for key, inner := range object {
			_, several := inner.([]any)
			if !several && (o.Root == "" || o.Root == key) {
				return key, inner
			}
		}
	}
	if o.Root == "" {
		return "root", v
	}
	return o.Root, v
}

func parseJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || strings.Trim(text[d.InputOffset():], " \t\r\n") != "" {
		return nil, errors.New("the text to convert is not JSON")
	}
	return v, nil
}

type writer struct {
	b     bytes.Buffer
	o     Options
	nodes int
}

// A field is a key of an object and its value, or an attribute and its text.
type field struct {
	name  string
	value any
}

// element writes one element, whatever the value is.
func (w *writer) element(name string, v any, depth int) error {
	if err := w.startsNode(name); err != nil {
		return err
	}
	if depth > w.o.Limits.Depth {
		return fmt.Errorf("more than %d values inside each other", w.o.Limits.Depth)
	}
	attributes, text, children, err := w.o.parts(name, v)
	if err != nil {
		return err
	}
	w.b.WriteString("<" + name)
	for _, a := range attributes {
		if err := w.attribute(a); err != nil {
			return err
		}
	}
	if text == "" && len(children) == 0 {
		w.b.WriteString("/>")
		return w.checkSize()
	}
	w.b.WriteByte('>')
	w.escaped(text, false)
	for _, child := range children {
		items, several := child.value.([]any)
		if !several || len(items) == 0 {
			items = []any{child.value}
		}
		for _, item := range items {
			if err := w.element(child.name, item, depth+1); err != nil {
				return err
			}
		}
	}
	w.b.WriteString("</" + name + ">")
	return w.checkSize()
}

// parts says what of a value becomes what of an element called name.
func (o *Options) parts(name string, v any) (attributes []field, text string, children []field, err error) {
	object, ok := v.(map[string]any)
	if !ok {
		if array, ok := v.([]any); ok && len(array) > 0 {
			return nil, "", []field{{name, array}}, nil
		}
		text, ok = textOfScalar(v)
		if !ok {
			err = fmt.Errorf("a value of Go type %T", v)
		}
		return nil, text, nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		value := object[key]
		block, isObject := value.(map[string]any)
		scalar, isScalar := textOfScalar(value)
		switch {
		case o.AttributesBlock != "" && key == o.AttributesBlock && isObject:
			for _, name := range slices.Sorted(maps.Keys(block)) {
				attributes = append(attributes, field{name, block[name]})
			}
		case o.AttributesBlock == "" && o.AttributesPrefix != "" && isScalar &&
			strings.HasPrefix(key, o.AttributesPrefix) && key != o.AttributesPrefix:
			attributes = append(attributes, field{key[len(o.AttributesPrefix):], scalar})
		case key == o.TextBlock && isScalar:
			text = scalar
		default:
			children = append(children, field{key, value})
		}
	}
	return attributes, text, children, nil
}

// textOfScalar is the text of a value that is neither a filled object nor a filled array.
func textOfScalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "null", true
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "null", true
		}
		b, err := json.Marshal(v)
		return string(b), err == nil
	case json.Number:
		return v.String(), true
	case *big.Int:
		return v.String(), true
	case map[string]any:
		return "", len(v) == 0
	case []any:
		return "", len(v) == 0
	}
	return "", false
}

func (w *writer) attribute(a field) error {
	if err := w.startsNode(a.name); err != nil {
		return err
	}
	text, ok := textOfScalar(a.value)
	if !ok {
		return fmt.Errorf("attribute %q: an object or an array cannot be an attribute's value", a.name)
	}
	w.b.WriteString(" " + a.name + `="`)
	w.escaped(text, true)
	w.b.WriteByte('"')
	return nil
}

func (w *writer) startsNode(name string) error {
	if !IsName(name) {
		return fmt.Errorf("%q is no name for an XML element or attribute", name[:min(len(name), 64)])
	}
	if w.nodes++; w.nodes > w.o.Limits.Nodes {
		return fmt.Errorf("more than %d elements and attributes", w.o.Limits.Nodes)
	}
	return w.checkSize()
}

func (w *writer) checkSize() error {
	if w.b.Len() > w.o.Limits.Bytes {
		return fmt.Errorf("the XML has more than %d bytes", w.o.Limits.Bytes)
	}
	return nil
}

// escaped writes a text so that a reader gets it back as it is.
func (w *writer) escaped(s string, attribute bool) {
	written := 0
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		if instead := escape(r, size, attribute); instead != "" {
			w.b.WriteString(s[written:i])
			w.b.WriteString(instead)
			written = i + size
		}
		i += size
	}
	w.b.WriteString(s[written:])
}

// escape is what stands for a character in XML; empty is the character itself.
func escape(r rune, size int, attribute bool) string {
	switch {
	case r == '&':
		return "&amp;"
	case r == '<':
		return "&lt;"
	case r == '>':
		return "&gt;"
	case r == '\r':
		return "&#xD;"
	case attribute && r == '"':
		return "&quot;"
	case attribute && r == '\n':
		return "&#xA;"
	case attribute && r == '\t':
		return "&#x9;"
	case r < ' ' && r != '\n' && r != '\t', r == utf8.RuneError && size == 1, r == 0xFFFE, r == 0xFFFF:
		return "\uFFFD"
	}
	return ""
}
