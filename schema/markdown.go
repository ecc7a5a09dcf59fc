package schema

import (
	"fmt"
	"strings"
)

// Markdown returns the parameter table of the documentation, ending in a newline. Fields of records are named by their
// path; an item of a list is written as "[]", an entry of a map as "{}".
func (p Plugin) Markdown() string {
	var b strings.Builder
	b.WriteString("| parameter | type | default | what it does |\n|---|---|---|---|\n")
	p.config().rows(&b, "", true)
	return b.String()
}

func (f *Field) rows(b *strings.Builder, path string, implied bool) {
	for i := range f.Fields {
		sub := &f.Fields[i]
		at := under(path, sub.Name)
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", at, cell(sub.typeText()), cell(sub.defaultText(implied)), cell(sub.docText()))
		switch {
		case sub.Type == Record:
			sub.rows(b, at, implied)
		case sub.Elements != nil && sub.Elements.Type == Record:
			sub.Elements.rows(b, at+"[]", false)
		case sub.Values != nil && sub.Values.Type == Record:
			sub.Values.rows(b, at+"{}", false)
		}
	}
}

// cell makes text fit into a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\r\n", " ", "\n", " ").Replace(s)
}

// typeText is the type of a field with its bounds.
func (f *Field) typeText() string {
	text := string(f.Type)
	switch {
	case (f.Type == Array || f.Type == Set) && f.Elements != nil:
		text += " of " + f.Elements.typeText()
	case f.Type == Map && f.Values != nil:
		text += " of " + f.Values.typeText()
	}
	if f.Unit != "" {
		text += " (" + f.Unit + ")"
	}
	if len(f.Between) == 2 {
		text += ", " + luaNumber(f.Between[0]) + " to " + luaNumber(f.Between[1])
	}
	if f.Gt != nil {
		text += ", above " + luaNumber(*f.Gt)
	}
	if f.OneOf != nil {
		texts := make([]string, len(f.OneOf))
		for i, v := range f.OneOf {
			texts[i] = code(luaString(plain(v)))
		}
		text += ": " + strings.Join(texts, ", ")
	}
	return text
}

// code writes s as code, also when it holds backquotes.
func code(s string) string {
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

func (f *Field) defaultText(implied bool) string {
	switch {
	case f.Default != nil:
		return code(string(must(plain(f.Default))))
	case f.Type == Record && (f.Required || implied && !f.Optional):
		return "" // its fields have theirs
	case f.Required:
		return "**required**"
	}
	return ""
}

// docText is what the table says of a field.
func (f *Field) docText() string {
	text := joinText(f.Description, f.Doc)
	if f.Deprecation != nil {
		text = joinText(text, "Deprecated: "+f.Deprecation.Message+".")
	}
	if f.Referenceable {
		text = joinText(text, "Takes a vault reference.")
	}
	return text
}
