package store

import (
	"fmt"
	"net/netip"
	"strings"
)

// Kinds of scopes.
const (
	MethodScope  = "method"
	RouteScope   = "route"
	ServiceScope = "service"
)

// ParseScope reads one of an entry's scopes, for instance method:GET.
func ParseScope(text string) (kind, value string, err error) {
	kind, value, _ = strings.Cut(text, ":")
	switch {
	case kind != MethodScope && kind != RouteScope && kind != ServiceScope:
		return "", "", fmt.Errorf("%q is no scope; write method:GET, route:NAME or service:NAME", text)
	case value == "":
		return "", "", fmt.Errorf("%q names no %s", text, kind)
	}
	return kind, value, nil
}

// ParseNetwork reads one of an entry's CIDRs: a network, or a single address.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no address or network; write for instance 10.0.0.0/8", text)
	}
	return p.Masked(), nil
}
