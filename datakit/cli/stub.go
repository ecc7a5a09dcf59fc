package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	"go.yaml.in/yaml/v3"

	"kong-go-plugins/datakit"
)

// A stub answers calls in a service's place. The first one that fits a call answers it.
type stub struct {
	Node   string `yaml:"node,omitempty"`   // of the workflow
	Method string `yaml:"method,omitempty"` // any when empty
	URL    string `yaml:"url,omitempty"`    // without the query, unless it has one; * stands for anything
	Host   string `yaml:"host,omitempty"`   // in place of the others: an upstream, which answers every request with the rest

	Status  int               `yaml:"status,omitempty"` // 200 when zero
	Headers map[string]string `yaml:"headers,omitempty"`
	Body    any               `yaml:"body,omitempty"`  // text, or a value that is sent as JSON
	Error   string            `yaml:"error,omitempty"` // in place of an answer: timeout, refused, closed or unknown host
}

// failures are what can go wrong with a call.
var failures = map[string]error{ // read-only
	"timeout":      &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded},
	"refused":      &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
	"closed":       io.ErrUnexpectedEOF,
	"unknown host": &net.DNSError{IsNotFound: true},
}

// parseStubs reads a list of stubs.
func parseStubs(text string) ([]stub, error) {
	var list []stub
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New("expected a list such as [{node: NAME, body: {a: 1}}]; " + goTypes.ReplaceAllString(err.Error(), ""))
	}
	for i, s := range list {
		switch {
		case s.Node == "" && s.URL == "" && s.Host == "":
			return nil, fmt.Errorf("stub %d: expected node, url or host", i+1)
		case s.Error != "" && failures[s.Error] == nil:
			return nil, fmt.Errorf("stub %d: error: %q is none of closed, refused, timeout, unknown host", i+1, s.Error)
		case s.Status != 0 && (s.Status < 100 || s.Status > 599):
			return nil, fmt.Errorf("stub %d: status: %d is outside 100..599", i+1, s.Status)
		}
	}
	return list, nil
}

// goTypes are what errors of the YAML library say of types that only the source has.
var goTypes = regexp.MustCompile(` (into|in type) \S+$|yaml: (unmarshal errors:\s+)?`) // read-only

// answers reports whether a stub is for a call.
func (s *stub) answers(node string, r *http.Request) bool {
	if s.Host != "" || s.Node != "" && s.Node != node || s.Method != "" && s.Method != r.Method {
		return false
	}
	have := address(r, strings.Contains(s.URL, "?"))
	return s.URL == "" || matches(s.URL, have) || matches(s.URL+"/", have)
}

// address is the URL of a request, without its query unless it is wanted, and without a password.
func address(r *http.Request, withQuery bool) string {
	u := *r.URL
	u.User, u.Fragment = nil, ""
	if u.Path == "" {
		u.Path = "/"
	}
	if !withQuery {
		u.RawQuery, u.ForceQuery = "", false
	}
	return u.String()
}

// matches reports whether a text is as the pattern, in which * stands for anything.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// response is what the stub answers.
func (s *stub) response() *response {
	r := &response{status: s.Status, header: http.Header{}}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	for name, v := range s.Headers {
		r.header.Set(name, v)
	}
	switch body := s.Body.(type) {
	case nil:
	case string:
		r.body = body
	default:
		b, err := json.Marshal(body)
		if err == nil {
			r.body = string(b)
		}
		if r.header.Get("Content-Type") == "" {
			r.header.Set("Content-Type", "application/json")
		}
	}
	return r
}

// A sentCall is a call that a workflow made.
type sentCall struct {
	node   string
	method string
	url    string // with the query
	plain  string // without
	header http.Header
	body   string
	status int    // 0 without an answer
	failed string // the error of the stub
}

// A stage plays the services. It is asked by many goroutines at once.
type stage struct {
	stubs []stub
	live  http.RoundTripper // for calls without a stub; nil refuses them

	mu      sync.Mutex
	calls   []sentCall
	unknown []sentCall
}

var errNoStub = errors.New("no stub answers")

// RoundTrip implements http.RoundTripper.
func (s *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	call := sentCall{node: nodeOf(r.Context()), method: r.Method, url: address(r, true), plain: address(r, false), header: r.Header}
	if r.Host != "" && r.Host != r.URL.Host {
		call.header = r.Header.Clone()
		call.header.Set("Host", r.Host)
	}
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		call.body = string(b)
	}
	i := slices.IndexFunc(s.stubs, func(one stub) bool { return one.answers(call.node, r) })
	var answer *http.Response
	err := errNoStub
	switch {
	case i >= 0 && s.stubs[i].Error != "":
		call.failed, err = s.stubs[i].Error, failures[s.stubs[i].Error]
	case i >= 0:
		made := s.stubs[i].response()
		answer, err = made.http(), nil
	case s.live != nil:
		again := r.Clone(r.Context())
		again.Body = io.NopCloser(strings.NewReader(call.body))
		if r.Body == nil {
			again.Body = nil
		}
		answer, err = s.live.RoundTrip(again)
	}
	if answer != nil {
		call.status = answer.StatusCode
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	if errors.Is(err, errNoStub) {
		s.unknown = append(s.unknown, call)
	}
	return answer, err
}

// http is the response as a transport gives it.
func (r *response) http() *http.Response {
	return &http.Response{
		StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: r.header.Clone(),
		Body: io.NopCloser(strings.NewReader(r.body)), ContentLength: int64(len(r.body)),
	}
}

// take returns the calls since it was asked before, and a text on those that no stub answers.
func (s *stage) take() (calls []sentCall, missing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls, missing = s.calls, s.missingLocked()
	s.calls, s.unknown = nil, nil
	return calls, missing
}

// missingLocked names the calls that no stub answers, with stubs to copy; "" when there are none.
func (s *stage) missingLocked() string {
	if len(s.unknown) == 0 {
		return ""
	}
	list := slices.Clone(s.unknown)
	slices.SortFunc(list, func(a, b sentCall) int { return strings.Compare(a.node+a.plain, b.node+b.plain) })
	list = slices.CompactFunc(list, func(a, b sentCall) bool { return a.node == b.node && a.plain == b.plain && a.method == b.method })
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "no stub answers %s: %s %s\n", c.node, c.method, c.plain)
	}
	b.WriteString("to answer, put this into the file of stubs and change it:\n")
	for _, c := range list {
		text, err := yaml.Marshal([]stub{{Node: c.node, Method: c.method, URL: c.plain, Status: 200,
			Headers: map[string]string{"Content-Type": "application/json"}, Body: "{}"}})
		if err == nil {
			b.Write(text)
		}
	}
	return b.String()
}

// nodeOf is the name of the node whose call has this context.
func nodeOf(ctx context.Context) string { return datakit.CallName(ctx) }
