// Package lua is how Kong holds what plugins send and ask for: values of Lua, what is lost of a protobuf value on the way
// into Lua and out of it, and how Kong's cjson prints one. It runs no Lua.
package lua

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// A Value is what Kong's Lua holds: nil, bool, float64, string or *Table.
type Value = any

// A Table is a Lua table that is either a list or a set of named fields. As in
// Lua, a nil element of the list is a hole; an empty table is neither. Array
// marks a table that prints as [] when empty.
type Table struct {
	List   []Value
	Fields map[string]Value
	Array  bool
}

// NewFields is a table of named fields; it keeps the map.
func NewFields(kv map[string]Value) *Table { return &Table{Fields: kv} }

// NewList is a list; an empty one prints as [].
func NewList(items ...Value) *Table { return &Table{List: items, Array: true} }

// Get is t[key] for a string key, nil when t is nil.
func (t *Table) Get(key string) Value {
	if t == nil {
		return nil
	}
	return t.Fields[key]
}

// Add adds one value to a table of single values and lists.
func (t *Table) Add(key string, v Value) {
	switch old := t.Fields[key].(type) {
	case nil:
		t.Fields[key] = v
	case *Table:
		old.List = append(old.List, v)
	default:
		t.Fields[key] = NewList(old, v)
	}
}

// isList reports whether Kong sends the table as a list: it has a first element.
func (t *Table) isList() bool { return len(t.List) > 0 && t.List[0] != nil }

// An Error is an error raised inside Kong: it ends the event and never
// reaches the plugin.
type Error struct{ Text string }

func (e *Error) Error() string { return e.Text }

// Raise is an *Error with a text.
func Raise(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// maxDepth bounds the nesting of values; Lua's C stack ends near it.
const maxDepth = 190

var errMalformed = &Error{"type mismatch: the plugin's argument is no valid message"} // read-only

// EachField walks a message. n is a varint's or fixed number's bits, b a
// length-delimited field's bytes.
func EachField(msg []byte, f func(num protowire.Number, typ protowire.Type, n uint64, b []byte) error) error {
	for len(msg) > 0 {
		num, typ, size := protowire.ConsumeTag(msg)
		if size < 0 {
			return errMalformed
		}
		msg = msg[size:]
		var n uint64
		var b []byte
		switch typ {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(msg)
		case protowire.Fixed64Type:
			n, size = protowire.ConsumeFixed64(msg)
		case protowire.BytesType:
			b, size = protowire.ConsumeBytes(msg)
		default:
			size = protowire.ConsumeFieldValue(num, typ, msg)
		}
		if size < 0 {
			return errMalformed
		}
		msg = msg[size:]
		if err := f(num, typ, n, b); err != nil {
			return err
		}
	}
	return nil
}

// DecodeValue reads a google.protobuf.Value as Kong does: false becomes nil,
// null the text NULL_VALUE.
func DecodeValue(msg []byte) (Value, error) { return decodeValueAt(msg, 0) }

func decodeValueAt(msg []byte, depth int) (Value, error) {
	if depth > maxDepth {
		return nil, Raise("stack overflow: the plugin's value is nested too deeply")
	}
	var v Value
	err := EachField(msg, func(num protowire.Number, typ protowire.Type, n uint64, b []byte) (err error) {
		switch {
		case num == 1 && typ == protowire.VarintType:
			v = "NULL_VALUE"
			if n != 0 {
				v = float64(int32(n))
			}
		case num == 2 && typ == protowire.Fixed64Type:
			v = math.Float64frombits(n)
		case num == 3 && typ == protowire.BytesType:
			v = string(b)
		case num == 4 && typ == protowire.VarintType:
			v = nil
			if n != 0 {
				v = true
			}
		case num == 5 && typ == protowire.BytesType:
			v, err = decodeStructAt(b, depth+1)
		case num == 6 && typ == protowire.BytesType:
			v, err = decodeListAt(b, depth+1)
		}
		return err
	})
	return v, err
}

// DecodeStruct reads a google.protobuf.Struct, as DecodeValue does.
func DecodeStruct(msg []byte) (*Table, error) { return decodeStructAt(msg, 0) }

func decodeStructAt(msg []byte, depth int) (*Table, error) {
	t := &Table{Fields: map[string]Value{}}
	err := EachField(msg, func(num protowire.Number, typ protowire.Type, _ uint64, entry []byte) error {
		if num != 1 || typ != protowire.BytesType {
			return nil
		}
		var key string
		var v Value
		err := EachField(entry, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) (err error) {
			switch {
			case num == 1 && typ == protowire.BytesType:
				key = string(b)
			case num == 2 && typ == protowire.BytesType:
				v, err = decodeValueAt(b, depth+1)
			}
			return err
		})
		if v == nil {
			delete(t.Fields, key)
		} else {
			t.Fields[key] = v
		}
		return err
	})
	return t, err
}

// DecodeList reads a ListValue, as DecodeValue does.
func DecodeList(msg []byte) (*Table, error) { return decodeListAt(msg, 0) }

func decodeListAt(msg []byte, depth int) (*Table, error) {
	t := &Table{}
	err := EachField(msg, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
		if num != 1 || typ != protowire.BytesType {
			return nil
		}
		v, err := decodeValueAt(b, depth+1)
		t.List = append(t.List, v)
		return err
	})
	return t, err
}

// AppendValue writes the inside of a google.protobuf.Value as Kong does: nil is
// null with the number 1, a table without a first element is a struct.
func AppendValue(dst []byte, v Value) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, 0x08, 0x01)
	case bool:
		if v {
			return append(dst, 0x20, 0x01)
		}
		return append(dst, 0x20, 0x00)
	case float64:
		return protowire.AppendFixed64(append(dst, 0x11), math.Float64bits(v))
	case string:
		return protowire.AppendString(append(dst, 0x1a), v)
	case *Table:
		if v.isList() {
			return protowire.AppendBytes(append(dst, 0x32), appendList(nil, v))
		}
		return protowire.AppendBytes(append(dst, 0x2a), AppendStruct(nil, v))
	}
	panic(fmt.Sprintf("lua: %T is no Lua value", v))
}

// appendList writes the inside of a ListValue up to the first hole.
func appendList(dst []byte, t *Table) []byte {
	var scratch []byte
	for _, v := range t.List {
		if v == nil {
			break
		}
		scratch = AppendValue(scratch[:0], v)
		dst = protowire.AppendBytes(append(dst, 0x0a), scratch)
	}
	return dst
}

// AppendStruct writes the inside of a Struct, fields in the order of their names.
func AppendStruct(dst []byte, t *Table) []byte {
	var entry, scratch []byte
	put := func(key string, v Value) {
		scratch = AppendValue(scratch[:0], v)
		entry = protowire.AppendString(append(entry[:0], 0x0a), key)
		entry = protowire.AppendBytes(append(entry, 0x12), scratch)
		dst = protowire.AppendBytes(append(dst, 0x0a), entry)
	}
	for i, v := range t.List {
		if v != nil {
			put(fmt.Sprint(i+1), v)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.Fields)) {
		put(key, t.Fields[key])
	}
	return dst
}

// ToString is tostring(v).
func ToString(v Value) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case bool:
		return fmt.Sprint(v)
	case float64:
		return FormatNumber(v, 14)
	case string:
		return v
	}
	return fmt.Sprintf("table: %p", v)
}

// TypeOf is type(v).
func TypeOf(v Value) string {
	switch v.(type) {
	case nil:
		return "nil"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	}
	return "table"
}
