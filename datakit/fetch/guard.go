package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Guard decides where requests may go whose address is not the configuration's. Unless an address is allowed, it
// refuses those that only this machine, its network's next hop or its cloud provider answer: loopback, link-local,
// unspecified, multicast, and addresses of metadata services; in any form that leads there, as IPv4 in IPv6 does.
//
// Addresses are checked when a connection is made, after the name was resolved, so a name that changes its address in
// between gains nothing. A proxy resolves names itself: behind one, names are resolved here as well and refused by what
// they have here, but the proxy may see others; rules for that belong into the proxy.
//
// A nil Guard allows everything.
type Guard struct {
	own             string // host:port that is always allowed
	allowed, denied rules
	text            string
}

// rules are hosts by name and by address.
type rules struct {
	names    []string // in lower case; *.example.org is every name below
	prefixes []netip.Prefix
}

// NewGuard returns a guard. Entries of the lists are host names, *.example.org for all names below one, addresses, and
// prefixes such as 10.0.0.0/8. With allowed entries, hosts or addresses must be among them. A name that is allowed must
// still lead to an address that is not refused; an address that is allowed is not refused for what it is. denied counts
// more than allowed. own is a URL whose host and port are always allowed, or nil.
func NewGuard(own *url.URL, allowed, denied []string) (*Guard, error) {
	g := &Guard{}
	if own != nil {
		g.own = hostPort(own)
	}
	var errs []error
	for _, list := range []struct {
		name    string
		entries []string
		into    *rules
	}{{"allowed_hosts", allowed, &g.allowed}, {"denied_hosts", denied, &g.denied}} {
		for i, e := range list.entries {
			if err := list.into.add(e); err != nil {
				errs = append(errs, fmt.Errorf("%s[%d]: %w", list.name, i, err))
			}
		}
	}
	g.text = fmt.Sprintf("%q %q %q %q", g.allowed.names, g.allowed.prefixes, g.denied.names, g.denied.prefixes)
	return g, errors.Join(errs...)
}

func (r *rules) add(entry string) error {
	if p, err := netip.ParsePrefix(entry); err == nil {
		r.prefixes = append(r.prefixes, p.Masked())
		return nil
	}
	if a, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		r.prefixes = append(r.prefixes, netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen()))
		return nil
	}
	name := normal(entry)
	rest := strings.TrimPrefix(name, "*.")
	if rest == "" || strings.ContainsAny(rest, "*/:@ ") || !isASCII(rest) || endsInNumber(rest) {
		return errors.New("expected a host name, *.example.org, an address, or a prefix such as 10.0.0.0/8; without scheme and port")
	}
	r.names = append(r.names, name)
	return nil
}

func (r *rules) hasName(host string) bool {
	return slices.ContainsFunc(r.names, func(name string) bool {
		if below, ok := strings.CutPrefix(name, "*"); ok {
			return strings.HasSuffix(host, below)
		}
		return host == name
	})
}

func (r *rules) hasAddress(a netip.Addr) bool {
	return slices.ContainsFunc(r.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (r *rules) empty() bool { return len(r.names) == 0 && len(r.prefixes) == 0 }

// key is equal for guards that decide alike, apart from their own host.
func (g *Guard) key() string {
	if g == nil {
		return ""
	}
	return g.text
}

// unlessOwn is g, or nil for the host and port that are always allowed.
func (g *Guard) unlessOwn(u *url.URL) *Guard {
	if g == nil || g.own != "" && g.own == hostPort(u) {
		return nil
	}
	return g
}

func blocked(host, why string) error {
	return &Error{Kind: Blocked, text: fmt.Sprintf("the host %q is refused: %s", shortened(host), why)}
}

// checkName says what can be said before the host is resolved.
func (g *Guard) checkName(host string) error {
	if g == nil {
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return g.check(host, a)
	}
	name := normal(host)
	switch {
	case !isASCII(name):
		return blocked(host, "it has letters beyond ASCII; write it as the name system has it, xn--…")
	case endsInNumber(name):
		return blocked(host, "it is neither a name nor an address in its usual form")
	case g.denied.hasName(name):
		return blocked(host, "it is in denied_hosts")
	case len(g.allowed.prefixes) == 0 && len(g.allowed.names) > 0 && !g.allowed.hasName(name):
		return blocked(host, "it is not in allowed_hosts")
	}
	return nil
}

// check says whether a host may be reached at an address.
func (g *Guard) check(host string, a netip.Addr) error {
	all := forms(a)
	if slices.ContainsFunc(all, g.denied.hasAddress) {
		return blocked(host, "its address is in denied_hosts")
	}
	if g.allowed.hasAddress(all[0]) {
		return nil
	}
	for _, form := range all {
		if why := special(form); why != "" {
			return blocked(host, why+"; what may be reached all the same belongs into allowed_hosts, by address")
		}
	}
	if !g.allowed.empty() && !g.allowed.hasName(normal(host)) {
		return blocked(host, "it is not in allowed_hosts")
	}
	return nil
}

// dial connects; the addresses that a name has are checked one by one, right before each is tried.
func (g *Guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{KeepAlive: 30 * time.Second, ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return blocked(host, "its address is not one of the internet")
		}
		return g.check(host, to.Addr())
	}}
	return d.DialContext(ctx, network, address)
}

