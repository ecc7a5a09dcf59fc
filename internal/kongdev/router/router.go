// Package router finds the route of a request by the rules of Kong's default router flavor, traditional_compatible.
package router

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/uri"
)

// splitNamespace is Kong's namespace for the ids of routes that are split by the
// length of their paths.
const splitNamespace = "7f145bf9-0dce-4f91-98eb-debbce4b9f6b"

// A Router finds the route of a request by the rules of Kong's default router
// flavor, traditional_compatible. It is safe for concurrent use.
type Router struct {
	entries   []routeEntry // best first
	ByHeaders bool         // some look at headers: Match needs them
}

// Match is a found route with what Kong derives from the match. Service
// is nil for a route without a service.
type Match struct {
	Route        *declarative.Route
	Service      *declarative.Service
	Prefix       string // the part of the path that matched, when the route strips it; Kong's X-Forwarded-Prefix
	Captures     Captures
	UpstreamPath string // escaped, without a query
}

// Captures are a regex path's groups, empty for any other path. Unnamed has
// every group, the named ones too, from the first; Full is the whole match.
type Captures struct {
	Full    string
	Unnamed []string
	Named   map[string]string
}

// routeEntry is a route, or one part of a route whose paths differ in length.
type routeEntry struct {
	route    *declarative.Route
	id       string
	priority uint64
	hosts    []hostRule
	prefixes []string
	regexes  []*regexp.Regexp
	headers  []headerRule
}

type hostRule struct {
	exact, prefix, suffix string
	port                  int // 0 = any
}

type headerRule struct {
	name     string // canonical
	values   []string
	patterns []*regexp.Regexp
}

// New compiles the routes. The error lists every expression that does
// not compile; a loaded file has none.
func New(d *declarative.Config) (*Router, error) {
	r := &Router{}
	for _, route := range d.Routes {
		if route.Service != nil && !route.Service.Enabled {
			continue
		}
		groups := groupPaths(route.Paths)
		for i, paths := range groups {
			id := route.ID
			if len(groups) > 1 {
				id = declarative.UUIDv5(splitNamespace, fmt.Sprintf("%s#%d", route.ID, i+1))
			}
			e, err := newRouteEntry(route, id, paths)
			if err != nil {
				return nil, fmt.Errorf("route %q: %w", route.Name, err)
			}
			r.entries = append(r.entries, e)
			r.ByHeaders = r.ByHeaders || len(e.headers) > 0
		}
	}
	slices.SortStableFunc(r.entries, func(a, b routeEntry) int {
		switch {
		case a.priority != b.priority && a.priority > b.priority:
			return -1
		case a.priority != b.priority:
			return 1
		}
		return strings.Compare(b.id, a.id) // Kong's router keeps (priority, id) in order and reads it backwards
	})
	return r, nil
}

func newRouteEntry(route *declarative.Route, id string, paths []string) (routeEntry, error) {
	e := routeEntry{route: route, id: id, priority: routePriority(route, paths)}
	for _, p := range paths {
		if !declarative.IsRegexPath(p) {
			e.prefixes = append(e.prefixes, p)
			continue
		}
		re, err := declarative.CompilePath(p)
		if err != nil {
			return e, err
		}
		e.regexes = append(e.regexes, re)
	}
	for _, h := range route.Hosts {
		e.hosts = append(e.hosts, newHostRule(h))
	}
	for name, values := range route.Headers {
		rule := headerRule{name: http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))}
		for _, v := range values {
			if pattern, ok := strings.CutPrefix(v, "~*"); ok {
				re, err := regexp.Compile(strings.ToLower(pattern))
				if err != nil {
					return e, fmt.Errorf("headers: %q: %w", name, err)
				}
				rule.patterns = append(rule.patterns, re)
				continue
			}
			rule.values = append(rule.values, strings.ToLower(v))
		}
		e.headers = append(e.headers, rule)
	}
	return e, nil
}

func newHostRule(h string) hostRule {
	host, port := uri.SplitHostPort(h)
	switch {
	case strings.HasPrefix(host, "*"):
		return hostRule{suffix: host[1:], port: port}
	case strings.HasSuffix(host, "*"):
		return hostRule{prefix: host[:len(host)-1], port: port}
	}
	return hostRule{exact: host, port: port}
}

