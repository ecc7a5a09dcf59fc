package remote

import (
	"net/http"
	"strings"
	"unicode"

	"kong-go-plugins/moesif/rawjson"
)

const (
	// defaultStatus is what a rule answers with that has no status of its own.
	defaultStatus = http.StatusTooManyRequests

	jsonContentType = "application/json; charset=utf-8"

	maxBodyBytes   = 1 << 20 // of one answer, with its values; a larger body is left out
	maxHeaderBytes = 8 << 10 // of one header, with its values; a larger one is left out
	maxHeaders     = 100     // of one answer
)

// An answer is what a rule does to a response: the headers that it adds and, if it blocks, status and body.
type answer struct {
	status      int
	headers     []headerTemplate // without Content-Type
	contentType template         // of the rule itself, nil for none
	body        template
	escaped     bool // values stand inside JSON strings
	object      bool // an object or array, JSON by itself
}

type headerTemplate struct {
	name  string
	value template
}

// framing are headers that only the server itself may set: with a wrong one the client misreads the connection.
var framing = map[string]bool{ // read-only
	"connection": true, "content-length": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true,
	"transfer-encoding": true, "upgrade": true,
}

func readAnswer(v []byte, declared map[string]bool, where string, p *problems) answer {
	a := answer{status: defaultStatus}
	if v != nil && !rawjson.IsObject(v) {
		p.add("%s: response is not an object; %d without a body is used", where, defaultStatus)
	}
	if s := member(v, "status"); s != nil {
		n, ok := number(s)
		if status := int(n); ok && n == float64(status) && status >= 200 && status <= 599 {
			a.status = status
		} else {
			p.add("%s: response.status is not in 200..599; %d is used", where, defaultStatus)
		}
	}
	headers := member(v, "headers")
	if headers != nil && !rawjson.IsObject(headers) && !isEmptyArray(headers) {
		p.add("%s: response.headers are not an object; there are none", where)
	}
	rawjson.Members(headers, func(name string, value []byte) {
		s, ok := text(value)
		switch lower := strings.ToLower(name); {
		case !ok:
			p.add("%s: a header is no text; it is left out", where)
		case !validName(name):
			p.add("%s: a header's name is invalid; it is left out", where)
		case framing[lower]:
			p.add("%s: a header belongs to the connection; it is left out", where)
		case lower == "content-type":
			a.contentType = parseTemplate(s, declared)
		default:
			a.headers = append(a.headers, headerTemplate{name, parseTemplate(s, declared)})
		}
	})
	a.readBody(member(v, "body"), declared)
	return a
}

// validName reports whether s is a header's name by RFC 9110, a token.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !('a' <= c && c <= 'z' || '0' <= s[i] && s[i] <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) >= 0) {
			return false
		}
	}
	return s != ""
}

// readBody compiles the body: objects and arrays as JSON, a text as it is. A text that is JSON itself gets its values in
// JSON's escapes as well.
func (a *answer) readBody(v []byte, declared map[string]bool) {
	switch {
	case v == nil:
	case a.status == http.StatusNoContent, a.status == http.StatusResetContent, a.status == http.StatusNotModified:
		// HTTP gives these none
	case rawjson.IsString(v):
		s := rawjson.Unquote(v)
		a.escaped = isJSONText(s)
		a.body = parseTemplate(s, declared)
	default:
		a.object = isArray(v) || rawjson.IsObject(v)
		a.escaped = true
		a.body = parseJSONTemplate(v, declared)
	}
}

// A Header is one response header.
type Header struct{ Name, Value string }

// addHeaders adds the headers of names that are not there yet.
func (a *answer) addHeaders(headers []Header, value func(string) (string, bool)) []Header {
	for _, h := range a.headers {
		if len(headers) >= maxHeaders {
			break
		}
		taken := false
		for _, other := range headers {
			taken = taken || strings.EqualFold(other.Name, h.name)
		}
		if taken {
			continue
		}
		if v, ok := h.value.header(value); ok {
			headers = append(headers, Header{h.name, v})
		}
	}
	return headers
}

// header renders a header's value, without control characters: nothing in it can end the header.
func (t template) header(value func(string) (string, bool)) (string, bool) {
	b, ok := t.appendTo(nil, value, false, maxHeaderBytes)
	if !ok {
		return "", false
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, string(b))), true
}

// render returns body and Content-Type of a blocking rule's answer.
func (a *answer) render(value func(string) (string, bool)) (body []byte, contentType string) {
	body, _ = a.body.appendTo(nil, value, a.escaped, maxBodyBytes)
	if a.contentType != nil {
		contentType, _ = a.contentType.header(value)
	}
	if contentType == "" && a.object && body != nil {
		contentType = jsonContentType
	}
	return body, contentType
}
