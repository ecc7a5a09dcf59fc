package datakit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// callKind sends an HTTP request and gives the response.
var callKind = kind{
	in: []port{
		{name: "body", typ: anyType}, headersPort(), queryPort(), {name: "url", typ: stringType},
		{name: "http_proxy", typ: stringType}, {name: "https_proxy", typ: stringType},
		{name: "proxy_auth_username", typ: stringType}, {name: "proxy_auth_password", typ: stringType},
	},
	out:   []port{{name: "body", typ: anyType}, {name: "headers", typ: mapType}, {name: "status", typ: numberType}, {name: "raw_body", typ: stringType}, {name: "error", typ: stringType}},
	async: true,
	masks: map[string]bool{"proxy_auth_username": true, "proxy_auth_password": true},
	build: buildCall,
}

// defaultCallTimeout is that of a call without one of its own.
const defaultCallTimeout = 60 * time.Second

type callNode struct {
	url      *url.URL // nil when it comes from an input
	method   string
	literals map[string]string // proxy inputs that were written as they are
	accept   []statusRange
	goesOn   bool // errors are outputs
	maxBody  int
	timeout  time.Duration
	names    *caser
}

// A statusRange is a range of good statuses.
type statusRange struct{ low, high int }

// proxyInputs are the inputs that take a literal where a label is expected elsewhere.
var proxyInputs = []string{"http_proxy", "https_proxy", "proxy_auth_username", "proxy_auth_password"} // read-only

// proxyLiteral reports whether an input of a call is a literal: one of the proxy's, whose text names no node.
func (c *NodeConfig) proxyLiteral(g *graph, input, text string) bool {
	for _, name := range proxyInputs {
		if name != input {
			continue
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
	return false
}

func buildCall(c *NodeConfig, b *builder) (node, error) {
	n := &callNode{method: http.MethodGet, literals: c.literals, maxBody: b.maxBody, timeout: defaultCallTimeout, names: &b.names}
	if text, ok := c.text("url", 1, 4096); ok {
		u, err := parseURL(text)
		if err != nil {
			c.fail("url", "%s", err)
		}
		n.url = u
	} else if c.members["url"] == nil && !c.connected("url") {
		c.fail("url", "required, unless the input url is connected")
	}
	if method, ok := c.text("method", 1, 32); ok {
		if strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			c.fail("method", "%q is no method: upper-case letters only, as in POST", shortened(method))
		}
		n.method = method
	}
	if ms, ok := c.whole("timeout", 0, maxTimeout); ok && ms > 0 {
		n.timeout = time.Duration(ms) * time.Millisecond
	}
	if policy, ok := c.oneOf("on_error", "fail", "continue"); ok {
		n.goesOn = policy == "continue"
	}
	n.accept = acceptedStatus(c)
	if most, ok := c.whole("max_response_bytes", 1, maxMaxBody); ok {
		n.maxBody = most
	}
	c.text("ssl_server_name", 1, 255)
	c.flag("ssl_verify", true)
	c.texts("allowed_hosts")
	c.object("retries")
	return n, nil
}

// parseURL reads an absolute URL of HTTP. Its errors do not show it, since it may hold a password.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is no URL; write one such as https://example.org/path")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is not http or https; write an absolute URL such as https://example.org/path", shortened(u.Scheme))
	case u.Hostname() == "":
		return nil, errors.New("names no host; write an absolute URL such as https://example.org/path")
	}
	return u, nil
}

// acceptedStatus reads accept_status: statuses and ranges such as 200-299, as texts or numbers.
func acceptedStatus(c *NodeConfig) []statusRange {
	v, ok := c.get("accept_status")
	if !ok {
		return []statusRange{{200, 299}}
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		c.fail("accept_status", `expected a list such as ["200-299", 404]`)
		return nil
	}
	var ranges []statusRange
	for i, e := range list {
		text, _ := textOf(e)
		low, high, isRange := strings.Cut(text, "-")
		if !isRange {
			high = low
		}
		l, errLow := strconv.Atoi(low)
		h, errHigh := strconv.Atoi(high)
		if errLow != nil || errHigh != nil || l < 100 || h > 599 || l > h {
			c.fail(fmt.Sprintf("accept_status[%d]", i), `expected a status or a range such as "200-299"`)
			continue
		}
		ranges = append(ranges, statusRange{l, h})
	}
	return ranges
}

func (n *callNode) accepts(status int) bool {
	for _, r := range n.accept {
		if status >= r.low && status <= r.high {
			return true
		}
	}
	return false
}

func (n *callNode) run(ctx context.Context, in values) (values, error) {
	out, err := n.call(ctx, in)
	if err == nil || !n.goesOn || errors.Is(context.Cause(ctx), errCanceled) {
		return out, err
	}
	if out == nil {
		out = values{}
	}
	out["error"] = err.Error()
	return out, nil
}

// call sends the request. What has arrived is returned beside an error.
func (n *callNode) call(ctx context.Context, in values) (values, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, n.timeout, fmt.Errorf("no answer within %s", n.timeout))
	defer cancel()
	request, err := n.request(ctx, in)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, int64(n.maxBody)+1))
	if err != nil {
		return nil, err
	}
	out := values{"status": answer.StatusCode, "headers": n.names.headerValues(answer.Header), "raw_body": string(body)}
	out["body"], err = bodyValue(body, answer.Header.Get("Content-Type"))
	if !n.accepts(answer.StatusCode) {
		return out, fmt.Errorf("non-2XX response code: %d", answer.StatusCode)
	}
	if err != nil {
		return out, fmt.Errorf("the response's body: %w", err)
	}
	return out, nil
}

// request makes the request of the inputs.
func (n *callNode) request(ctx context.Context, in values) (*http.Request, error) {
	target := n.url
	if text, ok := in["url"].(string); ok {
		u, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		target = u
	}
	if target == nil {
		return nil, errors.New("url: the input is null, and the node has no url of its own")
	}
	if in["query"] != nil {
		query, err := queryOf(in["query"])
		if err != nil {
			return nil, err
		}
		copied := *target
		copied.RawQuery = query
		target = &copied
	}
	headers, err := headersOf(in["headers"])
	if err != nil {
		return nil, err
	}
	body, contentType, err := writeBody(in["body"], contentTypeOf(headers))
	if err != nil {
		return nil, err
	}
	var content io.Reader
	if len(body) > 0 {
		content = strings.NewReader(string(body))
	}
	request, err := http.NewRequestWithContext(ctx, n.method, target.String(), content)
	if err != nil {
		return nil, errors.New("url: no request can be made of it")
	}
	for _, h := range without(headers, append([]string{"Content-Length"}, hopByHop...)...) {
		if h.Name == "Host" && len(h.Values) > 0 {
			request.Host = h.Values[0]
			continue
		}
		if len(h.Values) > 0 {
			request.Header[h.Name] = h.Values
		}
	}
	if contentType != "" && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request, nil
}
