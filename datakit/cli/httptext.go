package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A request is one of a client, as a .http file has it: request line, headers, an empty line, the body.
type request struct {
	method string
	target string // path and query
	scheme string // http or https
	host   string
	header http.Header
	body   string
	proto  float64
}

// readHead reads the first line and the headers. Lines before the first that begin with # or // are comments.
func readHead(text string) (first string, header http.Header, body string, err error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for {
		line, rest, more := strings.Cut(text, "\n")
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "#") && !strings.HasPrefix(trimmed, "//") {
			break
		} else if !more {
			return "", nil, "", errors.New("is empty; expected a first line such as GET /orders HTTP/1.1")
		}
		text = rest
	}
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimRight(head, "\n"), "\n")
	header = http.Header{}
	for i, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t\"(),/;<=>?@[\\]{}") {
			return "", nil, "", fmt.Errorf("line %d behind the first: expected a header such as Content-Type: application/json", i+1)
		}
		header.Add(textproto.CanonicalMIMEHeaderKey(name), strings.TrimSpace(value))
	}
	return strings.TrimSpace(lines[0]), header, strings.TrimSuffix(body, "\n"), nil
}

// parseRequest reads a .http file.
func parseRequest(text string) (*request, error) {
	first, header, body, err := readHead(text)
	if err != nil {
		return nil, err
	}
	r := &request{scheme: "http", header: header, body: body, proto: 1.1}
	parts := strings.Fields(first)
	if n := len(parts); n == 3 && strings.HasPrefix(parts[2], "HTTP/") {
		if r.proto, err = strconv.ParseFloat(parts[2][len("HTTP/"):], 64); err != nil {
			return nil, fmt.Errorf("the first line: %q is no version of HTTP", parts[2])
		}
		parts = parts[:2]
	}
	if len(parts) != 2 || strings.Trim(parts[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil, errors.New("the first line: expected a method and a path, such as GET /orders?page=2 HTTP/1.1")
	}
	r.method, r.target, r.host = parts[0], parts[1], header.Get("Host")
	u, err := url.Parse(r.target)
	switch {
	case err != nil:
		return nil, errors.New("the first line: this is no path and no URL")
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.HasPrefix(u.RequestURI(), "/"):
		r.scheme, r.target = u.Scheme, u.RequestURI()
		if r.host == "" {
			r.host = u.Host
		}
	case !strings.HasPrefix(r.target, "/"):
		return nil, errors.New("the first line: the path begins with /")
	}
	if r.host == "" {
		r.host = "localhost"
	}
	r.header.Set("Host", r.host)
	return r, nil
}

// path and query are the two parts of the target.
func (r *request) path() string  { p, _, _ := strings.Cut(r.target, "?"); return p }
func (r *request) query() string { _, q, _ := strings.Cut(r.target, "?"); return q }

// port is the one that the gateway was asked at.
func (r *request) port() int {
	if u, err := url.Parse(r.scheme + "://" + r.host); err == nil && u.Port() != "" {
		n, _ := strconv.Atoi(u.Port())
		return n
	}
	if r.scheme == "https" {
		return 443
	}
	return 80
}

// A response is what a service sends, as a .http file has it: status line, headers, an empty line, the body.
type response struct {
	status int
	header http.Header
	body   string
}

// parseResponse reads a .http file of a response.
func parseResponse(text string) (*response, error) {
	first, header, body, err := readHead(text)
	if err != nil {
		return nil, err
	}
	parts := strings.Fields(first)
	if len(parts) > 1 && strings.HasPrefix(parts[0], "HTTP/") {
		parts = parts[1:]
	}
	if len(parts) > 0 {
		if status, err := strconv.Atoi(parts[0]); err == nil && status >= 100 && status <= 599 {
			return &response{status, header, body}, nil
		}
	}
	return nil, errors.New("the first line: expected a status, such as HTTP/1.1 200 OK")
}

// headerLines are headers as text, sorted by name.
func headerLines(h http.Header) (lines []string) {
	for name, values := range h {
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	slices.Sort(lines)
	return lines
}
