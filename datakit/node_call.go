package datakit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"kong-go-plugins/datakit/fetch"
)

// callKind sends an HTTP request and gives the response.
var callKind = kind{
	since: "3.11",
	doc:   "Sends an HTTP request. What is sent, retries and the addresses that inputs may choose are in [calls and caches](datakit-calls.md#calls).",
	options: []option{
		{name: "url", typ: stringType, min: 1, max: 4096, since: "3.11", doc: "An absolute URL; required unless the input `url` is connected (3.13)."},
		{name: "method", typ: stringType, min: 1, max: 32, pattern: "^[A-Z]{1,32}$", otherwise: http.MethodGet, since: "3.11", doc: "Upper-case letters."},
		{name: "timeout", typ: numberType, max: maxTimeout, unit: "ms", otherwise: 60_000, since: "3.11", doc: "Of each try; 0 stands for the default. `timeout_ms` of the workflow ends every wait, tries and pauses included."},
		{name: "ssl_verify", typ: booleanType, otherwise: true, since: "3.13",
			doc: "Checks certificates against the authorities of the system (`SSL_CERT_FILE` names others). false is refused for https where `tls_certificate_verify` of the gateway is on."},
		{name: "ssl_server_name", typ: stringType, min: 1, max: 255, since: "3.11", doc: "The server's name in TLS, in place of the URL's host."},
		{name: "on_error", typ: stringType, oneOf: []string{"fail", "continue"}, otherwise: "fail",
			doc: "`continue`: a failed call does not end the workflow. The output `error` says why; what has arrived of the answer is in the other outputs."},
		{name: "accept_status", typ: listType, otherwise: []string{"200-299"}, doc: "Response codes that are no failure: numbers and ranges, as in `[\"200-299\", 404]`."},
		{name: "retries", typ: mapType, doc: "Sends a request again.", fields: []option{
			{name: "count", typ: numberType, min: 1, max: 10, otherwise: 1, doc: "Tries beside the first one."},
			{name: "backoff_ms", typ: numberType, min: 1, max: 60_000, unit: "ms", otherwise: 100, doc: "The first pause, doubled each time up to 5 s; by chance half of it at least."},
			{name: "on", typ: listType, otherwise: []string{"429", "502-504"}, doc: "Response codes after which there is another try, beside connections that failed and answers that did not come."},
			{name: "any_method", typ: booleanType, otherwise: false, doc: "Also for methods that may do something twice, such as POST."},
		}},
		{name: "max_response_bytes", typ: numberType, min: 1, max: maxMaxBody, unit: "bytes", doc: "Largest body, as sent and unpacked; else `max_body_bytes`."},
		{name: "allowed_hosts", typ: listType, doc: "Where a call may go whose address comes from an input, and nowhere else."},
		{name: "denied_hosts", typ: listType, doc: "Where such a call may not go; counts more."},
	},
	in: []port{
		{name: "body", typ: anyType, since: "3.11", doc: "A text as it is; other values as JSON, an object as a form where the Content-Type says so."},
		headersPort().described("3.11", "Of the request. Numbers and booleans become texts, a list several headers; null is none."),
		queryPort().described("3.11", "Replaces the URL's query."), {name: "url", typ: stringType, since: "3.13", doc: "In place of the node's own `url`, unless null."},
		{name: "http_proxy", typ: stringType, since: "3.13", doc: "Proxy of http URLs: `http://host:port`. The four inputs of the proxy also take a text in place of a label."},
		{name: "https_proxy", typ: stringType, since: "3.13", doc: "Proxy of https URLs."},
		{name: "proxy_auth_username", typ: stringType, since: "3.13", doc: "For either proxy."}, {name: "proxy_auth_password", typ: stringType, since: "3.13", doc: "For either proxy."},
	},
	out: []port{
		{name: "body", typ: anyType, since: "3.11", doc: "Decoded when it is JSON, else a text; null when empty."}, {name: "headers", typ: mapType, since: "3.11", doc: "Text by name, a list where there are several."},
		{name: "status", typ: numberType, since: "3.11", doc: "The response code."}, {name: "raw_body", typ: stringType, since: "3.14", doc: "The body as text, unpacked."},
		{name: "error", typ: stringType, doc: "With `on_error: continue`: why the call failed, or null."},
	},
	async: true,
	masks: map[string]bool{"proxy_auth_username": true, "proxy_auth_password": true},
	declare: func(c *NodeConfig) []port {
		if policy, _ := c.get("on_error"); policy == "continue" {
			return c.kind.out
		}
		return slices.DeleteFunc(slices.Clone(c.kind.out), func(p port) bool { return p.name == "error" })
	},
	build: buildCall,
}

