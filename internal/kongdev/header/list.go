// Package header holds the header lines of requests and responses: in their order, repeated ones too.
package header

import (
	"net/http"
	"slices"
	"strings"

	"kong-go-plugins/internal/kongdev/lua"
)

// A Line is one line of a request or a response. Key is its name as lookups
// see it: lower case.
type Line struct{ Name, Key, Value string }

// List holds headers in order, a repeated one as several lines.
type List []Line

// NewList orders a parsed header map: Go loses the client's order, so
// Host, User-Agent and Accept come first, as curl sends them, then the rest by
// name.
func NewList(host string, m http.Header) List {
	l := make(List, 0, len(m)+4)
	if host != "" {
		l = append(l, Line{"Host", "host", host})
	}
	for _, name := range [...]string{"User-Agent", "Accept"} {
		for _, v := range m[name] {
			l = append(l, Line{name, strings.ToLower(name), v})
		}
	}
	first := len(l)
	for name, values := range m {
		if name == "User-Agent" || name == "Accept" {
			continue
		}
		key := strings.ToLower(name)
		for _, v := range values {
			l = append(l, Line{name, key, v})
		}
	}
	slices.SortStableFunc(l[first:], func(a, b Line) int { return strings.Compare(a.Key, b.Key) })
	return l
}

// Get is the first value of key, which is in lower case.
func (l List) Get(key string) (string, bool) {
	for i := range l {
		if l[i].Key == key {
			return l[i].Value, true
		}
	}
	return "", false
}

// Values are all values of key.
func (l List) Values(key string) []string {
	var out []string
	for i := range l {
		if l[i].Key == key {
			out = append(out, l[i].Value)
		}
	}
	return out
}

// Set replaces the header by the values, in the place of its first line; no
// values remove it.
func (l *List) Set(name string, values ...string) {
	key := strings.ToLower(name)
	at := slices.IndexFunc(*l, func(h Line) bool { return h.Key == key })
	if at >= 0 && len(values) == 1 { // the common case, without a copy
		rest := slices.DeleteFunc((*l)[at+1:], func(h Line) bool { return h.Key == key })
		(*l)[at] = Line{name, key, values[0]}
		*l = (*l)[:at+1+len(rest)]
		return
	}
	if at >= 0 {
		*l = slices.DeleteFunc(*l, func(h Line) bool { return h.Key == key })
	} else {
		at = len(*l)
	}
	lines := make(List, len(values))
	for i, v := range values {
		lines[i] = Line{name, key, v}
	}
	*l = slices.Insert(*l, min(at, len(*l)), lines...)
}

// Add appends a line.
func (l *List) Add(name, v string) {
	*l = append(*l, Line{name, strings.ToLower(name), v})
}

// Remove removes all lines of key, which is in lower case.
func (l *List) Remove(key string) {
	*l = slices.DeleteFunc(*l, func(h Line) bool { return h.Key == key })
}

// Canonical is the list as a map of Go's.
func (l List) Canonical() http.Header {
	m := make(http.Header, len(l))
	for i := range l {
		name := http.CanonicalHeaderKey(l[i].Name)
		m[name] = append(m[name], l[i].Value)
	}
	return m
}

// Table is nginx-Lua's view of the first max lines: a repeated header is a list.
func (l List) Table(max int) *lua.Table {
	t := &lua.Table{Fields: make(map[string]lua.Value, len(l))}
	for i := range l {
		if i >= max {
			break
		}
		t.Add(l[i].Key, l[i].Value)
	}
	return t
}

// Size is the length of the lines on the wire.
func (l List) Size() int {
	n := 0
	for i := range l {
		n += len(l[i].Name) + len(l[i].Value) + len(": \r\n")
	}
	return n
}
