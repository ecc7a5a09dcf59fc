package datakit

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Header is one header that a workflow writes. Without values it is taken away.
type Header struct {
	Name   string // in canonical case
	Values []string
}

// headersOf reads a value that is to become headers: an object of strings, numbers, booleans, lists of such, and null,
// which clears. They are sorted by name.
func headersOf(v any) ([]Header, error) {
	m, ok := v.(map[string]any)
	if !ok {
		if v == nil {
			return nil, nil
		}
		return nil, fmt.Errorf("headers: expected an object, got %s", nameOf(v))
	}
	list := make([]Header, 0, len(m))
	for name, value := range m {
		if !isToken(name) {
			return nil, fmt.Errorf("headers: %q is no name of a header", shortened(name))
		}
		h := Header{Name: canonical(name)}
		values, err := scalars(value)
		if err != nil {
			return nil, fmt.Errorf("headers: %s: %w", h.Name, err)
		}
		for _, s := range values {
			if strings.ContainsAny(s, "\r\n\x00") {
				return nil, fmt.Errorf("headers: %s: a line break or a zero byte cannot be sent", h.Name)
			}
		}
		h.Values = values
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	merged := list[:0]
	for _, h := range list { // two spellings of one name
		if n := len(merged); n > 0 && merged[n-1].Name == h.Name {
			merged[n-1].Values = append(slices.Clone(merged[n-1].Values), h.Values...)
			continue
		}
		merged = append(merged, h)
	}
	return merged, nil
}

// scalars are the texts of a scalar or of a list of scalars; null has none.
func scalars(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := textOf(e)
			if !ok {
				return nil, fmt.Errorf("a list of strings, numbers and booleans is expected, with %s in it", nameOf(e))
			}
			list = append(list, s)
		}
		return list, nil
	}
	s, ok := textOf(v)
	if !ok {
		return nil, fmt.Errorf("expected a string, number, boolean, list of such, or null, got %s", nameOf(v))
	}
	return []string{s}, nil
}

// queryOf writes an object as a query string, by name. null is a name without a value.
func queryOf(v any) (string, error) {
	m, ok := v.(map[string]any)
	if !ok {
		if v == nil {
			return "", nil
		}
		return "", fmt.Errorf("query: expected an object, got %s", nameOf(v))
	}
	return encodePairs(m, "query")
}

func encodePairs(m map[string]any, what string) (string, error) {
	var b strings.Builder
	for _, name := range sortedKeys(m) {
		values, err := scalars(m[name])
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", what, shortened(name), err)
		}
		key := url.QueryEscape(name)
		if m[name] == nil {
			b.WriteString("&" + key)
		}
		for _, s := range values {
			b.WriteString("&" + key + "=" + url.QueryEscape(s))
		}
	}
	return strings.TrimPrefix(b.String(), "&"), nil
}

// queryValues reads a query string: texts, lists of them where a name is repeated, true where there is no "=".
func queryValues(raw string) map[string]any {
	m := map[string]any{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, text, valued := strings.Cut(pair, "=")
		var value any = true
		if valued {
			value = unescaped(text)
		}
		name = unescaped(name)
		switch before := m[name].(type) {
		case nil:
			m[name] = value
		case []any:
			m[name] = append(before, value)
		default:
			m[name] = []any{before, value}
		}
	}
	return m
}

// unescaped decodes what is well escaped and leaves the rest as it is.
func unescaped(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return strings.ToValidUTF8(out, "\uFFFD")
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// A caser writes header names for nodes.
type caser struct {
	lower   bool
	aliases map[string]string // canonical name -> the lower-case one that a program looks for
}

// headerValues are received headers as a value: a text, or a list where there are several. hidden names are left out.
func (c caser) headerValues(received map[string][]string, hidden ...string) map[string]any {
	m := make(map[string]any, len(received))
	for name, list := range received {
		if len(list) == 0 {
			continue
		}
		name = canonical(name)
		if slices.Contains(hidden, name) {
			continue
		}
		var v any = valid(list[0])
		if len(list) > 1 {
			all := make([]any, len(list))
			for i, s := range list {
				all[i] = valid(s)
			}
			v = all
		}
		if c.lower {
			m[strings.ToLower(name)] = v
			continue
		}
		m[name] = v
		if alias, ok := c.aliases[name]; ok {
			m[alias] = v
		}
	}
	return m
}

func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func canonical(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// isToken reports whether s can be the name of a header.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 0x7f || c <= ' ' || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// find returns the values of a header, by its canonical name.
func find(headers []Header, name string) ([]string, bool) {
	for _, h := range headers {
		if h.Name == name {
			return h.Values, true
		}
	}
	return nil, false
}

// without leaves out headers by canonical name.
func without(headers []Header, names ...string) []Header {
	return slices.DeleteFunc(slices.Clone(headers), func(h Header) bool { return slices.Contains(names, h.Name) })
}

// hopByHop are headers of one connection, not of a message.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} // read-only

// mediaType is the type of a Content-Type without parameters, in lower case.
func mediaType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		t, _, _ = strings.Cut(contentType, ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	return t
}

func isJSON(contentType string) bool {
	t := mediaType(contentType)
	return t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")
}

// bodyValue is a received body as a value: null when empty, decoded when it is JSON, else a text.
func bodyValue(body []byte, contentType string) (any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	if isJSON(contentType) {
		return decodeJSON(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	}
	return string(body), nil
}

const (
	jsonContent = "application/json"
	formContent = "application/x-www-form-urlencoded"
)

// writeBody writes a value as a body for a Content-Type that is wanted, or "". It returns the type to send when none is.
func writeBody(v any, wanted string) (body []byte, contentType string, err error) {
	switch v := v.(type) {
	case nil:
		return nil, "", nil
	case string:
		return []byte(v), "", nil
	case map[string]any:
		if mediaType(wanted) == formContent {
			text, err := encodePairs(v, "body")
			return []byte(text), "", err
		}
	}
	body, err = encodeJSON(v)
	if err != nil {
		return nil, "", errors.New("body: cannot be written as JSON")
	}
	return body, jsonContent, nil
}

// follow goes into a value by names; what is not there is null. Names of headers have no case.
func follow(v any, path []string, headers bool) any {
	for i, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		next, ok := m[name]
		if !ok && headers && i == 0 {
			for k, e := range m {
				if strings.EqualFold(k, name) {
					next = e
				}
			}
		}
		v = next
	}
	return v
}
