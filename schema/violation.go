package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Violation returns the sentence with which Kong refuses such a configuration, for instance
// "schema violation (config.batch_size: value should be between 1 and 1000)". What is wrong below a field of config is
// written as Kong writes a Lua table, over several lines and with items counted from 1; of a map only the first mistake
// is told, without its key.
func Violation(err error) string {
	top := &mistakes{}
	for _, e := range Errors(err) {
		path := e.Field
		if e.inMap != "" {
			path = e.inMap
		}
		top.add(pathKeys(path), e)
	}
	var texts []string
	for _, m := range top.sorted() {
		texts = append(texts, "config."+m.key.text+": "+m.write(""))
	}
	switch len(texts) {
	case 0:
		return ""
	case 1:
		return "schema violation (" + texts[0] + ")"
	}
	return fmt.Sprintf("%d schema violations (%s)", len(texts), strings.Join(texts, "; "))
}

// A pathKey is one step of a path: a name, or the position of an item, from 1.
type pathKey struct {
	text  string
	index int
}

// pathKeys takes the path of a FieldError apart.
func pathKeys(path string) (keys []pathKey) {
	if path == "" {
		return nil
	}
	for name := range strings.SplitSeq(path, ".") {
		name, rest, _ := strings.Cut(name, "[")
		keys = append(keys, pathKey{text: name})
		for rest != "" {
			var digits string
			digits, rest, _ = strings.Cut(rest, "]")
			rest = strings.TrimPrefix(rest, "[")
			if i, err := strconv.Atoi(digits); err == nil {
				keys = append(keys, pathKey{index: i + 1})
			}
		}
	}
	return keys
}

// mistakes is Kong's table of errors: a text, or what is wrong with parts, or with the whole (entity).
type mistakes struct {
	key    pathKey
	text   string
	parts  []*mistakes
	entity []string
}

func (m *mistakes) add(path []pathKey, e *FieldError) {
	if len(path) == 0 {
		if e.Entity && e.inMap == "" || m.key == (pathKey{}) {
			m.entity = append(m.entity, e.Text)
		} else if m.text == "" {
			m.text = e.Text
		}
		return
	}
	i := slices.IndexFunc(m.parts, func(p *mistakes) bool { return p.key == path[0] })
	if i < 0 {
		i = len(m.parts)
		m.parts = append(m.parts, &mistakes{key: path[0]})
	}
	m.parts[i].add(path[1:], e)
}

// sorted returns the parts as Kong does: the rules over several fields first, then by name.
func (m *mistakes) sorted() []*mistakes {
	parts := slices.Clone(m.parts)
	slices.SortFunc(parts, func(a, b *mistakes) int {
		return cmp.Or(cmp.Compare(a.key.index, b.key.index), strings.Compare(a.key.text, b.key.text))
	})
	if len(m.entity) > 0 {
		e := &mistakes{key: pathKey{text: "@entity"}}
		for i, text := range m.entity {
			e.parts = append(e.parts, &mistakes{key: pathKey{index: i + 1}, text: text})
		}
		parts = append([]*mistakes{e}, parts...)
	}
	return parts
}

// write writes a text plain at the top and quoted in a table.
func (m *mistakes) write(indent string) string {
	if len(m.parts) == 0 && len(m.entity) == 0 {
		if indent == "" {
			return m.text
		}
		return strconv.Quote(m.text)
	}
	inner := indent + "  "
	var b strings.Builder
	b.WriteString("{")
	next := 1
	for i, part := range m.sorted() {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString("\n" + inner)
		switch {
		case part.key.index == next:
			next++
		case part.key.index > 0:
			fmt.Fprintf(&b, "[%d] = ", part.key.index)
		case isLuaName(part.key.text):
			b.WriteString(part.key.text + " = ")
		default:
			fmt.Fprintf(&b, "[%q] = ", part.key.text)
		}
		b.WriteString(part.write(inner))
	}
	return b.String() + "\n" + indent + "}"
}
