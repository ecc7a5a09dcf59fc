package mask

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// form masks application/x-www-form-urlencoded. As in a URL, a field begins behind & or ; and its value ends only
// with &.
func (m *Masks) form(body []byte) (shown []byte, ok bool) {
	switch firstByte(body) {
	case '{', '[', '"', '<':
		return m.asOther(body)
	}
	if !isText(body) || !utf8.Valid(body) {
		return nil, false
	}
	out := make([]byte, 0, len(body))
	first := true
	for f := range strings.SplitSeq(string(body), "&") {
		f, keep := m.formField(f)
		if !keep {
			continue
		}
		if !first {
			out = append(out, '&')
		}
		first = false
		out = append(out, f...)
	}
	return out, true
}

// formField masks what stands between two &.
func (m *Masks) formField(f string) (shown string, keep bool) {
	for start := 0; ; {
		end := start + indexAny(f[start:], "=;")
		if end < len(f) && f[end] == '=' {
			if _, hit := m.field(unescape(f[start:end])); hit {
				if !m.remove {
					return m.replaced(f[:end+1], f[end+1:]), true
				}
				return m.detectEscaped(strings.TrimSuffix(f[:start], ";")), start > 0
			}
		}
		next := strings.IndexByte(f[start:], ';')
		if next < 0 {
			break
		}
		start += next + 1
	}
	fields := []string{f}
	if _, value, _ := strings.Cut(f, "="); !isNested(unescape(value)) {
		fields = strings.Split(f, ";")
	}
	for i, f := range fields {
		fields[i] = m.fieldOfText(f)
	}
	return strings.Join(fields, ";"), true
}

// fieldOfText masks the value of a field that is not masked itself.
func (m *Masks) fieldOfText(f string) (shown string) {
	name, value, _ := strings.Cut(f, "=")
	if plain := unescape(value); isNested(plain) {
		below, _ := m.field(unescape(name))
		if inner, changed := m.text([]byte(plain), 0, below); changed {
			return m.detectEscaped(name) + "=" + url.QueryEscape(string(inner))
		}
	}
	return m.detectEscaped(f)
}

// isNested reports whether a value may be JSON or XML.
func isNested(value string) bool {
	switch firstByte([]byte(value)) {
	case '{', '[', '"', '<':
		return true
	}
	return false
}

// replaced returns a field, whose head ends with =, with something else for its value.
func (m *Masks) replaced(head, value string) string {
	if value == "" {
		return head
	}
	return m.detectEscaped(head) + m.instead(unescape(value))
}
