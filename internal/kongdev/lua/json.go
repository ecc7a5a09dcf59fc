package lua

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// AppendJSON prints v as Kong's cjson does: numbers with 16 digits, bytes as
// they are, control characters escaped, slashes not. Besides Lua values it
// takes what a configuration file decodes to (int, []any, map[string]any). Nil
// fields of a map are left out, as Lua has none. Fields come in the order of
// their names, where Kong's order is random.
func AppendJSON(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return AppendJSONNumber(dst, float64(v))
	case int64:
		return AppendJSONNumber(dst, float64(v))
	case uint64:
		return AppendJSONNumber(dst, float64(v))
	case float64:
		return AppendJSONNumber(dst, v)
	case string:
		return AppendJSONString(dst, v)
	case []string:
		return appendJSONList(dst, v)
	case []any:
		return appendJSONList(dst, v)
	case map[string]any:
		return appendJSONFields(dst, v)
	case *Table:
		if v.isList() || v.Array && len(v.Fields) == 0 {
			return appendJSONList(dst, v.List)
		}
		return appendJSONFields(dst, v.Fields)
	}
	return AppendJSONString(dst, fmt.Sprint(v))
}

func appendJSONList[T any](dst []byte, list []T) []byte {
	dst = append(dst, '[')
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSON(dst, v)
	}
	return append(dst, ']')
}

func appendJSONFields(dst []byte, fields map[string]any) []byte {
	dst = append(dst, '{')
	first := true
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		v := fields[key]
		if v == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = AppendJSONString(dst, key)
		dst = append(dst, ':')
		dst = AppendJSON(dst, v)
	}
	return append(dst, '}')
}

// plainInJSON are the bytes that stand for themselves in a text.
var plainInJSON = func() (plain [256]bool) { // read-only
	for c := range plain {
		plain[c] = c >= 0x20 && c != '"' && c != '\\' && c != 0x7f
	}
	return plain
}()

// AppendJSONString is AppendJSON for a text.
func AppendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if plainInJSON[c] {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// AppendJSONNumber is AppendJSON for a number.
func AppendJSONNumber(dst []byte, f float64) []byte { return appendNumber(dst, f, 16) }

// FormatNumber is C's %.<digits>g.
func FormatNumber(f float64, digits int) string { return string(appendNumber(nil, f, digits)) }

func appendNumber(dst []byte, f float64, digits int) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1e14 {
		if f == 0 && math.Signbit(f) {
			return append(dst, "-0"...)
		}
		return strconv.AppendInt(dst, int64(f), 10)
	}
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	}
	return strconv.AppendFloat(dst, f, 'g', digits, 64)
}
