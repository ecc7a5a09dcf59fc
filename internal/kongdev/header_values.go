package kongdev

import (
	"strings"

	"kong-go-plugins/internal/kongdev/lua"
)

// cleanHeader percent-encodes what nginx-Lua does not let into a header.
func cleanHeader(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			b.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// cleanName percent-encodes what cannot stand in a header's name.
func cleanName(s string) string {
	return escapeBytes(s, func(c byte) bool { return c > 0x20 && c < 0x7f && strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) < 0 })
}

// headerValues is what Kong makes of a header value given by a plugin: the
// values to send ("" becomes a space), or the error of its argument check.
// inMap is set for the functions that take a table of headers.
func headerValues(name string, v lua.Value, inMap bool) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{blankToSpace(v)}, nil
	case float64, bool:
		return []string{lua.ToString(v)}, nil
	case *lua.Table:
		var out []string
		for _, item := range v.List {
			if item == nil {
				break
			}
			s, ok := item.(string)
			if !ok {
				return nil, lua.Raise("invalid header value in array %q: got %s, expected string", name, lua.TypeOf(item))
			}
			out = append(out, blankToSpace(s))
		}
		return out, nil
	}
	if inMap {
		return nil, lua.Raise("invalid header value for %q: got %s, expected string, number, boolean or array of strings", name, lua.TypeOf(v))
	}
	return nil, lua.Raise("invalid header value for %q: got %s, expected array of string, string, number or boolean", name, lua.TypeOf(v))
}

func blankToSpace(s string) string {
	if s == "" {
		return " "
	}
	return cleanHeader(s)
}
