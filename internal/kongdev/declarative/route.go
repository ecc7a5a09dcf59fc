package declarative

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kong-go-plugins/internal/kongdev/uri"
)

var routeFields = []string{ // read-only
	"name", "protocols", "methods", "hosts", "paths", "headers", "snis", "sources", "destinations", "strip_path", "preserve_host",
	"regex_priority", "https_redirect_status_code", "path_handling", "request_buffering", "response_buffering", "service", "plugins", "filter_chains",
}

func (l *loader) route(o *fileObject, parent *Service) {
	if o == nil {
		return
	}
	before := len(l.doc.problems)
	o.known(commonFields, routeFields)
	r := &Route{
		Name:                    o.name("name"),
		Methods:                 o.strings("methods", "a set", checkMethod),
		Hosts:                   o.strings("hosts", "an array", checkRouteHost),
		Paths:                   o.strings("paths", "an array", l.checkRoutePath),
		SNIs:                    o.strings("snis", "a set", func(string) string { return "" }),
		Headers:                 l.routeHeaders(o),
		PreserveHost:            o.boolean("preserve_host", false),
		RegexPriority:           o.integer("regex_priority", 0, -1<<31, 1<<31-1),
		HTTPSRedirectStatusCode: o.integer("https_redirect_status_code", 426, 0, 999),
		PathHandling:            o.oneOf("path_handling", "v0", "v0", "v1"),
		RequestBuffering:        o.boolean("request_buffering", true),
		ResponseBuffering:       o.boolean("response_buffering", true),
		Tags:                    l.tags(o),
		Service:                 parent,
	}
	if !l.v3 {
		for i, p := range r.Paths {
			r.Paths[i] = migratePath(p)
		}
	}
	if !slices.Contains([]int{426, 301, 302, 307, 308}, r.HTTPSRedirectStatusCode) {
		o.fail("https_redirect_status_code", "expected one of: 426, 301, 302, 307, 308")
	}
	r.Protocols = l.protocols(o, []string{"http", "https"}, true)
	isGRPC := slices.Contains(r.Protocols, "grpc") || slices.Contains(r.Protocols, "grpcs")
	r.StripPath = o.boolean("strip_path", !isGRPC)
	if isGRPC && r.StripPath {
		o.fail("strip_path", "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'")
	}
	r.CreatedAt, r.UpdatedAt = l.times(o)
	r.ID = l.identify(o, "routes", r.Name)
	l.unique(o, "routes", "name", r.Name)
	l.checkRoute(o, r, len(l.doc.problems) == before)
	if parent != nil {
		l.nested(o, "service")
	} else {
		l.resolveService(o, func(s *Service) { r.Service = s })
	}
	l.out.Routes = append(l.out.Routes, r)
	for _, e := range o.list("plugins", "an array") {
		l.plugin(e.object(), pluginScope{route: r})
	}
}

// checkRoute checks what several fields decide together. sound says that no
// single field is wrong.
func (l *loader) checkRoute(o *fileObject, r *Route, sound bool) {
	secure := slices.Contains(r.Protocols, "https") || slices.Contains(r.Protocols, "grpcs")
	for _, f := range []string{"sources", "destinations"} {
		if o.has(f) {
			o.fail(f, "cannot set '%s' when 'protocols' is 'http' or 'https'", f)
		}
	}
	if len(r.SNIs) > 0 && !secure {
		o.fail("snis", "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'")
	}
	set := len(r.Methods) > 0 || len(r.Hosts) > 0 || len(r.Paths) > 0 || len(r.Headers) > 0 || secure && len(r.SNIs) > 0
	switch {
	case set || !sound: // the fields that are wrong may be the ones that are missing here
	case secure:
		o.fail("", "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'")
	default:
		o.fail("", "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'")
	}
	if r.PathHandling == "v1" {
		l.doc.note(o.lines["path_handling"], "path_handling='v1' is deprecated and will not work under the 'traditional_compatible' router_flavor; 'v0' is used")
	}
}

// protocols reads a set of protocols; kongdev proxies http only, so a route
// for streams is a mistake.
func (l *loader) protocols(o *fileObject, fallback []string, forRoute bool) []string {
	set := o.strings("protocols", "a set", func(s string) string {
		if !slices.Contains(protocolNames, s) {
			return "expected one of: " + strings.Join(protocolNames, ", ") + DidYouMean(s, protocolNames)
		}
		return ""
	})
	if !o.has("protocols") {
		return slices.Clone(fallback)
	}
	if len(set) == 0 {
		o.fail("protocols", "length must be at least 1")
		return slices.Clone(fallback)
	}
	if !forRoute {
		return set
	}
	family := func(p string) string {
		switch p {
		case "http", "https":
			return "http"
		case "grpc", "grpcs":
			return "grpc"
		case "tls_passthrough":
			return p
		}
		return "stream"
	}
	for _, p := range set {
		if family(p) != family(set[0]) {
			o.fail("protocols", "these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp'), ('tls_passthrough'), ('grpc', 'grpcs')")
			return set
		}
	}
	if f := family(set[0]); f != "http" && f != "grpc" {
		o.fail("protocols", "%s routes are not proxied by kongdev; use http or https", set[0])
	}
	return set
}

