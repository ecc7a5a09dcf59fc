package datakit

import "context"

// exitKind answers the client and ends the workflow.
var exitKind = kind{
	since: "3.11",
	doc:   "Answers the client and ends the workflow, after what is ready before it in the list.",
	options: []option{
		{name: "status", typ: numberType, min: 200, max: 599, otherwise: 200, since: "3.11", doc: "The response's status."},
		{name: "warn_headers_sent", typ: booleanType, since: "3.11", doc: "Without effect: headers are never out already, because responses are buffered where a workflow changes them."},
	},
	in: []port{
		{name: "body", typ: anyType, since: "3.11", doc: "A text as it is, other values as JSON."}, headersPort().described("3.11", "Of the response."),
	},
	ends: true,
	build: func(c *NodeConfig, b *builder) (node, error) {
		status, _ := c.whole("status")
		c.flag("warn_headers_sent")
		return exitNode{status, &b.names}, nil
	},
}

type exitNode struct {
	status int
	names  *caser
}

// An Answer is what the client gets.
type Answer struct {
	Status int
	Header []Header
	Body   []byte
}

// ContentType returns the answer's, or "".
func (a *Answer) ContentType() string { return contentTypeOf(a.Header) }

func contentTypeOf(headers []Header) string {
	if list, ok := find(headers, "Content-Type"); ok && len(list) > 0 {
		return list[0]
	}
	return ""
}

// ofBody are headers that describe a body as it was sent, which an answer has of its own.
var ofBody = append([]string{"Content-Length", "Content-Encoding"}, hopByHop...) // read-only

func (n exitNode) run(_ context.Context, in values) (values, error) {
	a, err := n.answer(in)
	if err != nil {
		return nil, err
	}
	return values{{"status", a.Status}}, nil
}

// answer makes the answer of the node's inputs.
func (n exitNode) answer(in values) (*Answer, error) {
	headers, err := n.names.headers(in.get("headers"))
	if err != nil {
		return nil, err
	}
	headers = without(headers, ofBody...)
	body, contentType, err := writeBody(in.get("body"), contentTypeOf(headers))
	if err != nil {
		return nil, err
	}
	if contentType != "" && contentTypeOf(headers) == "" {
		headers = append(headers, Header{"Content-Type", []string{contentType}})
	}
	return &Answer{Status: n.status, Header: headers, Body: body}, nil
}
