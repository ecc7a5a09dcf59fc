package mask

import (
	"bytes"
	"slices"
)

// broken masks a text that begins as JSON or XML and cannot be read: it was cut somewhere, something stands behind it, or
// it declares entities. Where a masked name stands in it as a name would, all of it is starred.
func (m *Masks) broken(text []byte, below []*node) (shown []byte, changed bool) {
	into := func(n *node) bool { return n.all != nil || n.indexes != nil }
	if slices.ContainsFunc(below, into) || len(m.words) > 0 && m.mentionedIn(text) {
		return []byte(Stars), true
	}
	return m.detectIn(text)
}

// mentionedIn reports whether a text has a member, or if it begins as XML an element or attribute, of a masked name. It
// reads the text once, whatever the number of masks.
func (m *Masks) mentionedIn(text []byte) bool {
	xml := firstByte(text) == '<'
	for i, before := range text {
		after := text[i+1:]
		switch {
		case before == '"':
			end := bytes.IndexAny(after, `"\`)
			if end >= 0 && m.words[string(after[:end])] && isMember(after[end:]) {
				return true
			}
		case !xml:
		case before == '<', before == ':', before <= ' ':
			end := bytes.IndexAny(after, " \t\r\n<>/=:\"'")
			if end > 0 && m.words[string(after[:end])] && (begins(after[end:], '=') || before > ' ' && isElement(after[end:])) {
				return true
			}
		}
	}
	return false
}

// isMember reports whether what stands behind a name makes it a member's. In a text that stands in a text its quote is
// escaped.
func isMember(after []byte) bool {
	rest, quoted := bytes.CutPrefix(bytes.TrimLeft(after, `\`), []byte(`"`))
	return quoted && begins(rest, ':')
}

// isElement reports whether what stands behind a name makes it that of an element with something in it.
func isElement(after []byte) bool {
	return len(after) > 1 && bytes.IndexByte([]byte(" \t\r\n>"), after[0]) >= 0
}

// begins reports whether a text begins with c, or with white space and then c.
func begins(text []byte, c byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == c
}
