package mask

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A piece is what stands between two tags, or a part of that: in[start:end], of which in[from:to] is the content.
type piece struct {
	kind                 pieceKind
	start, from, to, end int
}

type pieceKind int

const (
	broken pieceKind = iota // it has no end
	plainText
	section // CDATA
	comment
	instruction
)

// brackets are what the pieces begin and end with.
var brackets = []struct { // read-only
	kind        pieceKind
	open, close []byte
}{{section, []byte("<![CDATA["), []byte("]]>")}, {comment, []byte("<!--"), []byte("-->")}, {instruction, []byte("<?"), []byte("?>")}}

// pieceAt returns the piece that begins at in[at], or false when it is a tag or anything else that does.
func pieceAt(in []byte, at int) (p piece, found bool) {
	if in[at] != '<' {
		end := bytes.IndexByte(in[at:], '<')
		if end < 0 {
			end = len(in) - at
		}
		return piece{plainText, at, at, at + end, at + end}, true
	}
	for _, b := range brackets {
		inner, found := bytes.CutPrefix(in[at:], b.open)
		if !found {
			continue
		}
		length := bytes.Index(inner, b.close)
		if length < 0 || b.kind == comment && bytes.Index(inner, []byte("--")) < length {
			return piece{}, true
		}
		from := at + len(b.open)
		return piece{b.kind, at, from, from + length, from + length + len(b.close)}, true
	}
	return piece{}, false
}

// A joined is a text of several parts, copied only if there is more than one.
type joined struct {
	bytes []byte
	parts int
}

func (j *joined) add(part []byte) {
	switch j.parts++; j.parts {
	case 1:
		j.bytes = part
	case 2:
		j.bytes = append(bytes.Clone(j.bytes), part...)
	default:
		j.bytes = append(j.bytes, part...)
	}
}

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