// lookUpTime is how long a name behind a proxy is looked up here. Tests have more.
var lookUpTime = 2 * time.Second

// checkBehindProxy checks a host that a proxy will resolve. A name that is not known here is left to the proxy, unless
// only addresses are allowed.
func (g *Guard) checkBehindProxy(ctx context.Context, host string) error {
	if g == nil {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil // checkName has seen it
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTime)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		if !g.allowed.empty() && !g.allowed.hasName(normal(host)) {
			return blocked(host, "it is not in allowed_hosts")
		}
		return nil
	}
	for _, a := range addresses {
		if err := g.check(host, a); err != nil {
			return err
		}
	}
	return nil
}

// prefixes of addresses that lead to what is near, whoever asks.
var specials = []struct { // read-only
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("127.0.0.0/8"), "it is this machine (loopback)"},
	{netip.MustParsePrefix("::1/128"), "it is this machine (loopback)"},
	{netip.MustParsePrefix("0.0.0.0/8"), "it is this machine (unspecified)"},
	{netip.MustParsePrefix("::/128"), "it is this machine (unspecified)"},
	{netip.MustParsePrefix("169.254.0.0/16"), "its address is link-local, as those of metadata services are"},
	{netip.MustParsePrefix("fe80::/10"), "its address is link-local"},
	{netip.MustParsePrefix("fec0::/10"), "its address is site-local"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "it is a metadata service"},  // AWS
	{netip.MustParsePrefix("fd20:ce::254/128"), "it is a metadata service"},   // Google
	{netip.MustParsePrefix("100.100.100.200/32"), "it is a metadata service"}, // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), "it is a metadata service"},   // Azure
	{netip.MustParsePrefix("192.0.0.192/32"), "it is a metadata service"},     // Oracle
	{netip.MustParsePrefix("224.0.0.0/4"), "its address is multicast"},
	{netip.MustParsePrefix("ff00::/8"), "its address is multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "its address is broadcast"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "its address is translated by the local network"},
}

func special(a netip.Addr) string {
	for _, s := range specials {
		if s.prefix.Contains(a) {
			return s.why
		}
	}
	return ""
}

var (
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
	teredo     = netip.MustParsePrefix("2001::/32")
)

// forms are an address as it is, and the IPv4 addresses that it stands for where IPv6 is translated or tunnelled.
func forms(a netip.Addr) []netip.Addr {
	a = a.Unmap().WithZone("")
	all := []netip.Addr{a}
	if a.Is4() {
		return all
	}
	b := a.As16()
	v4 := func(at int) { all = append(all, netip.AddrFrom4([4]byte(b[at:at+4]))) }
	switch {
	case compatible.Contains(a), translated.Contains(a), nat64.Contains(a):
		v4(12)
	case sixToFour.Contains(a):
		v4(2)
	case teredo.Contains(a):
		v4(4)
		all = append(all, netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe { // ISATAP
		v4(12)
	}
	return all
}

func normal(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(normal(u.Hostname()), port)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// endsInNumber reports whether the last label is a number. Names never do, but some resolvers take 2130706433 and 0x7f.1
// for addresses.
func endsInNumber(host string) bool {
	label := host[strings.LastIndexByte(host, '.')+1:]
	if label == "" {
		return true
	}
	_, err := strconv.ParseUint(label, 0, 64)
	return err == nil || strings.Trim(label, "0123456789") == ""
}

func shortened(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
