package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Expected is what a request is to come to. What is not named does not count, apart from upstream: without it the upstream
// is not to be reached.
type expected struct {
	Calls      []expectedMessage `yaml:"calls,omitempty"` // in any order; their number counts
	Upstream   *expectedMessage  `yaml:"upstream,omitempty"`
	Answer     *expectedMessage  `yaml:"answer,omitempty"`
	Properties map[string]any    `yaml:"properties,omitempty"` // that the workflow has set
	Failure    string            `yaml:"failure,omitempty"`    // a part of its text
	Nodes      map[string]string `yaml:"nodes,omitempty"`      // statuses, as in NODE_SKIPPED
	Trace      map[string]any    `yaml:"trace,omitempty"`      // what nodes have completed with: {type, value}
}

type expectedMessage struct {
	Node    string             `yaml:"node,omitempty"`
	Method  string             `yaml:"method,omitempty"`
	URL     string             `yaml:"url,omitempty"` // without the query
	URI     string             `yaml:"uri,omitempty"` // path and query
	Host    string             `yaml:"host,omitempty"`
	Status  int                `yaml:"status,omitempty"`
	Headers map[string]*string `yaml:"headers,omitempty"` // null: not there; /in slashes/ a regular expression
	Body    any                `yaml:"body,omitempty"`    // text, likewise, or what JSON must be equal to
}

func parseExpected(text string) (*expected, error) {
	var e expected
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&e); err != nil {
		return nil, err
	}
	return &e, nil
}

// differences are where an outcome is not as expected.
func (e *expected) differences(o *outcome) (list []string) {
	note := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if e.Calls != nil {
		if len(o.calls) != len(e.Calls) {
			note("calls: there are %d, not %d", len(o.calls), len(e.Calls))
		}
		left := slices.Clone(o.calls)
		for i, want := range e.Calls {
			at := slices.IndexFunc(left, func(c sentCall) bool { return len(want.differencesOfCall(c)) == 0 })
			if at >= 0 {
				left = slices.Delete(left, at, at+1)
				continue
			}
			text := "no call is like it"
			if near := slices.IndexFunc(left, func(c sentCall) bool { return want.URL == c.plain || want.Node != "" && want.Node == c.node }); near >= 0 {
				text = strings.Join(want.differencesOfCall(left[near]), "; ")
			}
			note("calls[%d]: %s", i, text)
		}
	}
	switch {
	case e.Upstream == nil && o.upstream != nil && !o.redirected:
		note("upstream: is reached")
	case e.Upstream != nil && o.upstream == nil:
		note("upstream: is not reached")
	case e.Upstream != nil:
		for _, text := range e.Upstream.differencesOfRequest(o.upstream) {
			note("upstream: %s", text)
		}
	}
	if e.Answer != nil {
		for _, text := range e.Answer.differencesOf(o.answer.header, o.answer.body) {
			note("answer: %s", text)
		}
		if e.Answer.Status != 0 && e.Answer.Status != o.answer.status {
			note("answer: the status is %d, not %d", o.answer.status, e.Answer.Status)
		}
	}
	if !strings.Contains(o.failure, e.Failure) {
		note("failure: is %q, without %q", o.failure, e.Failure)
	}
	list = append(list, e.innerDifferences(o)...)
	if o.missing != "" {
		list = append(list, strings.TrimSpace(o.missing))
	}
	return list
}

// innerDifferences are those of properties, nodes and the trace.
func (e *expected) innerDifferences(o *outcome) (list []string) {
	for _, name := range sortedNames(e.Properties) {
		if have := o.property(name); !sameJSON(e.Properties[name], have) {
			list = append(list, fmt.Sprintf("properties: %s is %s, not %s", name, asJSON(have), asJSON(e.Properties[name])))
		}
	}
	for _, name := range sortedNames(e.Nodes) {
		if have := o.nodeStatus(name); have != e.Nodes[name] {
			list = append(list, fmt.Sprintf("nodes: %s is %s, not %s", name, have, e.Nodes[name]))
		}
	}
	for _, name := range sortedNames(e.Trace) {
		if have := o.completed(name); !sameJSON(e.Trace[name], have) {
			list = append(list, fmt.Sprintf("trace: %s has completed with %s, not %s", name, asJSON(have), asJSON(e.Trace[name])))
		}
	}
	return list
}

