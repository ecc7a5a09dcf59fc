package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// TLSOptions are for connections to a store. Each is PEM text, or the path of a file with it; empty fields mean: no client
// certificate, and the system's authorities.
type TLSOptions struct {
	CA         string // whom to trust
	Cert, Key  string // who we are
	ServerName string // whom to expect, when that is not the address's host
}

// Config reads what the options name. Files are read once. Its errors name the field and never show a key.
func (o TLSOptions) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CA != "" {
		text, err := pem("ca", o.CA)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("ca: it has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
		}
	}
	if o.Cert == "" && o.Key == "" {
		return c, nil
	}
	if o.Cert == "" || o.Key == "" {
		return nil, errors.New("cert, key: one of them is missing; a client certificate needs both")
	}
	cert, err := pem("cert", o.Cert)
	if err != nil {
		return nil, err
	}
	key, err := pem("key", o.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cert, key: they do not fit: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

func pem(field, value string) ([]byte, error) {
	if strings.Contains(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	text, err := os.ReadFile(value)
	if err != nil && !strings.Contains(value, "/") {
		return nil, fmt.Errorf("%s: it is neither PEM text nor the path of a file", field)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return text, nil
}
