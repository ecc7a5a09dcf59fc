package kongdev

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/nginx"
)

// A kongReply is an answer that Kong or a plugin gives instead of the upstream.
type kongReply struct {
	status  int
	body    []byte
	headers *lua.Table // may be nil
}

var statusMessages = map[int]string{ // read-only; Kong's texts
	400: "Bad request", 401: "Unauthorized", 402: "Payment required", 403: "Forbidden", 404: "Not found",
	405: "Method not allowed", 406: "Not acceptable", 407: "Proxy authentication required", 408: "Request timeout",
	409: "Conflict", 410: "Gone", 411: "Length required", 412: "Precondition failed", 413: "Payload too large",
	414: "URI too long", 415: "Unsupported media type", 416: "Range not satisfiable", 417: "Expectation failed",
	418: "I'm a teapot", 421: "Misdirected request", 422: "Unprocessable entity", 423: "Locked", 424: "Failed dependency",
	425: "Too early", 426: "Upgrade required", 428: "Precondition required", 429: "Too many requests",
	431: "Request header fields too large", 451: "Unavailable for legal reasons", 494: "Request header or cookie too large",
	500: unexpectedError, 501: "Not implemented", 502: "An invalid response was received from the upstream server",
	503: "The upstream server is currently unavailable", 504: "The upstream server is timing out",
	505: "HTTP version not supported", 506: "Variant also negotiates", 507: "Insufficient storage", 508: "Loop detected",
	510: "Not extended", 511: "Network authentication required",
}

func statusMessage(status int) string {
	if m := statusMessages[status]; m != "" {
		return m
	}
	return fmt.Sprintf("The upstream server responded with %d", status)
}

// The types that an error page can have.
const (
	typeJSON  = "application/json; charset=utf-8"
	typeHTML  = "text/html; charset=utf-8"
	typeXML   = "application/xml; charset=utf-8"
	typePlain = "text/plain; charset=utf-8"
)

var mimeTypes = map[string]string{ // read-only; "" is a type without a page
	"text/html": typeHTML, "application/json": typeJSON, "text/plain": typePlain, "application/xml": typeXML,
	"application/grpc": "", "application": typeJSON, "text": typePlain,
}

// acceptPattern finds the media type and its quality in one part of an Accept header.
var acceptPattern = regexp.MustCompile(`(?i)((?:[a-z0-9][-a-z0-9!#$&^_+.]+|\*)/(?:[a-z0-9][-a-z0-9!#$&^_+.]+|\*))` +
	`(?:\s*;\s*q=(1(?:\.0{0,3}|)|0(?:\.\d{0,3}|))|\s*;\s*[a-z0-9][-a-z0-9!#$&^_+.]+(?:=[^;]*|))*`) // read-only

// pageType is the error page's type for an Accept header: that of the highest
// quality, the first of equals, JSON for what Kong does not know.
func pageType(accept []string) string {
	best, quality := typeJSON, 0.0
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		m := acceptPattern.FindStringSubmatch(strings.TrimSpace(part))
		if m == nil {
			continue
		}
		q := 1.0
		if m[2] != "" {
			q, _ = strconv.ParseFloat(strings.TrimSuffix(m[2], "."), 64)
		}
		if q > quality {
			quality, best = q, mimeType(m[1])
		}
	}
	return best
}

func mimeType(media string) string {
	kind, sub, _ := strings.Cut(media, "/")
	if sub == "*" {
		media = kind
	}
	if t, known := mimeTypes[media]; known {
		return t
	}
	return typeJSON
}

// page fills Kong's error template of a content type; false when there is none.
func page(contentType, message, requestID string) (string, bool) {
	switch contentType {
	case typeJSON, "application/json":
		return fmt.Sprintf("{\n  \"message\":\"%s\",\n  \"request_id\":\"%s\"\n}", message, requestID), true
	case typeHTML, "text/html":
		return fmt.Sprintf("<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n"+
			"  <body>\n    <h1>Error</h1>\n    <p>%s.</p>\n    <p>request_id: %s</p>\n  </body>\n</html>\n", message, requestID), true
	case typeXML, "application/xml":
		return fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>%s</message>\n  <requestid>%s</requestid>\n</error>\n", message, requestID), true
	case typePlain, "text/plain":
		return fmt.Sprintf("%s\nrequest_id: %s\n", message, requestID), true
	case "", "application/grpc":
		return "", true
	}
	return "", false
}

