// Package nginx reads clients' requests as nginx does, before Go's HTTP server sees them: what is refused, and how, is
// nginx's. NewListener is where connections come in; of a connection's Conn the gateway asks for the Head that it has read.
package nginx

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"kong-go-plugins/internal/kongdev/header"
	"kong-go-plugins/internal/kongdev/uri"
)

// A Head is a request line with its header lines as nginx reads them. A
// Status says that nginx refuses the request: what it holds then is what was
// read until that was clear.
type Head struct {
	Status int  // 0 when it is a request
	Silent bool // the client is gone or was too slow, and gets no answer

	method     string
	target     string // as it was sent
	Host       string // in the target, "" for none; it counts more than the Host header, but not for the router
	minor      int    // of HTTP/1
	Headers    header.List
	Length     int // bytes
	close      bool
	bodyLength int64
	chunked    bool
}

// A headParser reads the head of one request, piece by piece.
type headParser struct {
	head  *Head
	from  int // where the request line begins
	at    int // where the next line begins
	total int // of the header lines
}

// onlyOnce are the request headers of which nginx takes one.
var onlyOnce = map[string]bool{ // read-only
	"host": true, "if-modified-since": true, "if-unmodified-since": true, "if-match": true, "if-none-match": true, "content-length": true,
	"content-range": true, "if-range": true, "transfer-encoding": true, "expect": true, "authorization": true,
}

// parse looks at everything that has arrived, which begins as it did the last
// time. It returns the head when that is whole or wrong, and how long it is.
func (p *headParser) parse(b []byte) (*Head, int) {
	if p.head == nil {
		for p.at < len(b) && (b[p.at] == '\r' || b[p.at] == '\n') {
			p.at++
		}
		rest := b[p.at:]
		end := bytes.IndexByte(rest, '\n')
		line := rest
		if end >= 0 {
			line = rest[:end+1]
		}
		h := &Head{}
		switch {
		case len(line) > MaxHeaderLine:
			h.readLine(string(line[:MaxHeaderLine]))
			h.Status = http.StatusRequestURITooLong
		case end >= 0:
			h.Status = h.readLine(strings.TrimSuffix(string(line[:end]), "\r"))
		case !methodSoFar(line):
			h.Status = http.StatusBadRequest
		default:
			return nil, 0
		}
		if h.Status != 0 {
			h.target = "" // nginx has none then
			return h, len(b)
		}
		p.head, p.from, p.at = h, p.at, p.at+end+1
	}
	h := p.head
	for {
		rest := b[p.at:]
		end := bytes.IndexByte(rest, '\n')
		n := len(rest)
		if end >= 0 {
			n = end + 1
		}
		if p.total += n; n > MaxHeaderLine || p.total > MaxHeaderBytes {
			h.Status, h.Length = StatusHeaderTooLarge, p.at-p.from
			return h, len(b)
		}
		if end < 0 {
			p.total -= n
			return nil, 0
		}
		p.at += n
		line := rest[:end]
		if len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			h.Length = p.at - p.from
			h.Status = h.check()
			return h, p.at
		}
		if h.Status = p.header(line); h.Status != 0 {
			h.Length = p.at - p.from
			return h, len(b)
		}
	}
}

// methodSoFar reports whether a line that has no end yet can become a request line.
func methodSoFar(line []byte) bool {
	for _, c := range line {
		if c == ' ' {
			return true
		}
		if !isMethodByte(c) {
			return false
		}
	}
	return true
}

func isMethodByte(c byte) bool { return 'A' <= c && c <= 'Z' || c == '_' || c == '-' }

// readLine reads the request line and says how nginx refuses it, 0 when it does not.
func (h *Head) readLine(line string) int {
	method, rest, ok := strings.Cut(line, " ")
	if h.method = method; !ok {
		h.method = http.MethodGet // what Kong says then
	}
	if !ok || method == "" || strings.ContainsFunc(method, func(r rune) bool { return r > 0x7f || !isMethodByte(byte(r)) }) {
		return http.StatusBadRequest
	}
	rest = strings.TrimLeft(rest, " ")
	target, version, _ := strings.Cut(rest, " ")
	h.target = target
	if strings.ContainsFunc(target, func(r rune) bool { return r < 0x20 || r == 0x7f }) || !h.splitTarget() {
		return http.StatusBadRequest
	}
	number, ok := strings.CutPrefix(strings.Trim(version, " "), "HTTP/")
	major, minor, dot := strings.Cut(number, ".")
	n, err := strconv.Atoi(major)
	switch {
	case !ok || err != nil && len(major) == 0 || !isDigits(major) || major[0] == '0':
		return http.StatusBadRequest // HTTP/0.9 too, which nginx would answer
	case err != nil || n != 1:
		return http.StatusHTTPVersionNotSupported
	case !dot || !isDigits(minor) || len(minor) > 3:
		return http.StatusBadRequest
	}
	h.minor, _ = strconv.Atoi(minor)
	if !WellFormed(h.method, h.target) {
		return http.StatusBadRequest
	}
	return 0
}

