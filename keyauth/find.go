package keyauth

import "strings"

// A found is what a request has for a key.
type found uint8

const (
	noKey     found = iota // nothing, or nothing that can be a key
	oneKey                 // one text; an empty one is no key, and ends the search all the same
	duplicate              // several values under one name, or a list
)

// A value is what stands under one name in one place.
type value struct {
	kind valueKind
	text string
}

type valueKind uint8

const (
	absent  valueKind = iota
	other             // there, and neither a text nor a list: the name is not looked for in further places
	single            // one text
	several           // a list
)

// A query is a request as far as it is searched. What the configuration does not look into is left out.
type query struct {
	headers map[string][]string // by name in lower case
	args    string              // the raw query
	body    body
}

// find looks for the key: by name in the configuration's order, in the header, then the query, then the body. The first
// place that has anything under a name is the only one that counts for it.
// Source: key-auth's handler in Kong 3.9.
func (s *settings) find(q *query) (f found, name *keyName, key string) {
	for i := range s.names {
		n := &s.names[i]
		v := s.lookup(q, n)
		switch v.kind {
		case single:
			return oneKey, n, v.text
		case several:
			return duplicate, n, ""
		}
	}
	return noKey, nil, ""
}

func (s *settings) lookup(q *query, n *keyName) (v value) {
	if s.inHeader {
		v = headerValue(q.headers, n)
		v.text = s.withoutScheme(v.text)
	}
	if v.kind == absent && s.inQuery {
		v = argValue(q.args, n.name)
	}
	if v.kind == absent && s.inBody {
		v = q.body.value(n.name)
	}
	return v
}

// withoutScheme returns what stands behind the scheme in a header.
func (s *settings) withoutScheme(text string) string {
	if n := len(s.scheme); n > 0 && len(text) > n && strings.EqualFold(text[:n], s.scheme) {
		return strings.TrimLeft(text[n:], " ")
	}
	return text
}

// headerValue finds a header: as it is spelled in the configuration, or else with "_" for "-" or the other way round, in
// which Kong's variables, by which a request's only key is found, do not tell them apart.
func headerValue(headers map[string][]string, n *keyName) value {
	values := headers[n.header]
	if values == nil && len(n.spellings) != 1 {
		for name, more := range headers {
			if sameVariable(name, n.header) {
				values = append(values[:len(values):len(values)], more...)
			}
		}
	}
	switch len(values) {
	case 0:
		return value{}
	case 1:
		return value{single, values[0]}
	}
	return value{kind: several}
}

// sameVariable reports whether two header names in lower case have the same variable in nginx.
func sameVariable(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && !(isDash(a[i]) && isDash(b[i])) {
			return false
		}
	}
	return true
}

func isDash(c byte) bool { return c == '-' || c == '_' }

// maxArgs is how many arguments of a query or form are looked at.
const maxArgs = 1000

// argValue finds an argument in a query or a form. Names and values are decoded; an argument without "=" is no text.
func argValue(args, name string) (v value) {
	for part := range eachArg(args) {
		raw, rest, hasValue := strings.Cut(part, "=")
		if !isEscaped(raw, name) {
			continue
		}
		switch {
		case v.kind != absent:
			return value{kind: several}
		case hasValue:
			v = value{single, unescape(rest)}
		default:
			v.kind = other
		}
	}
	return v
}

// eachArg yields the first arguments. One without a name is none.
func eachArg(args string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		n := 0
		for part := range strings.SplitSeq(args, "&") {
			if part == "" || part[0] == '=' {
				continue
			}
			if n++; n > maxArgs || !yield(part) {
				return
			}
		}
	}
}

// isEscaped reports whether raw, decoded, is name.
func isEscaped(raw, name string) bool {
	if strings.IndexByte(raw, '%') < 0 && strings.IndexByte(raw, '+') < 0 {
		return raw == name
	}
	return unescape(raw) == name
}

// unescape decodes percent signs and "+" as nginx does: what is no escape stays.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			out = append(out, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			out = append(out, hexValue(s[i+1])<<4|hexValue(s[i+2]))
			i += 2
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
