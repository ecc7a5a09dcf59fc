package kongdev

import (
	"net/http"
	"slices"
	"strings"

	"kong-go-plugins/internal/kongdev/lua"
)

// A header is one line of a request or a response. key is its name as lookups
// see it: lower case.
type header struct{ name, key, value string }

// headerList holds headers in order, a repeated one as several lines.
type headerList []header

// newHeaderList orders a parsed header map: Go loses the client's order, so
// Host, User-Agent and Accept come first, as curl sends them, then the rest by
// name.
func newHeaderList(host string, m http.Header) headerList {
	l := make(headerList, 0, len(m)+4)
	if host != "" {
		l = append(l, header{"Host", "host", host})
	}
	for _, name := range [...]string{"User-Agent", "Accept"} {
		for _, v := range m[name] {
			l = append(l, header{name, strings.ToLower(name), v})
		}
	}
	first := len(l)
	for name, values := range m {
		if name == "User-Agent" || name == "Accept" {
			continue
		}
		key := strings.ToLower(name)
		for _, v := range values {
			l = append(l, header{name, key, v})
		}
	}
	slices.SortStableFunc(l[first:], func(a, b header) int { return strings.Compare(a.key, b.key) })
	return l
}

// get is the first value of key, which is in lower case.
func (l headerList) get(key string) (string, bool) {
	for i := range l {
		if l[i].key == key {
			return l[i].value, true
		}
	}
	return "", false
}

// values are all values of key.
func (l headerList) values(key string) []string {
	var out []string
	for i := range l {
		if l[i].key == key {
			out = append(out, l[i].value)
		}
	}
	return out
}

// set replaces the header by the values, in the place of its first line; no
// values remove it.
func (l *headerList) set(name string, values ...string) {
	key := strings.ToLower(name)
	at := slices.IndexFunc(*l, func(h header) bool { return h.key == key })
	if at >= 0 && len(values) == 1 { // the common case, without a copy
		rest := slices.DeleteFunc((*l)[at+1:], func(h header) bool { return h.key == key })
		(*l)[at] = header{name, key, values[0]}
		*l = (*l)[:at+1+len(rest)]
		return
	}
	if at >= 0 {
		*l = slices.DeleteFunc(*l, func(h header) bool { return h.key == key })
	} else {
		at = len(*l)
	}
	lines := make(headerList, len(values))
	for i, v := range values {
		lines[i] = header{name, key, v}
	}
	*l = slices.Insert(*l, min(at, len(*l)), lines...)
}

func (l *headerList) add(name, v string) {
	*l = append(*l, header{name, strings.ToLower(name), v})
}

func (l *headerList) remove(key string) {
	*l = slices.DeleteFunc(*l, func(h header) bool { return h.key == key })
}

// canonical is the list as a map of Go's.
func (l headerList) canonical() http.Header {
	m := make(http.Header, len(l))
	for i := range l {
		name := http.CanonicalHeaderKey(l[i].name)
		m[name] = append(m[name], l[i].value)
	}
	return m
}

// table is nginx-Lua's view of the first max lines: a repeated header is a list.
func (l headerList) table(max int) *lua.Table {
	t := &lua.Table{Fields: make(map[string]lua.Value, len(l))}
	for i := range l {
		if i >= max {
			break
		}
		addField(t, l[i].key, l[i].value)
	}
	return t
}

// addField adds one value to a table of single values and lists.
func addField(t *lua.Table, key string, v lua.Value) {
	switch old := t.Fields[key].(type) {
	case nil:
		t.Fields[key] = v
	case *lua.Table:
		old.List = append(old.List, v)
	default:
		t.Fields[key] = lua.NewList(old, v)
	}
}

// size is the length of the lines on the wire.
func (l headerList) size() int {
	n := 0
	for i := range l {
		n += len(l[i].name) + len(l[i].value) + len(": \r\n")
	}
	return n
}

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
