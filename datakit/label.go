package datakit

import (
	"errors"
	"fmt"
	"strings"
)

// A label names an end of a link: a node, one of its fields, or a part of what is in the field.
type label struct {
	node string
	rest string // behind the first dot; "" for the whole value
}

func (l label) String() string {
	if l.rest == "" {
		return l.node
	}
	return l.node + "." + l.rest
}

// maxLabel is the length of a label in bytes.
const maxLabel = 255

// parseLabel reads NODE or NODE.FIELD. White space around the parts does not count. `$self` is the whole value.
func parseLabel(s string) (label, error) {
	if len(s) > maxLabel {
		return label{}, fmt.Errorf("longer than %d characters", maxLabel)
	}
	name, rest, dotted := strings.Cut(s, ".")
	l := label{strings.TrimSpace(name), strings.TrimSpace(rest)}
	switch {
	case l.node == "":
		return label{}, errors.New("names no node; write NODE or NODE.FIELD")
	case !isNodeName(l.node):
		return label{}, fmt.Errorf("%q is no name of a node: it begins with a letter or _, then letters, digits, _ and -", l.node)
	case dotted && l.rest == "":
		return label{}, errors.New("nothing stands behind the dot; write NODE or NODE.FIELD")
	case l.rest == "$self":
		l.rest = ""
	}
	for part := range strings.SplitSeq(l.rest, ".") {
		if dotted && l.rest != "" && strings.TrimSpace(part) == "" {
			return label{}, errors.New("two dots without a name between them")
		}
	}
	return l, nil
}

// isNodeName reports whether s can be the name of a node: ^[A-Za-z_][A-Za-z0-9_-]{0,254}$.
func isNodeName(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// split returns the field and the path in it. A field whose name is all of the rest, dots and all, comes first.
func (l label) split(isField func(string) bool) (field string, path []string) {
	if l.rest == "" || isField(l.rest) {
		return l.rest, nil
	}
	parts := strings.Split(l.rest, ".")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts[0], parts[1:]
}
