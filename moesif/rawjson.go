package moesif

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// JSON is kept as text all the way: integers beyond 2^53, the order of members, duplicates and empty arrays survive. The
// functions below read text that validJSON has accepted, so they need no errors of their own.

// maxJSONDepth is the deepest nesting that counts as JSON. The decoders behind a collector stop far earlier than ours.
const maxJSONDepth = 200

// validJSON reports whether v is one JSON value in UTF-8, at most maxJSONDepth deep.
func validJSON(v []byte) bool {
	return jsonDepth(v) <= maxJSONDepth && utf8.Valid(v) && json.Valid(v)
}

// compactJSON returns v without white space between its tokens, or false when v is not JSON. A byte order mark at the
// start is tolerated.
func compactJSON(v []byte) ([]byte, bool) {
	v = bytes.TrimPrefix(v, []byte("\xef\xbb\xbf"))
	if jsonDepth(v) > maxJSONDepth || !utf8.Valid(v) {
		return nil, false
	}
	var b bytes.Buffer
	b.Grow(len(v))
	if json.Compact(&b, v) != nil {
		return nil, false
	}
	return b.Bytes(), true
}

// jsonDepth returns how deep arrays and objects nest, whether or not v is JSON.
func jsonDepth(v []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			i = stringEnd(v, i) - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// stringEnd returns the index behind the string that starts at v[i], or len(v) when it does not end.
func stringEnd(v []byte, i int) int {
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

// valueEnd returns the index behind the value that starts at v[i].
func valueEnd(v []byte, i int) int {
	depth := 0
	for i < len(v) {
		switch v[i] {
		case '"':
			i = stringEnd(v, i)
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

func skipSpace(v []byte, i int) int {
	for i < len(v) && (v[i] == ' ' || v[i] == '\t' || v[i] == '\r' || v[i] == '\n') {
		i++
	}
	return i
}

// members calls f with the name, decoded, and the text of each member of the object v. A v that is not an object has
// none.
func members(v []byte, f func(name string, value []byte)) {
	i := skipSpace(v, 0)
	if i >= len(v) || v[i] != '{' {
		return
	}
	for i = skipSpace(v, i+1); i < len(v) && v[i] == '"'; {
		end := stringEnd(v, i)
		name := v[i:end]
		i = skipSpace(v, end)
		i = skipSpace(v, min(i+1, len(v))) // the colon
		end = valueEnd(v, i)
		f(unquote(name), v[i:end])
		if i = skipSpace(v, end); i < len(v) && v[i] == ',' {
			i = skipSpace(v, i+1)
		}
	}
}

// elements calls f with the text of each element of the array v. A v that is not an array has none.
func elements(v []byte, f func(value []byte)) {
	i := skipSpace(v, 0)
	if i >= len(v) || v[i] != '[' {
		return
	}
	for i = skipSpace(v, i+1); i < len(v) && v[i] != ']'; {
		end := valueEnd(v, i)
		if end == i {
			return
		}
		f(v[i:end])
		if i = skipSpace(v, end); i < len(v) && v[i] == ',' {
			i = skipSpace(v, i+1)
		}
	}
}

// unquote decodes a JSON string; invalid UTF-8 in it becomes U+FFFD.
func unquote(quoted []byte) string {
	if len(quoted) >= 2 && bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // "" for what is not a string
	return s
}

// isString reports whether the text of a value is a string.
func isString(v []byte) bool { return len(v) > 0 && v[0] == '"' }

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Only what JSON wants escaped is; invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
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
