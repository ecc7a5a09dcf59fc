package moesif

import (
	"net/netip"
	"strings"

	"kong-go-plugins/moesif/mask"
)

// addressHeaders are read in this order before the address that Kong saw. Clients can set all of them, which is the
// behaviour of Moesif's other plugins.
func addressHeaders() []string {
	return []string{"x-client-ip", "x-forwarded-for", "cf-connecting-ip", "fastly-client-ip", "true-client-ip", "x-real-ip",
		"x-cluster-client-ip", "x-forwarded", "forwarded-for", "forwarded"}
}

// clientIP returns the first valid address in the request's headers, else the one that Kong saw, which is made of such a
// header, too, where Kong trusts the sender (trusted_ips). A masked header is not read.
func clientIP(request headers, masks *mask.Masks, kongs string) string {
	for _, name := range addressHeaders() {
		if masks.HidesHeader(name) {
			continue
		}
		for _, value := range request.values(name) {
			for element := range strings.SplitSeq(value, ",") {
				if a, ok := parseAddress(element); ok {
					return a
				}
			}
		}
	}
	if a, ok := parseAddress(kongs); ok {
		return a
	}
	return ""
}

// parseAddress reads an address as proxies write it: plain, with a port, an IPv6 address in brackets, or one element of
// RFC 7239 (for="[2001:db8::1]:443";proto=https).
func parseAddress(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if strings.ContainsAny(s, "=;") {
		s = forwardedFor(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil && strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		if a, err = netip.ParseAddr(s[1 : len(s)-1]); err == nil && !a.Is6() {
			return "", false
		}
	}
	if err != nil {
		p, err := netip.ParseAddrPort(s)
		if err != nil {
			return "", false
		}
		a = p.Addr()
	}
	if a.Zone() != "" {
		return "", false
	}
	return a.Unmap().String(), true
}

// forwardedFor returns the value of `for` in an element of the Forwarded header, or "".
func forwardedFor(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(strings.TrimSpace(name), "for") {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}
