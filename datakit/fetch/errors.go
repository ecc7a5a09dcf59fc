package fetch

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// A Kind sorts what can go wrong on the way.
type Kind uint8

// The kinds of an Error.
const (
	Unknown  Kind = iota
	NoHost        // the name of the host could not be resolved
	NoServer      // nobody accepted the connection
	Closed        // the server ended the connection without a whole answer
	Timeout       // no answer in time
	TLS           // the certificate or the protocol did not fit
	Proxy         // the proxy refused
	Protocol      // what came was no valid answer
	TooLarge      // the answer has more bytes than are read
	Blocked       // a Guard refused the address
	Invalid       // the request cannot be sent as it is
)

// An Error says why there is no answer. Its text holds hosts, addresses and names of certificates, and nothing else of a
// request or an answer.
type Error struct {
	Kind Kind
	text string
	err  error
}

func (e *Error) Error() string { return e.text }
func (e *Error) Unwrap() error { return e.err }

// passing reports whether it may go better next time.
func (e *Error) passing() bool {
	return e.Kind == NoHost || e.Kind == NoServer || e.Kind == Closed || e.Kind == Timeout
}

// explain makes an Error of what the transport says. The text of the latter is used only where it is known: some errors
// quote what the server has sent, or the URL.
func explain(err error, r *Request) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	host := r.URL.Host
	var dns *net.DNSError
	var op *net.OpError
	var syscallError syscall.Errno
	isOp := errors.As(err, &op)
	if isOp && r.Proxy != nil && isDial(op) {
		host = "the proxy " + r.Proxy.Host
	}
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Error{Kind: NoHost, text: fmt.Sprintf("%s: this host is not known", host)}
	case errors.As(err, &dns):
		return &Error{Kind: NoHost, text: fmt.Sprintf("%s: the address of this host cannot be asked for", host)}
	case isTLS(err):
		return &Error{Kind: TLS, text: fmt.Sprintf("%s: %s", host, tlsText(err))}
	case isOp && op.Timeout():
		return &Error{Kind: Timeout, text: fmt.Sprintf("no connection to %s in time", host)}
	case isOp && isDial(op) && errors.As(err, &syscallError):
		return &Error{Kind: NoServer, text: fmt.Sprintf("no connection to %s: %s", host, syscallError.Error())}
	case isOp && isDial(op):
		return &Error{Kind: NoServer, text: fmt.Sprintf("no connection to %s", host)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		strings.Contains(err.Error(), "server closed idle connection"), isClosedHTTP2(err.Error()):
		return &Error{Kind: Closed, text: fmt.Sprintf("%s closed the connection before the response was complete", host)}
	}
	if text := err.Error(); strings.HasPrefix(text, "net/http: invalid") || strings.HasPrefix(text, "http: invalid") {
		return &Error{Kind: Invalid, text: "a header, the host or the method of the request has characters that cannot be sent"}
	}
	return &Error{Kind: Protocol, text: fmt.Sprintf("%s sent no valid response of HTTP", host)}
}

// isClosedHTTP2 reports whether the transport says that the server has ended a request or a connection of HTTP/2, or does
// not answer on it any more. These errors have no types that others can see.
func isClosedHTTP2(text string) bool {
	return strings.HasPrefix(text, "stream error: ") && strings.HasSuffix(text, "received from peer") ||
		strings.HasPrefix(text, "http2: ") && (strings.Contains(text, "GOAWAY") || strings.Contains(text, "client connection lost"))
}

func isDial(op *net.OpError) bool { return op.Op == "dial" || op.Op == "proxyconnect" }

func isTLS(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		alert     tls.AlertError
		header    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		op        *net.OpError
	)
	return errors.As(err, &verify) || errors.As(err, &alert) || errors.As(err, &header) || errors.As(err, &authority) || errors.As(err, &name) ||
		errors.As(err, &invalid) || errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// tlsText is what the libraries say of certificates: names and dates, no data.
func tlsText(err error) string {
	var header tls.RecordHeaderError
	if errors.As(err, &header) {
		return "the server does not speak TLS"
	}
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		return "its certificate is not accepted: " + verify.Err.Error()
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