// A callNode is a call. Its parts are shared by requests.
type callNode struct {
	name     string
	client   *fetch.Client
	request  fetch.Request     // what is the same for all requests
	literals map[string]string // proxy inputs that were written as they are
	guard    *fetch.Guard      // of URLs and proxies that come from inputs
	goesOn   bool              // errors are outputs
	refused  bool              // TLS without a look at certificates, which Kong forbids
	names    *caser
	count    answers
}

// proxyInputs are the inputs that take a literal where a label is expected elsewhere.
var proxyInputs = []string{"http_proxy", "https_proxy", "proxy_auth_username", "proxy_auth_password"} // read-only

// proxyLiteral reports whether an input of a call is a literal: one of the proxy's, whose text names no node.
func (c *NodeConfig) proxyLiteral(g *graph, input, text string) bool {
	if !slices.Contains(proxyInputs, input) {
		return false
	}
	if l, err := parseLabel(text); err == nil {
		if _, known := g.byName[l.node]; known {
			return false
		}
	}
	if c.literals == nil {
		c.literals = map[string]string{}
	}
	c.literals[input] = text
	return true
}

func buildCall(c *NodeConfig, b *builder) (node, error) {
	n := &callNode{name: c.Name, count: b.engine.stats.answersOf(c.Name), client: b.engine.client, literals: c.literals, names: &b.names, request: fetch.Request{
		MaxBytes: b.maxBody,
	}}
	r := &n.request
	if text, ok := c.text("url"); ok {
		u, err := fetch.ParseURL(text)
		if err != nil {
			c.fail("url", "%s", err)
		}
		r.URL = u
	} else if c.members["url"] == nil && !c.connected("url") {
		c.fail("url", "required, unless the input url is connected")
	}
	if r.Method, _ = c.text("method"); strings.Trim(r.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		c.fail("method", "%q is no method: upper-case letters only, as in POST", shortened(r.Method))
	}
	ms, _ := c.whole("timeout")
	if ms == 0 {
		ms = c.option("timeout").otherwise.(int)
	}
	r.Timeout = time.Duration(ms) * time.Millisecond
	r.AnyCertificate = !c.flag("ssl_verify")
	n.refused = r.AnyCertificate && b.engine.settings.isOn("tls_certificate_verify")
	r.ServerName, _ = c.text("ssl_server_name")
	policy, _ := c.text("on_error")
	n.goesOn = policy == "continue"
	r.Accept = c.statuses("accept_status")
	if most, ok := c.whole("max_response_bytes"); ok {
		r.MaxBytes = most
	}
	r.Retries = readRetries(c, r.Method)
	allowed, _ := c.texts("allowed_hosts")
	denied, _ := c.texts("denied_hosts")
	var err error
	if n.guard, err = fetch.NewGuard(r.URL, allowed, denied); err != nil {
		return nil, err
	}
	if _, err := n.proxyOf(n.literals, "http"); err != nil {
		c.fail("inputs.http_proxy", "%s", err)
	}
	if _, err := n.proxyOf(n.literals, "https"); err != nil {
		c.fail("inputs.https_proxy", "%s", err)
	}
	return n, nil
}

// statuses reads response codes and ranges such as 200-299, as texts or numbers.
func (o *options) statuses(name string) fetch.Statuses {
	_ = o.option(name)
	v, ok := o.get(name)
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		o.fail(name, `expected a list such as ["200-299", 404]`)
		return nil
	}
	var all fetch.Statuses
	for i, e := range list {
		text, _ := textOf(e)
		if f, isNumber := floatOf(e); isNumber {
			text = strconv.FormatFloat(f, 'f', -1, 64) // Kong may have made 404.0 of it
		}
		r, err := fetch.ParseStatus(text)
		if err != nil {
			o.fail(fmt.Sprintf("%s[%d]", name, i), "%s", err)
			continue
		}
		all = append(all, r)
	}
	return all
}

// readRetries reads retries: {count, backoff_ms, on, any_method}.
func readRetries(c *NodeConfig, method string) (r fetch.Retries) {
	m, ok := c.object("retries")
	if !ok {
		return r
	}
	o := c.under("retries", m)
	r.Count, _ = o.whole("count")
	ms, _ := o.whole("backoff_ms")
	r.Backoff = time.Duration(ms) * time.Millisecond
	r.On = o.statuses("on")
	if r.AnyMethod = o.flag("any_method"); !r.AnyMethod && !fetch.Idempotent(method) {
		c.fail("retries", "a request of method %s may do something twice when it is sent again; set any_method: true if that does no harm", method)
	}
	o.rest("retries")
	return r
}

