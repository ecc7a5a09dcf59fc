package mask

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// unescapeXML decodes the references in a text; false when one is none of XML's own, for nobody knows what it stands for.
func unescapeXML(raw []byte) (plain []byte, ok bool) {
	if bytes.IndexByte(raw, '&') < 0 {
		return raw, true
	}
	plain = make([]byte, 0, len(raw))
	for {
		before, after, found := bytes.Cut(raw, []byte("&"))
		plain = append(plain, before...)
		if !found {
			return plain, true
		}
		end := bytes.IndexByte(after[:min(12, len(after))], ';')
		if end < 0 {
			return nil, false
		}
		r, ok := reference(string(after[:end]))
		if !ok {
			return nil, false
		}
		plain = utf8.AppendRune(plain, r)
		raw = after[end+1:]
	}
}

// reference returns the character that &name; stands for.
func reference(name string) (rune, bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, found := strings.CutPrefix(name, "#")
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	return rune(n), found && err == nil && n > 0 && n <= utf8.MaxRune && utf8.ValidRune(rune(n))
}

// escapeXML writes a text for an element or an attribute.
func escapeXML(text []byte) string {
	return xmlEscapes.Replace(string(text))
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;") // read-only
