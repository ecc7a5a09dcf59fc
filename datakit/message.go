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

// headers reads a value that is to become headers: an object of strings, numbers, booleans, lists of such, and null,
// which clears. They are sorted by name.
//
// An object may have a name in two spellings, whose values are put together. Only where one of them is the lower-case one
// of received headers that a program asked for, it gives way: the other one is the workflow's own.
func (c caser) headers(v any) ([]Header, error) {
	m, ok := v.(map[string]any)
	if !ok {
		if v == nil {
			return nil, nil
		}
		return nil, fmt.Errorf("headers: expected an object, got %s", nameOf(v))
	}
	type spelled struct {
		Header
		received bool
	}
	list := make([]spelled, 0, len(m))
	for _, name := range sortedKeys(m) {
		if !isToken(name) {
			return nil, fmt.Errorf("headers: %q is no name of a header", shortened(name))
		}
		h := spelled{Header: Header{Name: canonical(name)}}
		h.received = !c.lower && c.aliases[h.Name] == name
		values, err := scalars(m[name])
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
	slices.SortStableFunc(list, func(a, b spelled) int { return strings.Compare(a.Name, b.Name) })
	merged := make([]Header, 0, len(list))
	for i := 0; i < len(list); {
		h, received := list[i].Header, list[i].received
		for i++; i < len(list) && list[i].Name == h.Name; i++ {
			switch {
			case received:
				h, received = list[i].Header, false
			case !list[i].received:
				h.Values = slices.Concat(h.Values, list[i].Values)
			}
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
	aliases map[string]string // canonical name -> the lower-case one that programs look for
}

// headerValues are received headers as a value: a text, or a list where there are several. Each has one name: a program
// that takes one out, or writes another value over it, would else leave the other spelling to whoever is sent the rest.
func (c caser) headerValues(received map[string][]string) map[string]any {
	m := make(map[string]any, len(received))
	for name, list := range received {
		if len(list) == 0 {
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
		m[c.written(name)] = v
	}
	return m
}

// written is how a received header is called.
func (c caser) written(name string) string {
	if c.lower {
		return strings.ToLower(name)
	}
	name = canonical(name)
	if alias, ok := c.aliases[name]; ok {
		return alias
	}
	return name
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

// follow goes into a value by names; what is not there is null. Names of headers have no case, and headers are those of a
// member of that name, too: a call's answer may have come through a cache.
func follow(v any, path []string, headers bool) any {
	for i, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		next, ok := m[name]
		if !ok && (headers && i == 0 || i > 0 && path[i-1] == "headers") {
			for _, k := range sortedKeys(m) {
				if strings.EqualFold(k, name) {
					next = m[k]
					break
				}
			}
		}
		v = next
	}
	return v
}
