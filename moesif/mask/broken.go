package mask

import (
	"bytes"
	"slices"
)

// broken masks a text that begins as JSON or XML and cannot be read: it was cut somewhere, something stands behind it, or
// it declares entities. Where a masked name stands in it as a name would, all of it is starred.
func (m *Masks) broken(text []byte, below []*node) (shown []byte, changed bool) {
	into := func(n *node) bool { return n.all != nil || n.indexes != nil }
	mentioned := func(word string) bool { return mentions(text, word) }
	if slices.ContainsFunc(below, into) || slices.ContainsFunc(m.words, mentioned) {
		return []byte(Stars), true
	}
	return m.detectIn(text)
}

// mentions reports whether a text has a member, or if it begins as XML an element or attribute, of that name.
func mentions(text []byte, name string) bool {
	xml := firstByte(text) == '<'
	for from := 0; ; {
		at := bytes.Index(text[from:], []byte(name))
		if at < 0 {
			return false
		}
		at += from
		from = at + 1
		if at == 0 {
			continue
		}
		after := text[at+len(name):]
		switch before := text[at-1]; {
		case before == '"':
			if rest, ok := bytes.CutPrefix(bytes.TrimLeft(after, `\`), []byte(`"`)); ok && begins(rest, ':') {
				return true
			}
		case !xml:
		case before == '<', before == ':':
			if len(after) > 1 && bytes.IndexByte([]byte(" \t\r\n>"), after[0]) >= 0 || begins(after, '=') {
				return true
			}
		case before <= ' ' && begins(after, '='):
			return true
		}
	}
}

// begins reports whether a text begins with c, or with white space and then c.
func begins(text []byte, c byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == c
}
