package send

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
)

// ReadCA returns the system's certificate authorities and those of a PEM file.
func ReadCA(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a container without any
	}
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s: no certificate found; a PEM file begins with -----BEGIN CERTIFICATE-----", file)
	}
	return pool, nil
}

// ParseProxy reads the URL of a proxy. Its errors do not repeat the URL, which may hold a password.
func ParseProxy(s string) (*url.URL, error) {
	const example = "write http://host:3128, https://host:3129 or socks5://host:1080"
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("not a URL; " + example)
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" && u.Scheme != "socks5h":
		return nil, errors.New("its scheme is none of a proxy; " + example)
	case u.Hostname() == "":
		return nil, errors.New("has no host; " + example)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must end with the port; " + example)
	}
	return u, nil
}