// property is what the workflow has set a property to.
func (o *outcome) property(name string) (value any) {
	for _, w := range o.properties {
		if w.name == name {
			value = w.value
		}
	}
	return value
}

func (o *outcome) nodeStatus(name string) string {
	for _, n := range o.trace.Nodes() {
		if n.Name == name {
			return n.Status
		}
	}
	return "unknown"
}

// completed is what a node has completed with, as in a trace.
func (o *outcome) completed(name string) (value any) {
	for _, e := range o.trace.Events() {
		if e.Name == name && e.Action == "complete" {
			value = e.Value
		}
	}
	return value
}

func (m *expectedMessage) differencesOfCall(c sentCall) []string {
	list := m.differencesOf(c.header, c.body)
	for _, pair := range [][3]string{{"node", m.Node, c.node}, {"method", m.Method, c.method}, {"URL", m.URL, c.plain}} {
		if pair[1] != "" && pair[1] != pair[2] {
			list = append(list, fmt.Sprintf("the %s is %s, not %s", pair[0], pair[2], pair[1]))
		}
	}
	return list
}

func (m *expectedMessage) differencesOfRequest(r *sentRequest) []string {
	list := m.differencesOf(r.header, r.body)
	for _, pair := range [][3]string{{"method", m.Method, r.method}, {"URI", m.URI, r.target}, {"host", m.Host, r.host}} {
		if pair[1] != "" && pair[1] != pair[2] {
			list = append(list, fmt.Sprintf("the %s is %s, not %s", pair[0], pair[2], pair[1]))
		}
	}
	return list
}

// differencesOf are those of headers and body.
func (m *expectedMessage) differencesOf(header http.Header, body string) (list []string) {
	for _, name := range sortedNames(m.Headers) {
		want, have := m.Headers[name], strings.Join(header.Values(name), ", ")
		switch _, there := header[http.CanonicalHeaderKey(name)]; {
		case want == nil && there:
			list = append(list, fmt.Sprintf("%s is there: %s", name, have))
		case want != nil && !there:
			list = append(list, fmt.Sprintf("%s is not there; expected %s", name, *want))
		case want != nil && !fits(*want, have):
			list = append(list, fmt.Sprintf("%s is %s, not %s", name, have, *want))
		}
	}
	switch want := m.Body.(type) {
	case nil:
	case string:
		if !fits(want, body) {
			list = append(list, fmt.Sprintf("the body is %s, not %s", body, want))
		}
	default:
		var have any
		if json.Unmarshal([]byte(body), &have) != nil || !sameJSON(want, have) {
			list = append(list, fmt.Sprintf("the body is %s, not %s", body, asJSON(want)))
		}
	}
	return list
}

