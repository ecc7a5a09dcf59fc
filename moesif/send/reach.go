package send

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
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

// ParseProxy reads the URL of a proxy. Its errors do not repeat the URL, into which somebody may have put a password.
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
	case u.User != nil:
		return nil, errors.New("must not hold a user or password, which every user of the machine could see; write user:password into a file and name that with -collector-proxy-auth")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must end with the port; " + example)
	}
	return u, nil
}

// ReadProxyAuth reads the user and the password for a proxy, user:password, from a file. Its errors do not repeat them.
func ReadProxyAuth(file string) (*url.Userinfo, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	user, password, ok := strings.Cut(strings.TrimSpace(string(data)), ":")
	if !ok || user == "" || strings.ContainsAny(user+password, "\r\n") {
		return nil, fmt.Errorf("%s: expected one line user:password", file)
	}
	return url.UserPassword(user, password), nil
}
