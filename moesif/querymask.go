package moesif

import (
	"net/url"
	"slices"
	"strings"
)

// masked is what stands for the value of a masked query argument.
const masked = "*****"

// maskQuery replaces the value of every named argument of a URL, or of a text that holds one; every other byte stays as it
// is. Names are compared after percent-decoding and exactly. An argument begins behind ?, #, & or ;, for servers differ in
// what separates arguments and tokens travel in fragments, too; a value ends only with & or #, so that none is cut short.
func maskQuery(uri string, names []string) string {
	start := strings.IndexAny(uri, "?#")
	if len(names) == 0 || start < 0 {
		return uri
	}
	var b strings.Builder
	b.Grow(len(uri))
	b.WriteString(uri[:start])
	for rest := uri[start:]; rest != ""; {
		b.WriteByte(rest[0]) // what stands before an argument
		rest = rest[1:]
		end := indexAny(rest, "=?#&;")
		if name := rest[:end]; end < len(rest) && rest[end] == '=' && slices.Contains(names, unescape(name)) {
			b.WriteString(name)
			b.WriteByte('=')
			rest = rest[end+1:]
			if end = indexAny(rest, "&#"); end > 0 {
				b.WriteString(masked)
			}
		} else {
			end = indexAny(rest, "?#&;")
			b.WriteString(rest[:end])
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
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] == '%' && i+2 < len(s):
			if c, err := url.QueryUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
			b.WriteByte('%')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