// splitTarget finds the host of a target in absolute form; false when it is neither that nor a path.
func (h *Head) splitTarget() bool {
	if strings.HasPrefix(h.target, "/") {
		return true
	}
	scheme, rest, ok := strings.Cut(h.target, "://")
	if !ok || scheme == "" || !isLetter(scheme[0]) || strings.ContainsFunc(scheme, func(r rune) bool {
		return r > 0x7f || !isLetterOrDigit(byte(r)) && !strings.ContainsRune("+-.", r)
	}) {
		return false
	}
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		at = len(rest)
	}
	host, port, _ := strings.Cut(rest[:at], ":")
	if strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest[:at], ']')
		if end < 0 || end+1 < at && rest[end+1] != ':' {
			return false
		}
		host, port = rest[:end+1], strings.TrimPrefix(rest[end+1:at], ":")
	} else if strings.ContainsFunc(host, func(r rune) bool { return r > 0x7f || !isLetterOrDigit(byte(r)) && r != '.' && r != '-' }) {
		return false
	}
	if port != "" && !isDigits(port) || !validHost(host) {
		return false
	}
	h.Host = host
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// validHost is nginx's check of a host with or without a port.
func validHost(host string) bool {
	for i := range len(host) {
		if c := host[i]; c <= 0x20 || c == 0x7f || c == '/' || c == '.' && i > 0 && host[i-1] == '.' {
			return false
		}
	}
	name := host
	if end := strings.IndexByte(host, ']'); strings.HasPrefix(host, "[") && end > 0 {
		name = host[:end+1]
	} else {
		name, _, _ = strings.Cut(host, ":")
	}
	return strings.TrimSuffix(name, ".") != ""
}

// header reads one line and says how nginx refuses it. Names with bytes that it
// does not know lose their line, and nobody is told.
func (p *headParser) header(line []byte) int {
	line = bytes.TrimRight(line, "\r")
	if len(line) == 0 { // more than one CR
		return http.StatusBadRequest
	}
	end := bytes.IndexByte(line, ':')
	name, text := line, []byte(nil)
	if end >= 0 {
		name, text = line[:end], line[end+1:]
	}
	known := true
	for _, c := range name {
		if c <= 0x20 || c == 0x7f {
			return http.StatusBadRequest
		}
		known = known && (isLetterOrDigit(c) || c == '-' || c == '_')
	}
	if len(name) == 0 || bytes.IndexByte(text, 0) >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return http.StatusBadRequest
	}
	if !known {
		return 0
	}
	h := p.head
	v := string(bytes.Trim(text, " "))
	key := strings.ToLower(string(name))
	if onlyOnce[key] {
		if _, there := h.Headers.Get(key); there {
			return http.StatusBadRequest
		}
	}
	h.Headers = append(h.Headers, header.Line{Name: string(name), Key: key, Value: v})
	if key == "host" && !validHost(v) {
		return http.StatusBadRequest
	}
	return 0
}

// check is what nginx looks at when it has all lines.
func (h *Head) check() int {
	if _, ok := h.Headers.Get("host"); !ok && h.minor > 0 {
		return http.StatusBadRequest
	}
	length, hasLength := h.Headers.Get("content-length")
	if hasLength {
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil || !isDigits(length) {
			return http.StatusBadRequest
		}
		h.bodyLength = n
	}
	if coding, ok := h.Headers.Get("transfer-encoding"); ok {
		switch {
		case h.minor == 0:
			return http.StatusBadRequest
		case !strings.EqualFold(coding, "chunked"):
			return http.StatusNotImplemented
		case hasLength:
			return http.StatusBadRequest
		}
		h.chunked, h.bodyLength = true, -1
	}
	if h.method == http.MethodConnect || h.method == http.MethodTrace {
		return http.StatusMethodNotAllowed
	}
	h.close = h.minor == 0
	for i := range h.Headers {
		if line := &h.Headers[i]; line.Key == "connection" {
			if v := strings.ToLower(line.Value); strings.Contains(v, "close") {
				h.close = true
			} else if strings.Contains(v, "keep-alive") {
				h.close = false
			}
		}
	}
	return 0
}

// stand-in is the head that Go's server gets instead, which it never refuses:
// it decides on the connection and the body by it.
func (h *Head) standIn() []byte {
	if h.Status != 0 {
		return []byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	}
	b := make([]byte, 0, 128)
	switch {
	case h.method == http.MethodHead:
		b = append(b, "HEAD"...)
	case h.bodyLength != 0:
		b = append(b, "POST"...)
	default:
		b = append(b, "GET"...)
	}
	b = append(b, " / HTTP/1.1\r\nHost: x\r\n"...)
	switch {
	case h.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case h.bodyLength > 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, h.bodyLength, 10)
		b = append(b, "\r\n"...)
	}
	if v, _ := h.Headers.Get("expect"); h.minor > 0 && strings.EqualFold(v, "100-continue") {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	if h.close {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

// Restore makes the client's request of the stand-in that Go's server read. The
// headers stay where they are.
func (h *Head) Restore(r *http.Request) *http.Request {
	in := r.WithContext(r.Context())
	in.Method, in.RequestURI, in.Close = h.method, h.target, h.close
	in.ProtoMinor, in.Proto = h.minor, "HTTP/1."+strconv.Itoa(h.minor)
	in.Host, _ = h.Headers.Get("host")
	in.Header = nil
	return in
}

// isLetterOrDigit is nginx's test for what hosts, schemes and header names are made of.
func isLetterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// WellFormed is nginx's look at the request line beyond what Go's server asks
// for: a method in upper case, and a path that neither leaves the root nor has a
// NUL in it.
func WellFormed(method, target string) bool {
	for _, c := range []byte(method) {
		if (c < 'A' || c > 'Z') && c != '_' && c != '-' {
			return false
		}
	}
	if method == http.MethodConnect { // its target is no path
		return true
	}
	path := uri.OriginForm(target)
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for rest := path; ; {
		_, after, escaped := strings.Cut(rest, "%")
		if !escaped {
			break
		}
		if len(after) < 2 || uri.Unhex(after[0]) < 0 || uri.Unhex(after[1]) < 0 {
			return false
		}
		rest = after
	}
	depth := 0
	for segment := range strings.SplitSeq(uri.UnescapePath(path), "/") {
		switch segment {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return false
			}
		default:
			depth++
		}
	}
	return !strings.Contains(path, "%00")
}
