package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// TLSOptions are for connections to a store. Each is PEM text, or the path of a file with it; empty fields mean: no client
// certificate, and the system's authorities.
type TLSOptions struct {
	CA         string // whom to trust
	Cert, Key  string // who we are
	ServerName string // whom to expect, when that is not the address's host
}

// A tlsDialer makes encrypted connections. It reads the files of its options again for each, so that renewed certificates count
// without a restart; while they cannot be used, as between the renewals of a certificate and of its key, those before are.
type tlsDialer struct {
	o       TLSOptions
	timeout time.Duration // of connecting, the handshake included
	last    atomic.Pointer[tls.Config]
}

func newTLSDialer(o TLSOptions, timeout time.Duration) (*tlsDialer, error) {
	c, err := o.Config()
	if err != nil {
		return nil, err
	}
	d := &tlsDialer{o: o, timeout: timeout}
	d.last.Store(c)
	return d, nil
}

// dial connects, for one of these protocols of the application if there are any.
func (d *tlsDialer) dial(ctx context.Context, network, address string, protocols ...string) (net.Conn, error) {
	if c, err := d.o.Config(); err == nil {
		d.last.Store(c)
	}
	c := d.last.Load().Clone()
	c.NextProtos = protocols
	return (&tls.Dialer{NetDialer: &net.Dialer{Timeout: d.timeout}, Config: c}).DialContext(ctx, network, address)
}

// Config reads what the options name. Its errors name the field and never show a key.
func (o TLSOptions) Config() (*tls.Config, error) { return o.config(os.ReadFile) }

// Check says what is wrong with the options without looking at files, which may come to this machine later.
func (o TLSOptions) Check() error {
	errLater := errors.New("not looked at")
	_, err := o.config(func(path string) ([]byte, error) {
		if !strings.Contains(path, "/") {
			return nil, os.ErrNotExist
		}
		return nil, errLater
	})
	if errors.Is(err, errLater) {
		return nil
	}
	return err
}

func (o TLSOptions) config(read func(path string) ([]byte, error)) (*tls.Config, error) {
	switch {
	case o.Cert == "" && o.Key != "":
		return nil, errors.New("cert: it is missing, though there is a key; a client certificate needs both")
	case o.Cert != "" && o.Key == "":
		return nil, errors.New("key: it is missing, though there is a cert; a client certificate needs both")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CA != "" {
		text, err := pem("ca", o.CA, read)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("ca: it has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
		}
	}
	if o.Cert == "" {
		return c, nil
	}
	cert, err := pem("cert", o.Cert, read)
	if err != nil {
		return nil, err
	}
	key, err := pem("key", o.Key, read)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("key: it does not fit cert: %w", err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

func pem(field, value string, read func(path string) ([]byte, error)) ([]byte, error) {
	if strings.Contains(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	text, err := read(value)
	if err != nil && !strings.Contains(value, "/") {
		return nil, fmt.Errorf("%s: it is neither PEM text nor the path of a file", field)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return text, nil
}

// explainTLS adds what to do to an error of a connection whose certificates are refused, on either side. The fields are those
// of record.
func explainTLS(record string, err error) error {
	var refused *tls.CertificateVerificationError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w; renew the server's certificate, or correct %s.ca or %s.server_name", err, record, record)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return fmt.Errorf("%w; the server does not take us: look at %s.cert and %s.key, and when they end", err, record, record)
	}
	return err
}
