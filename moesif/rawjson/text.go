package rawjson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Unquote decodes a JSON string; invalid UTF-8 in it, and half of a surrogate pair, becomes U+FFFD. What is not a string
// gives "".
func Unquote[T Text](quoted T) string {
	n := len(quoted)
	if n < 2 || quoted[0] != '"' || quoted[n-1] != '"' {
		return ""
	}
	inner := string(quoted[1 : n-1])
	if strings.IndexByte(inner, '\\') < 0 && utf8.ValidString(inner) {
		return inner
	}
	return string(AppendUnquoted(make([]byte, 0, len(inner)), quoted))
}

// AppendUnquoted appends what Unquote returns.
func AppendUnquoted[T Text](dst []byte, quoted T) []byte {
	for i := 1; i < len(quoted)-1; {
		switch c := quoted[i]; {
		case c == '\\':
			r, size := unescape(quoted, i)
			dst = utf8.AppendRune(dst, r)
			i += size
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, size := decodeRune(quoted, i)
			dst = utf8.AppendRune(dst, r)
			i += size
		}
	}
	return dst
}

// decodeRune decodes the rune at v[i].
func decodeRune[T Text](v T, i int) (rune, int) {
	var b [utf8.UTFMax]byte
	n := copy(b[:], v[i:min(i+utf8.UTFMax, len(v))])
	return utf8.DecodeRune(b[:n])
}

// unescape decodes the escape at v[i] and returns its length.
func unescape[T Text](v T, i int) (rune, int) {
	switch c := v[i+1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r := hexRune(v, i+2)
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if i+12 <= len(v) && v[i+6] == '\\' && v[i+7] == 'u' {
			if pair := utf16.DecodeRune(r, hexRune(v, i+8)); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return utf8.RuneError, 6
	default:
		return rune(c), 2
	}
}

// hexRune reads four hexadecimal digits.
func hexRune[T Text](v T, i int) rune {
	var r rune
	for _, c := range []byte(v[i:min(i+4, len(v))]) {
		switch {
		case isDigit(c):
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		r = r<<4 | rune(c&15)
	}
	return r
}

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Only what JSON wants escaped is; invalid UTF-8 becomes U+FFFD.
func AppendString[T Text](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := asciiEnd(s, 0); i < len(s); {
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
		r, size := decodeRune(s, i)
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
