package kongdev

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/nginx"
)

// A listenSpec is one entry of Kong's proxy_listen.
type listenSpec struct {
	addr string
	ssl  bool
}

// ignoredFlags are those of proxy_listen that change nothing here. HTTP/2 is
// always on, for plain connections too: nginx switches it on for all listeners
// once one of them asks for it, which Kong's default does.
var ignoredFlags = regexp.MustCompile(`^(http2|deferred|bind|reuseport|backlog=\d+|ipv6only=(on|off)|so_keepalive=(on|off|\w*:\w*:\d*))$`) // read-only

const listenUsage = `give it as Kong's proxy_listen: "ADDRESS:PORT [ssl] [http2], ...", like "127.0.0.1:8000, 127.0.0.1:8443 ssl"`

// parseListen reads a list of addresses in the form of proxy_listen; "" is a
// free port of 127.0.0.1.
func parseListen(s string) ([]listenSpec, error) {
	if s == "" {
		s = "127.0.0.1:0"
	}
	var specs []listenSpec
	for entry := range strings.SplitSeq(s, ",") {
		words := strings.Fields(entry)
		if len(words) == 0 {
			return nil, fmt.Errorf("listen %q: an address is missing; %s", s, listenUsage)
		}
		spec := listenSpec{addr: words[0]}
		if _, _, err := net.SplitHostPort(spec.addr); err != nil {
			return nil, fmt.Errorf("listen %q: %w; %s", entry, err, listenUsage)
		}
		for _, flag := range words[1:] {
			switch {
			case flag == "ssl":
				spec.ssl = true
			case flag == "proxy_protocol":
				return nil, fmt.Errorf("listen %q: proxy_protocol is not in kongdev; leave it out", entry)
			case !ignoredFlags.MatchString(flag):
				return nil, fmt.Errorf("listen %q: unknown flag %q; %s", entry, flag, listenUsage)
			}
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// A proxyListener is an open one.
type proxyListener struct {
	net.Listener
	ssl    bool
	config *tls.Config // of its own; nil without TLS
}

func (l proxyListener) url() string {
	if l.ssl {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

// openListeners opens all or none.
func openListeners(s string) (open []proxyListener, err error) {
	specs, err := parseListen(s)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, l := range open {
				_ = l.Close()
			}
		}
	}()
	var config *tls.Config
	for _, spec := range specs {
		l, err := Listen("proxy", "-listen", spec.addr)
		if err != nil {
			return open, err
		}
		if spec.ssl {
			if config == nil {
				if config, err = selfSigned(); err != nil {
					_ = l.Close()
					return open, err
				}
			}
			open = append(open, proxyListener{l, true, config})
			continue
		}
		open = append(open, proxyListener{Listener: l})
	}
	return open, nil
}

// CheckListen says what is wrong with a list of addresses for the proxy, also
// that one of them cannot be had now.
func CheckListen(s string) error {
	open, err := openListeners(s)
	for _, l := range open {
		_ = l.Close()
	}
	return err
}

// selfSigned is TLS with a certificate made for this run, as Kong makes one
// when none is configured. Clients have to be told not to check it.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{Organization: []string{"kongdev"}, CommonName: "localhost"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(20, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, nil
}

// newProxyServer is the server of the proxy's listeners. Its times are nginx's
// defaults: a client that is slower loses its connection, nobody else's.
func newProxyServer(h http.Handler, errors *log.Logger) *http.Server {
	s := &http.Server{
		Handler:                      h,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     errors,
		ReadHeaderTimeout:            nginx.ClientTimeout,
		IdleTimeout:                  keepaliveTimeout,
		MaxHeaderBytes:               256 << 10, // for HTTP/2; see refused
		Protocols:                    new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// URL is the proxy's address without TLS, as http://127.0.0.1:8000; when there
// is none it is the first.
func (g *Gateway) URL() string {
	for _, l := range g.listeners {
		if !l.ssl {
			return l.url()
		}
	}
	return g.listeners[0].url()
}

// URLs are the addresses of all listeners, those with TLS as https://.
func (g *Gateway) URLs() []string {
	var urls []string
	for _, l := range g.listeners {
		urls = append(urls, l.url())
	}
	return urls
}

// isSecure reports whether the request came over TLS.
func (q *request) isSecure() bool { return q.in.TLS != nil }

func (q *request) scheme() string {
	if q.isSecure() {
		return "https"
	}
	return "http"
}

// refuseProtocol is Kong's answer to a request whose protocol is none of the
// matched route's; nil when it is.
func (q *request) refuseProtocol(r *declarative.Route) *kongReply {
	has := func(p string) bool { return slices.Contains(r.Protocols, p) }
	fail := func(status int, text string, headers map[string]lua.Value) *kongReply {
		reply, _ := q.errorReply(status, text, lua.NewFields(headers)) // the status is one of ours
		return reply
	}
	if has("https") && !has("http") && !q.isSecure() {
		if r.HTTPSRedirectStatusCode == http.StatusUpgradeRequired || r.HTTPSRedirectStatusCode == 0 {
			return fail(426, "Please use HTTPS protocol", map[string]lua.Value{"Connection": "Upgrade", "Upgrade": "TLS/1.2, HTTP/1.1"})
		}
		return &kongReply{status: r.HTTPSRedirectStatusCode, headers: lua.NewFields(map[string]lua.Value{"Location": "https://" + q.host + q.uri})}
	}
	if !has("grpc") && !has("grpcs") {
		return nil
	}
	contentType, _ := q.headers.Get("content-type")
	switch {
	case !strings.HasPrefix(contentType, "application/grpc"):
		return fail(415, "Non-gRPC request matched gRPC route", nil)
	case q.in.ProtoMajor != 2:
		return fail(426, "Please use HTTP2 protocol", map[string]lua.Value{"connection": "Upgrade", "upgrade": "HTTP/2"})
	case !has("grpc") && !q.isSecure():
		return &kongReply{status: 200, headers: lua.NewFields(map[string]lua.Value{
			"content-type": "application/grpc", "grpc-status": 1.0, "grpc-message": "gRPC request matched gRPCs route",
		})}
	}
	return nil
}