func (l *loader) routeHeaders(o *fileObject) map[string][]string {
	n := o.fields["headers"]
	if n == nil {
		return nil
	}
	h := l.doc.object(n, o.field("headers"), 0)
	if h == nil {
		return nil
	}
	out := map[string][]string{}
	for _, name := range h.keys {
		switch {
		case strings.EqualFold(name, "host"):
			h.fail(name, "cannot contain 'host' header, which must be specified in the 'hosts' attribute")
			continue
		case !headerName.MatchString(name):
			h.fail(name, "bad header name '%s', allowed characters are A-Z, a-z, 0-9, '_', and '-'", Clip(name))
			continue
		}
		out[name] = h.strings(name, "an array", func(v string) string {
			pattern, ok := strings.CutPrefix(v, "~*")
			if !ok {
				return ""
			}
			if _, err := regexp.Compile(strings.ToLower(pattern)); err != nil {
				return "Router Expression failed validation: " + regexpError(err)
			}
			return ""
		})
		if len(out[name]) == 0 {
			delete(out, name)
		}
	}
	return out
}

var (
	headerName  = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	methodName  = regexp.MustCompile(`^[A-Z]+$`)
	literalPath = regexp.MustCompile(`^[a-zA-Z0-9.\-_~/%]*$`)
)

func checkMethod(s string) string {
	if !methodName.MatchString(s) {
		return fmt.Sprintf("invalid value: %s (methods are upper case)", Clip(s))
	}
	return ""
}

func checkRouteHost(h string) string {
	if strings.Count(h, "*") > 1 {
		return "invalid wildcard: must have at most one wildcard"
	}
	if strings.Contains(h, "*") && !strings.HasPrefix(h, "*.") && !strings.HasSuffix(h, ".*") {
		if host, _ := uri.SplitHostPort(h); !strings.HasSuffix(host, ".*") {
			return "invalid wildcard: must be placed at leftmost or rightmost label"
		}
	}
	plain := strings.ReplaceAll(h, "*", "abc")
	if host, port, err := net.SplitHostPort(plain); err == nil {
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return "invalid port number"
		}
		plain = host
	}
	if text := checkHost(plain); text != "" {
		return fmt.Sprintf("invalid hostname: %s", Clip(h))
	}
	return ""
}

// checkRoutePath is what is wrong with a path of a route.
func (l *loader) checkRoutePath(p string) string {
	if !l.v3 {
		p = migratePath(p)
	}
	if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "~/") {
		return "should start with: / (fixed path) or ~/ (regex path)"
	}
	if strings.Contains(p, "//") {
		return "must not have empty segments"
	}
	if IsRegexPath(p) {
		if _, err := CompilePath(p); err != nil {
			if text := pcreError(p[1:], err); text != "" {
				return fmt.Sprintf("invalid regex: '%s' (PCRE returned: %s)", p[1:], text)
			}
			return "Router Expression failed validation: " + regexpError(err)
		}
		return ""
	}
	if pathCharacter.MatchString(p) { // of other characters Kong says nothing here, nor of percent signs beside them
		if text := checkPath(p); text != "" {
			return text
		}
	}
	if n := uri.NormalizePath(p); n != p {
		return fmt.Sprintf("non-normalized path, consider use '%s' instead", n)
	}
	return ""
}

// regexpError is a regular expression's error without the library's preamble.
func regexpError(err error) string {
	_, text, ok := strings.Cut(err.Error(), "error parsing regexp: ")
	if !ok {
		return err.Error()
	}
	return text
}

// migratePath is how Kong reads a path of a file before format 3.0, in which
// anything with special characters was a regular expression.
func migratePath(p string) string {
	if literalPath.MatchString(p) {
		return uri.NormalizePath(p)
	}
	return "~" + percentCode.ReplaceAllStringFunc(p, func(m string) string {
		n, _ := strconv.ParseUint(m[1:], 16, 8)
		c := byte(n)
		switch {
		case strings.IndexByte("!#$%&'()*+,/:;=?@[]", c) >= 0:
			return strings.ToUpper(m)
		case strings.IndexByte(`.^-{}\|`, c) >= 0:
			return `\` + string(rune(c))
		}
		return string([]byte{c})
	})
}
