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
	switch name {
	case requestNode:
		return nil, []port{
			headers, query, body, {name: "path", typ: stringType}, {name: "raw_path", typ: stringType}, {name: "port", typ: numberType},
			{name: "method", typ: stringType}, {name: "scheme", typ: stringType}, {name: "version", typ: numberType},
		}
	case serviceRequestNode:
		return []port{headers, query, body}, nil
	case serviceResponseNode:
		return nil, []port{headers, body, {name: "status", typ: numberType}, {name: "raw_body", typ: stringType}}
	case responseNode:
		return []port{headers, body}, nil
	}
	for _, key := range sortedKeys(r.Vault) {
		out = append(out, port{name: key, typ: stringType})
	}
	return nil, out
}

func headersPort() port {
	return port{name: "headers", typ: mapType, check: func(v any) error { _, err := headersOf(v); return err }}
}

func queryPort() port {
	return port{name: "query", typ: mapType, check: func(v any) error { _, err := queryOf(v); return err }}
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
