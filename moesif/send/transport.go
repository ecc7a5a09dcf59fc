package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"time"
)

// HTTPOptions say how a collector is reached; they are the same for every configuration.
type HTTPOptions struct {
	RootCAs *x509.CertPool // nil: the system's
	Proxy   *url.URL       // nil: none

	Unusable error // why no connection may be made; nil for none
}

// NewTransport returns a transport to a collector. It uses no proxy of the environment: the traffic of customers goes
// where the configuration says.
func NewTransport(o HTTPOptions, connectTimeout, keepalive time.Duration) *http.Transport {
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
		TLSHandshakeTimeout:    connectTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      keepalive == 0,
		IdleConnTimeout:        keepalive,
		MaxIdleConnsPerHost:    maxUploads,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
	if o.Unusable != nil {
		t.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, o.Unusable }
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
	}
	return t
}