// errorReply is kong.response.error: a page whose type follows the Accept
// header. message is a text, a table (sent as JSON inside the page) or nil for
// the status's own text.
func (q *request) errorReply(status int, message lua.Value, headers *lua.Table) (*kongReply, error) {
	if status < 400 || status > 599 {
		return nil, lua.Raise("code must be a number between 400 and 599")
	}
	var text string
	switch m := message.(type) {
	case nil:
		text = statusMessage(status)
	case string:
		text = m
	case *lua.Table:
		text = string(lua.AppendJSON(nil, m))
	default:
		return nil, lua.Raise("message must be a nil, a string or a table")
	}
	all := &lua.Table{Fields: map[string]lua.Value{}}
	if headers != nil {
		for name, v := range headers.Fields {
			if _, err := headerValues(name, v, true); err != nil {
				return nil, err
			}
			all.Fields[name] = v
		}
	}
	contentType := pageType(q.headers.Values("accept"))
	if q.isGRPC() {
		contentType = grpcType
	}
	switch v := all.Fields["Content-Type"].(type) {
	case string:
		contentType = v
	case *lua.Table:
		if contentType = typeJSON; len(v.List) > 0 {
			contentType, _ = v.List[0].(string)
		}
	}
	all.Fields["Content-Type"] = contentType
	body, ok := page(contentType, text, q.id)
	if !ok {
		return nil, lua.Raise("bad argument #1 to 'fmt' (string expected, got nil): no template found for MIME type %s", contentType)
	}
	return &kongReply{status, []byte(body), all}, nil
}

// unexpected is what nginx's error_page directive leads to: Kong's page for a
// status, its type by Accept, else by the request's own Content-Type, else plain.
func (q *request) unexpected(status int) *kongReply {
	q.ctx.bufferedProxying = nil
	q.ctx.delayed, q.ctx.exit = nil, nil
	q.ctx.exited = true
	accept := q.headers.Values("accept")
	if len(accept) == 0 {
		if accept = q.headers.Values("content-type"); len(accept) == 0 {
			accept = []string{"text/plain"}
		}
	}
	message := statusMessage(status)
	if status == nginx.StatusHeaderTooLarge {
		status = http.StatusBadRequest
	}
	if strings.HasPrefix(accept[0], grpcType) { // no page, but what exit makes of a table
		if q.isGRPC() {
			return &kongReply{status: status, body: []byte(message)}
		}
		text := lua.AppendJSON(nil, lua.NewFields(map[string]lua.Value{"message": message}))
		return &kongReply{status, text, lua.NewFields(map[string]lua.Value{"Content-Type": typeJSON})}
	}
	contentType := pageType(accept)
	body, _ := page(contentType, message, q.id)
	return &kongReply{status, []byte(body), lua.NewFields(map[string]lua.Value{"Content-Type": contentType})}
}

// delayedReply is what Kong makes of a delayed_response that a plugin put into
// the request's context: its own error page around the message.
func (q *request) delayedReply() (*kongReply, error) {
	d, ok := q.ctx.delayed.(*lua.Table)
	if !ok {
		return nil, lua.Raise("attempt to index local 'dr' (a %s value)", lua.TypeOf(q.ctx.delayed))
	}
	status, ok := d.Get("status_code").(float64)
	if !ok {
		return nil, lua.Raise("code must be a number")
	}
	message := d.Get("content")
	if t, ok := message.(*lua.Table); ok {
		if m := t.Get("message"); m != nil {
			message = m
		}
	}
	headers, ok := d.Get("headers").(*lua.Table)
	if !ok && d.Get("headers") != nil {
		return nil, lua.Raise("headers must be a nil or table")
	}
	return q.errorReply(int(status), message, headers)
}
