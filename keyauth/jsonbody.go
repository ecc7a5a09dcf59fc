package keyauth

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// isJSON reports whether text is one JSON value whose texts can be decoded.
func isJSON(text string) bool {
	return json.Valid([]byte(text)) && !hasLoneSurrogate(text)
}

// hasLoneSurrogate reports whether an escape in valid JSON stands for half a character, which Kong's decoder refuses.
func hasLoneSurrogate(text string) bool {
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		if text[i+1] != 'u' {
			text = text[i+2:]
			continue
		}
		_, size := escapedRune(text[i:])
		if size == 0 {
			return true
		}
		text = text[i+size:]
	}
}

// escapedRune decodes \uXXXX, or two of them, at the beginning of s; size is 0 for half a character.
func escapedRune(s string) (r rune, size int) {
	unit := func(s string) rune {
		n, err := strconv.ParseUint(s[2:6], 16, 32)
		if err != nil {
			return utf8.RuneError
		}
		return rune(n)
	}
	const length = len(`\u0000`)
	r = unit(s)
	if !utf16.IsSurrogate(r) {
		return r, length
	}
	if len(s) >= 2*length && s[length] == '\\' && s[length+1] == 'u' {
		if r = utf16.DecodeRune(r, unit(s[length:])); r != utf8.RuneError {
			return r, 2 * length
		}
	}
	return 0, 0
}

// A member is one of an object's: name and value as they are written, and where both stand.
type member struct {
	name, value string
	begin, end  int
}

// eachMember yields the members of the object that text, valid JSON, is; nothing for another value.
func eachMember(text string) func(yield func(member) bool) {
	return func(yield func(member) bool) {
		i := skipSpace(text, 0)
		if i == len(text) || text[i] != '{' {
			return
		}
		i = skipSpace(text, i+1)
		for text[i] != '}' {
			m := member{begin: i}
			i = skipString(text, i)
			m.name = text[m.begin:i]
			i = skipSpace(text, skipSpace(text, i)+1) // the colon
			from := i
			i = skipValue(text, i)
			m.value, m.end = text[from:i], i
			if !yield(m) {
				return
			}
			if i = skipSpace(text, i); text[i] == ',' {
				i = skipSpace(text, i+1)
			}
		}
	}
}

// jsonValue finds a member of the object; of several the last counts, as for Kong's decoder.
func jsonValue(object, name string) (v value) {
	for m := range eachMember(object) {
		if !isQuoted(m.name, name) {
			continue
		}
		switch m.value[0] {
		case '"':
			v = value{single, unquote(m.value)}
		case '{', '[':
			v = value{kind: several}
		case 'f':
			v = value{}
		default:
			v = value{kind: other}
		}
	}
	return v
}

// withoutMember cuts the members of a name out of the object, each with one comma.
func withoutMember(text, name string) (out string, ok bool) {
	var b strings.Builder
	first, last, kept := -1, -1, -1 // where the first begins, where the last one and the last kept one end
	pending := ""                   // what stands between the last kept member and its neighbour
	for m := range eachMember(text) {
		if first < 0 {
			first = m.begin
			b.WriteString(text[:first])
		}
		if kept == last && kept >= 0 {
			pending = text[kept:m.begin]
		}
		if isQuoted(m.name, name) {
			ok = true
		} else {
			if kept >= 0 {
				b.WriteString(pending)
			}
			b.WriteString(text[m.begin:m.end])
			kept = m.end
		}
		last = m.end
	}
	if !ok {
		return "", false
	}
	b.WriteString(text[last:])
	return b.String(), true
}

// isQuoted reports whether the JSON text quoted stands for name.
func isQuoted(quoted, name string) bool {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1:len(quoted)-1] == name
	}
	return unquote(quoted) == name
}

// unquote decodes a JSON text of valid JSON. Bytes that are not UTF-8 stay as they are.
func unquote(quoted string) string {
	s := quoted[1 : len(quoted)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, size := escapedRune(s[i-1:])
			out = utf8.AppendRune(out, r)
			i += max(size, len(`\u0000`)) - 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the end of the text that begins at i.
func skipString(s string, i int) int {
	for i++; s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the end of the value that begins at i.
func skipValue(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '"':
			if i = skipString(s, i); depth == 0 {
				return i
			}
			i--
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of the number or word before it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}