// fits reports whether a text is as wanted: equal, or matched as a whole when a regular expression is wanted, /in slashes/.
func fits(want, have string) bool {
	if inner, isPattern := strings.CutPrefix(want, "/"); isPattern && len(inner) > 1 && strings.HasSuffix(inner, "/") {
		if re, err := regexp.Compile("^(?s:" + strings.TrimSuffix(inner, "/") + ")$"); err == nil {
			return re.MatchString(have)
		}
	}
	return want == have
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// sameJSON compares values by what they are in JSON.
func sameJSON(a, b any) bool {
	var x, y any
	return json.Unmarshal([]byte(asJSON(a)), &x) == nil && json.Unmarshal([]byte(asJSON(b)), &y) == nil && reflect.DeepEqual(x, y)
}

// renewed is what the outcome makes of what was expected: the same members with the values of now. Without members that
// were expected it is all that there is.
func (e *expected) renewed(o *outcome) *expected {
	everything := e == nil || e.Calls == nil && e.Upstream == nil && e.Answer == nil
	old := expected{}
	if e != nil {
		old = *e
	}
	made := expected{}
	if everything || old.Calls != nil {
		for _, c := range o.calls {
			old := expectedMessage{URL: c.plain, Headers: headersOf(c.header), Body: bodyOf(c.body)}
			if !everything {
				old.Headers, old.Body = nil, nil
				for _, want := range e.Calls {
					if want.URL == c.plain || want.Node != "" && want.Node == c.node {
						old.Node, old.Headers, old.Body = want.Node, want.Headers, want.Body
						break
					}
				}
			}
			m := old.renewed(c.header, c.body)
			m.URL = c.plain
			if c.method != http.MethodGet {
				m.Method = c.method
			}
			made.Calls = append(made.Calls, m)
		}
	}
	if u := o.upstream; u != nil && !o.redirected {
		want := old.Upstream
		if want == nil {
			want = &expectedMessage{URI: u.target, Headers: headersOf(u.header), Body: bodyOf(u.body)}
		}
		m := want.renewed(u.header, u.body)
		if want.URI != "" {
			m.URI = u.target
		}
		if want.Method != "" {
			m.Method = u.method
		}
		m.Host = u.host
		made.Upstream = &m
	}
	want := old.Answer
	if want == nil {
		want = &expectedMessage{Headers: headersOf(o.answer.header), Body: bodyOf(o.answer.body)}
	}
	m := want.renewed(o.answer.header, o.answer.body)
	m.Status = o.answer.status
	made.Answer = &m
	if made.Failure = o.failure; old.Failure != "" && strings.Contains(o.failure, old.Failure) {
		made.Failure = old.Failure
	}
	renew(&made.Properties, old.Properties, o.property)
	renew(&made.Trace, old.Trace, func(name string) any { return plainValue(o.completed(name)) })
	for name := range old.Nodes {
		if made.Nodes == nil {
			made.Nodes = map[string]string{}
		}
		made.Nodes[name] = o.nodeStatus(name)
	}
	return &made
}

func renew(into *map[string]any, old map[string]any, value func(string) any) {
	for name := range old {
		if *into == nil {
			*into = map[string]any{}
		}
		(*into)[name] = value(name)
	}
}

// plainValue is a value as YAML takes it.
func plainValue(v any) (plain any) {
	if json.Unmarshal([]byte(asJSON(v)), &plain) != nil {
		return nil
	}
	return plain
}

// renewed has the headers and the body that m has, with the values of now.
func (m *expectedMessage) renewed(header http.Header, body string) (made expectedMessage) {
	made.Node = m.Node
	for name := range m.Headers {
		if made.Headers == nil {
			made.Headers = map[string]*string{}
		}
		made.Headers[name] = nil
		if want := m.Headers[name]; want != nil && fits(*want, strings.Join(header.Values(name), ", ")) {
			made.Headers[name] = want // an expression stays
			continue
		}
		if values, there := header[http.CanonicalHeaderKey(name)]; there {
			made.Headers[name] = new(strings.Join(values, ", "))
		}
	}
	if m.Body != nil {
		if made.Body = bodyOf(body); made.Body == nil {
			made.Body = ""
		}
		if text, isText := m.Body.(string); isText {
			if made.Body = body; fits(text, body) {
				made.Body = text
			}
		}
	}
	return made
}

func headersOf(h http.Header) map[string]*string {
	m := map[string]*string{}
	for name, values := range h {
		if name != "Host" && name != "User-Agent" {
			m[name] = new(strings.Join(values, ", "))
		}
	}
	return m
}

// bodyOf is a body as what is expected: decoded when it is an object or a list.
func bodyOf(body string) (v any) {
	if body == "" {
		return nil
	}
	if (body[0] == '{' || body[0] == '[') && json.Unmarshal([]byte(body), &v) == nil {
		return v
	}
	return body
}