func (n *callNode) run(ctx context.Context, in values) (values, error) {
	out, err := n.call(ctx, in)
	if err == nil || !n.goesOn || ctx.Err() != nil {
		return out, err
	}
	return append(out, portValue{"error", err.Error()}), nil
}

// call sends the request. What has arrived is returned beside an error.
func (n *callNode) call(ctx context.Context, in values) (values, error) {
	request, err := n.requestOf(ctx, in)
	if err != nil {
		return nil, err
	}
	answer, failure := n.client.Do(context.WithValue(ctx, callNameKey{}, n.name), request)
	if answer == nil {
		n.count.note(0)
		return nil, failure
	}
	n.count.note(answer.Status)
	body, err := bodyValue(answer.Body, answer.Header.Get("Content-Type"))
	out := values{
		{"status", answer.Status}, {"headers", n.names.headerValues(answer.Header)}, {"raw_body", string(answer.Body)}, {"body", body},
	}
	if err != nil {
		err = fmt.Errorf("the response's body: %w", err)
	}
	if failure != nil {
		err = failure
	}
	return out, err
}

// requestOf makes the request of the inputs.
func (n *callNode) requestOf(ctx context.Context, in values) (*fetch.Request, error) {
	r := n.request
	if text, ok := in.get("url").(string); ok {
		u, err := fetch.ParseURL(text)
		if err != nil {
			return nil, fmt.Errorf("the input url %w", err)
		}
		r.URL, r.Guard = u, n.guard
	}
	if r.URL == nil {
		return nil, errors.New("the input url is null, and the node has no url of its own")
	}
	if n.refused && r.URL.Scheme == "https" {
		return nil, errors.New("ssl_verify: false is not allowed where tls_certificate_verify of the gateway is on")
	}
	if v := in.get("query"); v != nil {
		query, err := queryOf(v)
		if err != nil {
			return nil, err
		}
		copied := *r.URL
		copied.RawQuery = query
		r.URL = &copied
	}
	headers, err := n.names.headers(in.get("headers"))
	if err != nil {
		return nil, err
	}
	var contentType string
	if r.Body, contentType, err = writeBody(in.get("body"), contentTypeOf(headers)); err != nil {
		return nil, err
	}
	r.Header = make(http.Header, len(headers)+2)
	for _, h := range headers {
		if len(h.Values) > 0 || h.Name == "User-Agent" { // null: none, in place of the plugin's own
			r.Header[h.Name] = h.Values
		}
	}
	if contentType != "" && r.Header["Content-Type"] == nil {
		r.Header["Content-Type"] = []string{contentType}
	}
	if parent, ok := ctx.Value(traceParentKey{}).(string); ok && r.Header["Traceparent"] == nil {
		r.Header["Traceparent"] = []string{parent}
	}
	return &r, n.proxy(&r, in)
}

// traceParentKey is where the request's traceparent is in a context.
type traceParentKey struct{}

// callNameKey is where the name of the node that sends a request is in the request's context.
type callNameKey struct{}

// isTraceParent reports whether a header of a client is one that services can go on with.
// Source: W3C Trace Context, section 3.2.
func isTraceParent(s string) bool { return traceParentForm.MatchString(s) }

var traceParentForm = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// proxy chooses the proxy for a request.
func (n *callNode) proxy(r *fetch.Request, in values) error {
	given := map[string]string{}
	for _, name := range proxyInputs {
		if text, ok := in.get(name).(string); ok {
			given[name] = text
		} else if text, ok := n.literals[name]; ok {
			given[name] = text
		}
	}
	if len(given) == 0 {
		return nil
	}
	var err error
	if r.Proxy, err = n.proxyOf(given, r.URL.Scheme); err != nil {
		return fmt.Errorf("%s_proxy: %w", r.URL.Scheme, err)
	}
	if _, fromInput := in.get(r.URL.Scheme + "_proxy").(string); fromInput {
		r.ProxyGuard = n.guard
	}
	return nil
}

// proxyOf reads the proxy for a scheme, nil for none.
func (n *callNode) proxyOf(given map[string]string, scheme string) (*url.URL, error) {
	address := given[scheme+"_proxy"]
	if address == "" {
		return nil, nil
	}
	u, err := fetch.ParseProxy(address, given["proxy_auth_username"], given["proxy_auth_password"])
	if err != nil {
		return nil, err
	}
	return u, nil
}
