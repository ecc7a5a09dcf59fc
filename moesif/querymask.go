package moesif

import (
	"net/url"
	"slices"
	"strings"
)

// masked is what stands for the value of a masked query argument.
const masked = "*****"

// maskQuery replaces the value of every named argument of a URL; every other byte stays as it is. Names are compared
// after percent-decoding and exactly. seen is told each replaced value, decoded.
func maskQuery(uri string, names []string, seen func(value string)) string {
	start := strings.IndexByte(uri, '?')
	if len(names) == 0 || start < 0 {
		return uri
	}
	end := len(uri)
	if i := strings.IndexByte(uri[start:], '#'); i >= 0 {
		end = start + i
	}
	var b strings.Builder
	b.Grow(len(uri))
	b.WriteString(uri[:start+1])
	for i, arg := range strings.Split(uri[start+1:end], "&") {
		if i > 0 {
			b.WriteByte('&')
		}
		name, value, _ := strings.Cut(arg, "=")
		if value == "" || !slices.Contains(names, unescape(name)) {
			b.WriteString(arg)
			continue
		}
		seen(unescape(value))
		b.WriteString(name)
		b.WriteByte('=')
		b.WriteString(masked)
	}
	b.WriteString(uri[end:])
	return b.String()
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
