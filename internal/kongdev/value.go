package kongdev

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// A value is what Kong's Lua holds: nil, bool, float64, string or *table.
type value = any

// A table is a Lua table that is either a list or a set of named fields. As in
// Lua, a nil element of the list is a hole; an empty table is neither. array
// marks a table that prints as [] when empty.
type table struct {
	list   []value
	fields map[string]value
	array  bool
}

func newFields(kv map[string]value) *table { return &table{fields: kv} }

func newList(items ...value) *table { return &table{list: items, array: true} }

// get is t[key] for a string key, nil when t is nil.
func (t *table) get(key string) value {
	if t == nil {
		return nil
	}
	return t.fields[key]
}

// isList reports whether Kong sends the table as a list: it has a first element.
func (t *table) isList() bool { return len(t.list) > 0 && t.list[0] != nil }

// A luaError is an error raised inside Kong: it ends the event and never
// reaches the plugin.
type luaError struct{ text string }

func (e *luaError) Error() string { return e.text }

func raise(format string, args ...any) error { return &luaError{fmt.Sprintf(format, args...)} }

// maxDepth bounds the nesting of values; Lua's C stack ends near it.
const maxDepth = 190

var errMalformed = &luaError{"type mismatch: the plugin's argument is no valid message"} // read-only

// eachField walks a message. n is a varint's or fixed number's bits, b a
// length-delimited field's bytes.
func eachField(msg []byte, f func(num protowire.Number, typ protowire.Type, n uint64, b []byte) error) error {
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

// decodeValue reads a google.protobuf.Value as Kong does: false becomes nil,
// null the text NULL_VALUE.
func decodeValue(msg []byte) (value, error) { return decodeValueAt(msg, 0) }

func decodeValueAt(msg []byte, depth int) (value, error) {
	if depth > maxDepth {
		return nil, raise("stack overflow: the plugin's value is nested too deeply")
	}
	var v value
	err := eachField(msg, func(num protowire.Number, typ protowire.Type, n uint64, b []byte) (err error) {
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
			v, err = decodeStruct(b, depth+1)
		case num == 6 && typ == protowire.BytesType:
			v, err = decodeList(b, depth+1)
		}
		return err
	})
	return v, err
}

func decodeStruct(msg []byte, depth int) (*table, error) {
	t := &table{fields: map[string]value{}}
	err := eachField(msg, func(num protowire.Number, typ protowire.Type, _ uint64, entry []byte) error {
		if num != 1 || typ != protowire.BytesType {
			return nil
		}
		var key string
		var v value
		err := eachField(entry, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) (err error) {
			switch {
			case num == 1 && typ == protowire.BytesType:
				key = string(b)
			case num == 2 && typ == protowire.BytesType:
				v, err = decodeValueAt(b, depth+1)
			}
			return err
		})
		if v == nil {
			delete(t.fields, key)
		} else {
			t.fields[key] = v
		}
		return err
	})
	return t, err
}

func decodeList(msg []byte, depth int) (*table, error) {
	t := &table{}
	err := eachField(msg, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
		if num != 1 || typ != protowire.BytesType {
			return nil
		}
		v, err := decodeValueAt(b, depth+1)
		t.list = append(t.list, v)
		return err
	})
	return t, err
}

// appendValue writes the inside of a google.protobuf.Value as Kong does: nil is
// null with the number 1, a table without a first element is a struct.
func appendValue(dst []byte, v value) []byte {
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
	case *table:
		if v.isList() {
			return protowire.AppendBytes(append(dst, 0x32), appendList(nil, v))
		}
		return protowire.AppendBytes(append(dst, 0x2a), appendStruct(nil, v))
	}
	panic(fmt.Sprintf("kongdev: %T is no Lua value", v))
}

// appendList writes the inside of a ListValue up to the first hole.
func appendList(dst []byte, t *table) []byte {
	var scratch []byte
	for _, v := range t.list {
		if v == nil {
			break
		}
		scratch = appendValue(scratch[:0], v)
		dst = protowire.AppendBytes(append(dst, 0x0a), scratch)
	}
	return dst
}

// appendStruct writes the inside of a Struct, fields in the order of their names.
func appendStruct(dst []byte, t *table) []byte {
	var entry, scratch []byte
	put := func(key string, v value) {
		scratch = appendValue(scratch[:0], v)
		entry = protowire.AppendString(append(entry[:0], 0x0a), key)
		entry = protowire.AppendBytes(append(entry, 0x12), scratch)
		dst = protowire.AppendBytes(append(dst, 0x0a), entry)
	}
	for i, v := range t.list {
		if v != nil {
			put(fmt.Sprint(i+1), v)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.fields)) {
		put(key, t.fields[key])
	}
	return dst
}

// luaString is tostring(v).
func luaString(v value) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case bool:
		return fmt.Sprint(v)
	case float64:
		return formatNumber(v, 14)
	case string:
		return v
	}
	return fmt.Sprintf("table: %p", v)
}
