package pluginserver

import (
	"fmt"
	"math"

	"github.com/Kong/go-pdk"
	"google.golang.org/protobuf/encoding/protowire"
)

// maxValueDepth bounds the nesting of a value that Kong sends; deeper ones are not a configuration's or a request's.
const maxValueDepth = 64

// askLists asks a question whose answer is a Struct of strings and lists of strings.
func askLists(kong *pdk.PDK, q Question) (map[string][]string, error) {
	msg, err := askRaw(kong, q)
	if err != nil {
		return nil, err
	}
	m, ok := parseLists(string(msg)) // one copy; every key and value is a part of it
	if !ok {
		return nil, fmt.Errorf("%s: %w", q.method.name, errAnswer)
	}
	return m, nil
}

// parseLists decodes a Struct whose values are strings, lists of strings, or true (a query argument without "=").
func parseLists(msg string) (map[string][]string, bool) {
	entries := 0
	if !textFields(msg, func(num protowire.Number, _ uint64, _ string) bool {
		if num == 1 {
			entries++
		}
		return true
	}) {
		return nil, false
	}
	m := make(map[string][]string, entries)
	all := make([]string, 0, entries+8) // backs every value list; a few repeated names fit
	ok := textFields(msg, func(num protowire.Number, _ uint64, entry string) bool {
		if num != 1 {
			return true
		}
		var key, value string
		if !textFields(entry, func(num protowire.Number, _ uint64, b string) bool {
			switch num {
			case 1:
				key = b
			case 2:
				value = b
			}
			return true
		}) {
			return false
		}
		begin := len(all)
		if !appendStrings(&all, value) {
			return false
		}
		m[key] = all[begin:len(all):len(all)]
		return true
	})
	return m, ok
}

// appendStrings appends the strings in an encoded Value: itself, or its list's. A boolean stands for an empty string.
func appendStrings(all *[]string, value string) bool {
	return textFields(value, func(num protowire.Number, _ uint64, b string) bool {
		switch num {
		case valueString:
			*all = append(*all, b)
		case valueBool:
			*all = append(*all, "")
		case valueList:
			return textFields(b, func(num protowire.Number, _ uint64, element string) bool {
				return num != 1 || textFields(element, func(num protowire.Number, _ uint64, s string) bool {
					if num == valueString || num == valueBool {
						*all = append(*all, s)
					}
					return true
				})
			})
		}
		return true
	})
}

// textFields is fields over a string.
func textFields(msg string, f func(num protowire.Number, n uint64, b string) bool) bool {
	for len(msg) > 0 {
		tag, size := textVarint(msg)
		if size == 0 {
			return false
		}
		msg = msg[size:]
		num, typ := protowire.DecodeTag(tag)
		if num < 1 {
			return false
		}
		var n uint64
		var b string
		switch typ {
		case protowire.VarintType:
			if n, size = textVarint(msg); size == 0 {
				return false
			}
		case protowire.BytesType:
			length, head := textVarint(msg)
			if head == 0 || length > uint64(len(msg)-head) {
				return false
			}
			b, size = msg[head:head+int(length)], head+int(length)
		case protowire.Fixed64Type:
			size = 8
		case protowire.Fixed32Type:
			size = 4
		default:
			return false
		}
		if size > len(msg) || !f(num, n, b) {
			return false
		}
		msg = msg[size:]
	}
	return true
}

// textVarint reads a varint; size is 0 when there is none.
func textVarint(s string) (v uint64, size int) {
	for i := 0; i < len(s) && i < 10; i++ {
		c := s[i]
		if i == 9 && c > 1 {
			return 0, 0
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// Field numbers of google.protobuf.Value beyond those in arguments.go.
const (
	valueNumber = 2
	valueBool   = 4
)

// parseValue decodes an encoded Value; an empty one is nil.
func parseValue(msg []byte, depth int) (v any, ok bool) {
	if depth > maxValueDepth {
		return nil, false
	}
	for len(msg) > 0 {
		num, typ, size := protowire.ConsumeTag(msg)
		if size < 0 {
			return nil, false
		}
		msg = msg[size:]
		size = protowire.ConsumeFieldValue(num, typ, msg)
		if size < 0 {
			return nil, false
		}
		switch {
		case num == valueNumber && typ == protowire.Fixed64Type:
			bits, _ := protowire.ConsumeFixed64(msg)
			v = math.Float64frombits(bits)
		case num == valueString && typ == protowire.BytesType:
			b, _ := protowire.ConsumeBytes(msg)
			v = string(b)
		case num == valueBool && typ == protowire.VarintType:
			n, _ := protowire.ConsumeVarint(msg)
			v = n != 0
		case num == valueStruct && typ == protowire.BytesType:
			b, _ := protowire.ConsumeBytes(msg)
			if v, ok = parseStruct(b, depth); !ok {
				return nil, false
			}
		case num == valueList && typ == protowire.BytesType:
			b, _ := protowire.ConsumeBytes(msg)
			list := []any{}
			if !fields(b, func(num protowire.Number, _ uint64, element []byte) bool {
				if num != 1 {
					return true
				}
				e, good := parseValue(element, depth+1)
				list = append(list, e)
				return good
			}) {
				return nil, false
			}
			v = list
		}
		msg = msg[size:]
	}
	return v, true
}

func parseStruct(msg []byte, depth int) (map[string]any, bool) {
	m := map[string]any{}
	ok := fields(msg, func(num protowire.Number, _ uint64, entry []byte) bool {
		if num != 1 {
			return true
		}
		key, value, good := kv(entry)
		if !good {
			return false
		}
		m[string(key)], good = parseValue(value, depth+1)
		return good
	})
	return m, ok
}