// Match finds the route of a request.
func (r *Router) Match(req *http.Request) (Match, bool) {
	path := uri.NormalizePath(RequestPath(req))
	if !utf8.ValidString(path) {
		return Match{}, false // Kong's router refuses the value and answers 404
	}
	host, port := uri.SplitHostPort(req.Host)
	if port == 0 {
		port = LocalPort(req)
	}
	for i := range r.entries {
		e := &r.entries[i]
		if !e.matchesRest(req, host, port) {
			continue
		}
		matched, groups, ok := e.matchPath(path)
		if !ok {
			continue
		}
		m := Match{Route: e.route, Service: e.route.Service, Captures: groups}
		base, postfix := "/", path
		if m.Service != nil && m.Service.Path != "" {
			base = m.Service.Path
		}
		if e.route.StripPath {
			m.Prefix = matched
			cut := len(matched)
			if cut == 0 {
				cut = 1 // no paths: Kong strips the "/" every path begins with
			}
			postfix = path[min(cut, len(path)):]
		}
		m.UpstreamPath = uri.EscapePath(joinUpstream(base, path, postfix, e.route.StripPath))
		return m, true
	}
	return Match{}, false
}

// matchesRest checks all but the path.
func (e *routeEntry) matchesRest(req *http.Request, host string, port int) bool {
	if len(e.route.Methods) > 0 && !slices.Contains(e.route.Methods, req.Method) {
		return false
	}
	if len(e.hosts) > 0 && !slices.ContainsFunc(e.hosts, func(h hostRule) bool { return h.matches(host, port) }) {
		return false
	}
	if len(e.route.SNIs) > 0 && req.TLS != nil && !matchesSNI(e.route.SNIs, req.TLS) {
		return false
	}
	for _, h := range e.headers {
		if !slices.ContainsFunc(req.Header[h.name], h.matches) {
			return false
		}
	}
	return true
}

func (e *routeEntry) matchPath(path string) (string, Captures, bool) {
	if len(e.prefixes) == 0 && len(e.regexes) == 0 {
		return "", Captures{}, true
	}
	for _, p := range e.prefixes {
		if strings.HasPrefix(path, p) {
			return p, Captures{}, true
		}
	}
	for _, re := range e.regexes {
		groups := re.FindStringSubmatch(path)
		if groups == nil {
			continue
		}
		if len(groups) == 1 {
			return groups[0], Captures{}, true
		}
		c := Captures{Full: groups[0], Unnamed: groups[1:], Named: map[string]string{}}
		for i, name := range re.SubexpNames() {
			if name != "" {
				c.Named[name] = groups[i]
			}
		}
		return groups[0], c, true
	}
	return "", Captures{}, false
}

func (h hostRule) matches(host string, port int) bool {
	if h.port != 0 && h.port != port {
		return false
	}
	switch {
	case h.suffix != "":
		return strings.HasSuffix(host, h.suffix)
	case h.prefix != "":
		return strings.HasPrefix(host, h.prefix)
	}
	return host == h.exact
}

func (h headerRule) matches(value string) bool {
	value = strings.ToLower(value)
	return slices.Contains(h.values, value) ||
		slices.ContainsFunc(h.patterns, func(re *regexp.Regexp) bool { return re.MatchString(value) })
}

func matchesSNI(snis []string, state *tls.ConnectionState) bool {
	return slices.ContainsFunc(snis, func(sni string) bool {
		switch {
		case strings.HasPrefix(sni, "*"):
			return strings.HasSuffix(state.ServerName, strings.TrimSuffix(sni[1:], "."))
		case strings.HasSuffix(sni, "*"):
			return strings.HasPrefix(state.ServerName, sni[:len(sni)-1])
		}
		return state.ServerName == strings.TrimSuffix(sni, ".")
	})
}

// RequestPath is the path as the client sent it, without the query.
func RequestPath(req *http.Request) string {
	target := req.RequestURI
	if target == "" {
		target = req.URL.RequestURI()
	}
	path, _, _ := strings.Cut(uri.OriginForm(target), "?")
	return path
}

// LocalPort is the port the request arrived at, 0 when unknown.
func LocalPort(req *http.Request) int {
	a, ok := req.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return 0
	}
	return a.Port
}
