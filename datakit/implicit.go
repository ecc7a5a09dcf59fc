package datakit

import (
	"fmt"
	"strings"
)

// The implicit nodes. They exist in every workflow, and stand for the gateway.
const (
	requestNode         = "request"
	serviceRequestNode  = "service_request"
	serviceResponseNode = "service_response"
	responseNode        = "response"
	vaultNode           = "vault"
)

// implicitNames are in the order in which a request meets them.
var implicitNames = []string{requestNode, serviceRequestNode, serviceResponseNode, responseNode, vaultNode} // read-only

// implicitDocs say what they are, for the reference.
var implicitDocs = map[string]string{ // read-only
	requestNode:         "The client's request, as it was before the workflow. Nodes of the response phase may take from it, too.",
	serviceRequestNode:  "What the workflow changes in the request to the upstream, in the access phase.",
	serviceResponseNode: "The upstream's answer. What depends on it runs in the response phase, and the gateway holds the answer back for it.",
	responseNode:        "What the workflow changes in the response to the client, in the response phase.",
	vaultNode:           "The values of `resources.vault` by their keys, each a string, or all as one object. In either phase. Since 3.12.",
}

func isReserved(name string) bool {
	for _, n := range implicitNames {
		if n == name {
			return true
		}
	}
	return false
}

// implicitPorts returns the inputs and outputs of an implicit node.
func implicitPorts(name string, r *Resources) (in, out []port) {
	headers, query, body := headersPort(), queryPort(), port{name: "body", typ: anyType}
	const read, merged = "Text by name, a list where there are several.", "Merged with those that are there by name; null takes one away."
	const decoded, written = "Decoded when it is JSON, else a text; null when empty.", "A text as it is, other values as JSON; null changes nothing."
	switch name {
	case requestNode:
		return nil, []port{
			headers.described("3.11", read), query.described("3.11", "Text by name, a list where a name is repeated, true without a value."), body.described("3.11", decoded),
			{name: "path", typ: stringType, since: "3.14", doc: "The normalised path."}, {name: "raw_path", typ: stringType, since: "3.14", doc: "The path as it was sent."},
			{name: "port", typ: numberType, since: "3.14", doc: "Of the gateway."}, {name: "method", typ: stringType, since: "3.14", doc: "In upper case."},
			{name: "scheme", typ: stringType, since: "3.14", doc: "`http` or `https`."}, {name: "version", typ: numberType, since: "3.14", doc: "Of HTTP: 1.0, 1.1 or 2.0."},
		}
	case serviceRequestNode:
		return []port{headers.described("3.11", merged), query.described("3.11", "Replaces the whole query."), body.described("3.11", written)}, nil
	case serviceResponseNode:
		return nil, []port{
			headers.described("3.11", read), body.described("3.11", decoded),
			{name: "status", typ: numberType, since: "3.14", doc: "The response code."}, {name: "raw_body", typ: stringType, since: "3.14", doc: "The body's bytes as they came."},
		}
	case responseNode:
		return []port{headers.described("3.11", merged), body.described("3.11", written)}, nil
	}
	for _, key := range sortedKeys(r.Vault) {
		out = append(out, port{name: key, typ: stringType})
	}
	return nil, out
}

func headersPort() port {
	return port{name: "headers", typ: mapType, check: func(v any) error { _, err := caser{}.headers(v); return err }}
}

func queryPort() port {
	return port{name: "query", typ: mapType, check: func(v any) error { _, err := queryOf(v); return err }}
}

// described adds what the reference says of a port.
func (p port) described(since, doc string) port {
	p.since, p.doc = since, doc
	return p
}

func portOf(ports []port, name string) (port, bool) {
	for _, p := range ports {
		if p.name == name {
			return p, true
		}
	}
	return port{}, false
}

func portNames(ports []port) string {
	names := make([]string, 0, len(ports))
	for _, p := range ports {
		if p.name != self {
			names = append(names, p.name)
		}
	}
	return strings.Join(names, ", ")
}

func typeNames() string { return strings.Join(sortedKeys(kinds), ", ") }

func nodePath(i int) string { return fmt.Sprintf("nodes[%d]", i) }
