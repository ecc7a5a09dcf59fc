package declarative

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const maxTimeoutMS = 1<<31 - 2

var protocolNames = []string{"grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"} // read-only

var serviceFields = []string{ // read-only
	"name", "url", "protocol", "host", "port", "path", "retries", "connect_timeout", "read_timeout", "write_timeout", "enabled",
	"client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates", "routes", "plugins", "filter_chains",
}

func (l *loader) service(o *fileObject) {
	if o == nil {
		return
	}
	o.known(commonFields, serviceFields)
	s := &Service{
		Name:           o.name("name"),
		Protocol:       o.oneOf("protocol", "http", protocolNames...),
		Host:           o.str("host"),
		Port:           o.integer("port", 80, 0, 65535),
		Path:           o.str("path"),
		Retries:        o.integer("retries", 5, 0, 32767),
		ConnectTimeout: o.integer("connect_timeout", 60000, 1, maxTimeoutMS),
		ReadTimeout:    o.integer("read_timeout", 60000, 1, maxTimeoutMS),
		WriteTimeout:   o.integer("write_timeout", 60000, 1, maxTimeoutMS),
		Enabled:        o.boolean("enabled", true),
		Tags:           l.tags(o),
	}
	s.CreatedAt, s.UpdatedAt = l.times(o)
	s.ID = l.identify(o, "services", s.Name)
	l.unique(o, "services", "name", s.Name)
	if u := o.str("url"); u != "" {
		l.serviceURL(o, s, u)
	} else {
		l.checkService(o, s, "host", "path")
	}
	l.serviceTLS(o)
	for _, f := range []string{"client_certificate", "tls_verify", "tls_verify_depth", "ca_certificates"} {
		if o.has(f) {
			l.doc.note(o.lines[f], "%s: ignored, the default certificate pool is used", o.field(f))
		}
	}
	l.out.Services = append(l.out.Services, s)
	for _, e := range o.list("routes", "an array") {
		l.route(e.object(), s)
	}
	for _, e := range o.list("plugins", "an array") {
		l.plugin(e.object(), pluginScope{service: s})
	}
}

// serviceURL spreads the url shorthand over protocol, host, port and path.
func (l *loader) serviceURL(o *fileObject, s *Service, raw string) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		o.fail("url", "missing host in url (write it like http://orders.internal:8080/api)")
		return
	}
	s.Protocol, s.Host, s.Path = u.Scheme, u.Hostname(), u.EscapedPath()
	switch {
	case u.Port() != "":
		p, err := strconv.Atoi(u.Port())
		if err != nil || p > 65535 {
			o.fail("url", "value should be between 0 and 65535 for its port")
			return
		}
		s.Port = p
	case u.Scheme == "https":
		s.Port = 443
	default:
		s.Port = 80
	}
	l.checkService(o, s, "url", "url")
}

// checkService checks the address; hostField and pathField are what the file
// calls them.
func (l *loader) checkService(o *fileObject, s *Service, hostField, pathField string) {
	switch s.Protocol {
	case "http", "https":
	case "grpc", "grpcs", "tcp", "tls", "tls_passthrough", "udp":
		if s.Path != "" {
			o.fail(pathField, "value must be null")
		}
		o.fail("protocol", "%s is not proxied by kongdev; use http or https", s.Protocol)
	default:
		o.fail(hostField, "expected one of: %s", strings.Join(protocolNames, ", "))
	}
	if s.Host == "" {
		if !o.has("host") {
			o.fail("", "host: required field missing (or give url: http://...)")
		}
	} else if text := checkHost(s.Host); text != "" {
		o.fail(hostField, "%s", text)
	}
	if s.Path != "" {
		if text := checkPath(s.Path); text != "" {
			o.fail(pathField, "%s", text)
		}
	}
}

var (
	hostName      = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$`)
	pathCharacter = regexp.MustCompile(`^/[A-Za-z0-9.\-_~/%:@!$&'()*+,;=]*$`)
	percentCode   = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
)

// checkHost is what is wrong with a host name or address without a port.
func checkHost(h string) string {
	if net.ParseIP(strings.Trim(h, "[]")) != nil {
		return ""
	}
	if name, port, ok := strings.Cut(h, ":"); ok && hostName.MatchString(name) && strings.Trim(port, "0123456789") == "" {
		return "must not have a port"
	}
	if !hostName.MatchString(h) || strings.Contains(h, "..") {
		return fmt.Sprintf("invalid value: %s", Clip(h))
	}
	return ""
}

// checkPath is what is wrong with a literal path.
func checkPath(p string) string {
	switch {
	case !strings.HasPrefix(p, "/"):
		return "should start with: /"
	case strings.Contains(p, "//"):
		return "must not have empty segments"
	case !pathCharacter.MatchString(p):
		return fmt.Sprintf("invalid path: '%s' (characters outside of the reserved list of RFC 3986 found)", Clip(p))
	}
	p = percentCode.ReplaceAllString(p, "___")
	if at := strings.IndexByte(p, '%'); at >= 0 {
		return fmt.Sprintf("invalid url-encoded value: '%s'", p[at:min(at+3, len(p))])
	}
	return ""
}
