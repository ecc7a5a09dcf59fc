// Package fetch sends HTTP requests to services and reads what they answer: within a time, up to a size, unpacked. It
// follows no redirects, keeps no cookies, and never shows in an error what a request or an answer holds.
//
// Requests whose address others decide carry a Guard: it keeps them away from addresses that only the gateway reaches.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Client holds the connections of a process. It is safe for concurrent use. Make it with New.
type Client struct {
	transports *transports
}

// Options are limits of a Client; zero fields have the defaults named here.
type Options struct {
	MaxTransports   int           // sets of connections with settings of their own: 128; the one not used for longest goes
	MaxConnsPerHost int           // connections to one host in each, further requests wait: 1024
	IdleTimeout     time.Duration // of a connection that is kept: 90 s

	Transport http.RoundTripper // in place of all connections; for work without a network
}

// New returns a client without connections.
func New(o Options) *Client {
	if o.MaxTransports <= 0 {
		o.MaxTransports = 128
	}
	if o.MaxConnsPerHost <= 0 {
		o.MaxConnsPerHost = 1024
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 90 * time.Second
	}
	return &Client{newTransports(o)}
}

// Close ends the connections that are idle, and others when their request is over.
func (c *Client) Close() { c.transports.close() }

// A Request is sent as it is, apart from headers of one connection, the length, and codings that could not be unpacked.
// It is not changed, so requests may share it and its parts.
type Request struct {
	Method string
	URL    *url.URL    // as ParseURL gives it
	Header http.Header // names in canonical case; Host counts; User-Agent without a value sends none
	Body   []byte

	Timeout  time.Duration // of each try; 0 is none beside the context's
	MaxBytes int           // of an answer's body, packed and unpacked: 8 MiB
	Accept   Statuses      // none: 200 to 299
	Retries  Retries

	AnyCertificate bool     // TLS without a look at the server's certificate
	ServerName     string   // in TLS, in place of the URL's host
	Proxy          *url.URL // as ParseProxy gives it; nil is none, whatever the environment says

	Guard      *Guard // of the URL; nil when who configures the gateway has written it
	ProxyGuard *Guard // of the proxy, likewise
}

// An Answer is what a server has sent.
type Answer struct {
	Status int
	Header http.Header // without Content-Encoding and Content-Length if the body was unpacked
	Body   []byte      // unpacked
}

const defaultMaxBytes = 8 << 20

// ParseURL reads an absolute URL. White space and letters beyond ASCII are escaped, also in its query, where they would
// break the request's first line. Its errors do not show it: it may hold a password.
func ParseURL(text string) (*url.URL, error) {
	const remedy = "write an absolute URL such as https://example.org/path"
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("is no URL; " + remedy)
	case u.Scheme == "":
		return nil, errors.New("has no scheme; " + remedy)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("is neither http nor https; " + remedy)
	case u.Hostname() == "":
		return nil, errors.New("names no host; " + remedy)
	case strings.HasSuffix(u.Host, ":"), len(u.Port()) > 5:
		return nil, errors.New("has no valid port; " + remedy)
	}
	u.RawQuery = escapedQuery(u.RawQuery)
	return u, nil
}

// escapedQuery escapes the bytes of a query that cannot stand in a URL, and leaves all others as they are.
func escapedQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// ParseProxy reads the address of a proxy. Name and password come in the address, or beside it.
func ParseProxy(address, user, password string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return nil, errors.New("is no address of a proxy; write one such as http://proxy.internal:3128")
	}
	proxy := &url.URL{Scheme: u.Scheme, Host: u.Host, User: u.User}
	if user != "" {
		proxy.User = url.UserPassword(user, password)
	}
	return proxy, nil
}

// Do sends r and returns the answer, after retries if r has some. An answer whose status is not accepted comes with a
// StatusError; one that could be read in part comes beside its error, too.
func (c *Client) Do(ctx context.Context, r *Request) (*Answer, error) {
	for try := 1; ; try++ {
		answer, err := c.try(ctx, r)
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
		wait, again := r.Retries.after(try, r.Method, answer, err)
		if !again {
			return answer, err
		}
		if end, limited := ctx.Deadline(); limited && time.Until(end) <= wait {
			return answer, err // it would be over before it began
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, context.Cause(ctx)
		}
	}
}

var errTimeout = errors.New("timeout")

// try sends r once.
func (c *Client) try(ctx context.Context, r *Request) (*Answer, error) {
	within := ctx
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeoutCause(ctx, r.Timeout, errTimeout)
		defer cancel()
	}
	answer, err := c.exchange(within, r)
	if err == nil {
		if !r.Accept.Has(answer.Status) {
			err = &StatusError{Status: answer.Status, Accepted: r.Accept}
		}
		return answer, err
	}
	switch {
	case ctx.Err() != nil:
		return answer, context.Cause(ctx)
	case context.Cause(within) == errTimeout:
		return answer, &Error{Kind: Timeout, text: fmt.Sprintf("no answer from %s within %s", r.URL.Host, r.Timeout)}
	}
	return answer, explain(err, r)
}

func (c *Client) exchange(ctx context.Context, r *Request) (*Answer, error) {
	transport, err := c.transports.forRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	request := &http.Request{
		Method: r.Method, URL: r.URL, Host: r.URL.Host, Header: sentHeader(r.Header), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if host := r.Header["Host"]; len(host) > 0 && host[0] != "" {
		request.Host = host[0]
	}
	if len(r.Body) > 0 {
		request.ContentLength = int64(len(r.Body))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil }
		request.Body, _ = request.GetBody()
	} else if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		request.Body = http.NoBody // says Content-Length: 0
	}
	if user := r.URL.User; user != nil && request.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
	response, err := transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusSwitchingProtocols { // its body is the connection, which no time limits any more
		return nil, &Error{Kind: Protocol, text: fmt.Sprintf("%s switched to another protocol, which nobody asked for", r.URL.Host)}
	}
	most := r.MaxBytes
	if most <= 0 {
		most = defaultMaxBytes
	}
	return read(response, most)
}

// oneConnection are headers of one connection, and those that the client writes itself.
var oneConnection = []string{ // read-only
	"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// sentHeader leaves out what belongs to another connection.
func sentHeader(h http.Header) http.Header {
	sent := maps.Clone(h)
	if sent == nil {
		sent = http.Header{}
	}
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			sent.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range oneConnection {
		delete(sent, name)
	}
	if accepted, ok := sent["Accept-Encoding"]; ok {
		if accepted = Readable(accepted); len(accepted) > 0 {
			sent["Accept-Encoding"] = accepted
		} else {
			delete(sent, "Accept-Encoding")
		}
	}
	if agent, given := sent["User-Agent"]; !given {
		sent["User-Agent"] = []string{"datakit"}
	} else if len(agent) == 0 {
		sent["User-Agent"] = []string{""} // sends none
	}
	return sent
}

// Readable leaves the codings of Accept-Encoding that are undone here. A gateway often passes on what a browser accepts.
func Readable(lists []string) (kept []string) {
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			coding, _, _ := strings.Cut(item, ";")
			if slices.Contains([]string{"gzip", "x-gzip", "deflate", "identity"}, strings.ToLower(strings.TrimSpace(coding))) {
				kept = append(kept, strings.TrimSpace(item))
			}
		}
	}
	if len(kept) > 0 {
		kept = []string{strings.Join(kept, ", ")}
	}
	return kept
}
