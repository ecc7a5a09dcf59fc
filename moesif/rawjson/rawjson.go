// Package rawjson reads and writes JSON as text: integers beyond 2^53, the order of members, duplicates and empty arrays
// survive. What reads a value takes text that Valid or Compact has accepted, and needs no errors of its own.
package rawjson

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting that counts as JSON. The decoders behind a collector stop far earlier than ours.
const MaxDepth = 200

// Valid reports whether v is one JSON value in UTF-8, at most MaxDepth deep.
func Valid(v []byte) bool {
	return depth(v) <= MaxDepth && utf8.Valid(v) && json.Valid(v)
}

// Compact returns v without white space between its tokens, or false when v is not JSON. A byte order mark at the
// start is tolerated.
func Compact(v []byte) ([]byte, bool) {
	v = bytes.TrimPrefix(v, []byte("\xef\xbb\xbf"))
	if depth(v) > MaxDepth || !utf8.Valid(v) {
		return nil, false
	}
	var b bytes.Buffer
	b.Grow(len(v))
	if json.Compact(&b, v) != nil {
		return nil, false
	}
	return b.Bytes(), true
}

// depth returns how deep arrays and objects nest, whether or not v is JSON.
func depth(v []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			i = StringEnd(v, i) - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// StringEnd returns the index behind the string that starts at v[i], or len(v) when it does not end.
func StringEnd(v []byte, i int) int {
	for i++; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(v)
}

// ValueEnd returns the index behind the value that starts at v[i].
func ValueEnd(v []byte, i int) int {
	depth := 0
	for i < len(v) {
		switch v[i] {
		case '"':
			i = StringEnd(v, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				if depth < 0 { // the end of what holds this value
					return i
				}
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// SkipSpace returns the index of the first byte at or behind i that is no white space.
func SkipSpace(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\t' || v[i] == '\r' || v[i] == '\n') {
		i++
	}
	return i
}

// Members calls f with the name, decoded, and the text of each member of the object v. A v that is not an object has
// none.
func Members(v []byte, f func(name string, value []byte)) {
	i := SkipSpace(v, 0)
	if i >= len(v) || v[i] != '{' {
		return
	}
	for i = SkipSpace(v, i+1); i < len(v) && v[i] == '"'; {
		end := StringEnd(v, i)
		name := v[i:end]
		i = SkipSpace(v, end)
		i = SkipSpace(v, min(i+1, len(v))) // the colon
		end = ValueEnd(v, i)
		f(Unquote(name), v[i:end])
		if i = SkipSpace(v, end); i < len(v) && v[i] == ',' {
			i = SkipSpace(v, i+1)
		}
	}
}

// Elements calls f with the text of each element of the array v. A v that is not an array has none.
func Elements(v []byte, f func(value []byte)) {
	i := SkipSpace(v, 0)
	if i >= len(v) || v[i] != '[' {
		return
	}
	for i = SkipSpace(v, i+1); i < len(v) && v[i] != ']'; {
		end := ValueEnd(v, i)
		if end == i {
			return
		}
		f(v[i:end])
		if i = SkipSpace(v, end); i < len(v) && v[i] == ',' {
			i = SkipSpace(v, i+1)
		}
	}
}

// Unquote decodes a JSON string; invalid UTF-8 in it becomes U+FFFD.
func Unquote(quoted []byte) string {
	if len(quoted) >= 2 && bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // "" for what is not a string
	return s
}

// IsString reports whether the text of a value is a string.
func IsString(v []byte) bool { return len(v) > 0 && v[0] == '"' }

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Only what JSON wants escaped is; invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			start = i + 1
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// IsObject reports whether the text of a value is an object, white space before it tolerated.
func IsObject(v []byte) bool {
	i := SkipSpace(v, 0)
	return i < len(v) && v[i] == '{'
}
