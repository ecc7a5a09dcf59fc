package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// event is what a reader of a captured event wants to see.
type event struct {
	Request struct {
		half
		Time string `json:"time"`
		URI  string `json:"uri"`
		Verb string `json:"verb"`
		IP   string `json:"ip_address"`
	} `json:"request"`
	Response struct {
		half
		Time   string `json:"time"`
		Status int    `json:"status"`
	} `json:"response"`
	UserID    string `json:"user_id"`
	CompanyID string `json:"company_id"`
}

// half is what request and response have in common.
type half struct {
	Headers          map[string]any  `json:"headers"`
	Body             json.RawMessage `json:"body"`
	TransferEncoding string          `json:"transfer_encoding"`
}

func readEvent(raw json.RawMessage) (event, error) {
	var e event
	err := json.Unmarshal(raw, &e)
	return e, err
}

// path is the request target without scheme and host.
func (e event) path() string {
	_, rest, ok := strings.Cut(e.Request.URI, "://")
	if !ok {
		return e.Request.URI
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return rest[i:]
	}
	return "/"
}

// took is the time between request and response, "" when either is unreadable.
func (e event) took() string {
	from, err1 := time.Parse(time.RFC3339Nano, e.Request.Time)
	to, err2 := time.Parse(time.RFC3339Nano, e.Response.Time)
	if err1 != nil || err2 != nil {
		return ""
	}
	return fmt.Sprintf("%d ms", to.Sub(from).Milliseconds())
}

// from says who sent the request.
func (e event) from() string {
	if e.Request.IP == "" {
		return ""
	}
	return "from " + e.Request.IP
}

// header is a header's value, the first when there are several.
func (h half) header(name string) string {
	switch v := h.Headers[name].(type) {
	case string:
		return v
	case []any:
		if len(v) > 0 {
			s, _ := v[0].(string)
			return s
		}
	}
	return ""
}

// bytes is the body as it was on the wire (after the plugin undid its content
// encoding), or as compact JSON when it was captured as JSON.
func (h half) bytes() ([]byte, error) {
	if len(h.Body) == 0 {
		return nil, nil
	}
	if h.TransferEncoding != "base64" {
		var b bytes.Buffer
		err := json.Compact(&b, h.Body)
		return b.Bytes(), err
	}
	var text string
	if err := json.Unmarshal(h.Body, &text); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

// describe is the body for reading: JSON and text as they are, other bytes as
// their number.
func (h half) describe() string {
	body, err := h.bytes()
	switch {
	case err != nil:
		return "(unreadable body)"
	case len(body) == 0:
		return ""
	case !utf8.Valid(body):
		return fmt.Sprintf("(%d bytes)", len(body))
	case len(body) > 2000:
		return fmt.Sprintf("(%d bytes) %s", len(body), withoutTokens(strings.ToValidUTF8(string(body[:1000]), "")))
	}
	return withoutTokens(string(body))
}

// withoutTokens cuts credentials out of text that quotes an Authorization
// header, as the built-in upstream's answers do.
func withoutTokens(s string) string { return authorization.ReplaceAllString(s, "$1 ...") }

var authorization = regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate)\s+[^"'\s]+`)
