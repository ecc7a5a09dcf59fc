package schema

import (
	"bytes"
	"encoding/json"
)

// A member is one key of an ordered object.
type member struct {
	key   string
	value any
}

// An ordered is a JSON object or a Lua table whose keys keep their order, so that every form has the same bytes each
// time it is made. Values are nil, bool, float64, int, string, []any, map[string]any (written by sorted keys), Null,
// role or ordered.
type ordered []member

// A role marks a table of a schema for the Lua writer, which lets only tables of one role be the same table.
type role struct {
	name  string
	value any
}

// MarshalJSON keeps the order.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := marshal(m.key)
		if err != nil {
			return nil, err
		}
		value, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MarshalJSON leaves the mark out.
func (r role) MarshalJSON() ([]byte, error) { return marshal(r.value) }

// MarshalJSON writes null.
func (Null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// marshal is json.Marshal without the escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
