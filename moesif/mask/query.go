package mask

import (
	"strings"
)

// URL masks a URL, or a text that holds one: the value of every named argument is replaced, and detectors look at the
// rest. Every other byte stays as it is. Names are compared after percent-decoding and exactly. An argument begins behind
// ?, #, & or ;, for servers differ in what separates arguments and tokens travel in fragments, too; a value ends only
// with & or #, so that none is cut short.
func (m *Masks) URL(uri string) string {
	if m == nil || len(m.query) == 0 && !m.detect.any() {
		return uri
	}
	if len(m.query) == 0 {
		return m.detectEscaped(uri)
	}
	start := indexAny(uri, "?#")
	if start == len(uri) {
		return m.detectEscaped(uri)
	}
	var b strings.Builder
	b.Grow(len(uri))
	b.WriteString(m.detectEscaped(uri[:start]))
	for rest := uri[start:]; rest != ""; {
		b.WriteByte(rest[0]) // what stands before an argument
		rest = rest[1:]
		end := indexAny(rest, "=?#&;")
		if name := rest[:end]; end < len(rest) && rest[end] == '=' && m.query[unescape(name)] {
			b.WriteString(name)
			b.WriteByte('=')
			rest = rest[end+1:]
			if end = indexAny(rest, "&#"); end > 0 {
				b.WriteString(m.instead(unescape(rest[:end])))
			}
		} else {
			end = indexAny(rest, "?#&;")
			b.WriteString(m.detectEscaped(rest[:end]))
		}
		rest = rest[end:]
	}
	return b.String()
}

// indexAny returns the index of the first of chars in s, or len(s).
func indexAny(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

// unescape decodes %xx and +; what is no escape stays as it is, as Kong does it. (url.QueryUnescape gives up on the
// first one, and an argument named "%zz%70assword" would then not be recognised.)
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if decoded, ok := escapeAt(s, i); ok {
			c = decoded
			i += 2
		}
		b = append(b, c)
	}
	return string(b)
}

// escapeAt returns what an escape at s[i] stands for.
func escapeAt(s string, i int) (byte, bool) {
	if s[i] != '%' || i+2 >= len(s) {
		return 0, false
	}
	high, low := hexValue(s[i+1]), hexValue(s[i+2])
	return high<<4 | low, high < 16 && low < 16
}

// hexValue returns the value of a hexadecimal digit, 16 for what is none.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// detectEscaped is detectIn for a part of a URL: what is found is looked for in the decoded text and replaced in the
// escaped one.
func (m *Masks) detectEscaped(s string) string {
	if !m.detect.any() {
		return s
	}
	if strings.IndexByte(s, '%') < 0 {
		if shown, changed := m.detectIn([]byte(s)); changed {
			return string(shown)
		}
		return s
	}
	plain := make([]byte, 0, len(s))
	origin := make([]int, 0, len(s)+1) // where in s each byte of plain begins
	for i := 0; i < len(s); i++ {
		origin = append(origin, i)
		c, ok := escapeAt(s, i)
		if ok {
			i += 2
		} else {
			c = s[i]
		}
		plain = append(plain, c)
	}
	origin = append(origin, len(s))
	spans := m.detect.find(plain)
	if len(spans) == 0 {
		return s
	}
	var b strings.Builder
	from := 0
	for _, f := range spans {
		b.WriteString(s[from:origin[f.start]])
		b.WriteString(m.instead(string(plain[f.start:f.end])))
		from = origin[f.end]
	}
	b.WriteString(s[from:])
	return b.String()
}
