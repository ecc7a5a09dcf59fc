package fetch

import (
	"container/list"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A connection of HTTP/2 carries all requests to a host. One that a firewall has forgotten, or whose server is gone without
// a word, would take in request after request, none of which is answered: so silent ones are asked for a sign of life.
const (
	pingAfter = 15 * time.Second // of silence
	pingTime  = 10 * time.Second // for the answer
)

// transports are sets of connections. A connection may only be used again by requests of the same settings, the same
// guard among them: else a guarded request could use a connection that an unguarded one has opened.
type transports struct {
	o Options

	mu     sync.Mutex
	byWay  map[way]*list.Element
	recent list.List // of *transport, the one used last in front
	closed bool
}

// A way is what connections depend on beside the host.
type way struct {
	anyCertificate bool
	serverName     string
	proxy          string // with name and password
	guard          string // of what is dialled
}

type transport struct {
	way
	*http.Transport
}

func newTransports(o Options) *transports { return &transports{o: o, byWay: map[way]*list.Element{}} }

// forRequest returns the transport of a request, after the checks that come before a connection.
func (t *transports) forRequest(ctx context.Context, r *Request) (http.RoundTripper, error) {
	guard := r.Guard.unlessOwn(r.URL)
	if err := guard.checkName(r.URL.Hostname()); err != nil {
		return nil, err
	}
	if t.o.Transport != nil {
		return t.o.Transport, nil
	}
	w := way{anyCertificate: r.AnyCertificate, serverName: r.ServerName}
	if r.Proxy != nil {
		if err := guard.checkBehindProxy(ctx, r.URL.Hostname()); err != nil {
			return nil, err
		}
		guard = r.ProxyGuard.unlessOwn(r.Proxy)
		if err := guard.checkName(r.Proxy.Hostname()); err != nil {
			return nil, err
		}
		w.proxy = r.Proxy.String()
	}
	w.guard = guard.key()
	return t.get(w, r.Proxy, guard), nil
}

func (t *transports) get(w way, proxy *url.URL, guard *Guard) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byWay[w]; e != nil {
		t.recent.MoveToFront(e)
		return e.Value.(*transport).Transport
	}
	made := t.make(w, proxy, guard)
	if t.closed {
		made.DisableKeepAlives = true
		return made
	}
	t.byWay[w] = t.recent.PushFront(&transport{w, made})
	if t.recent.Len() > t.o.MaxTransports {
		last := t.recent.Remove(t.recent.Back()).(*transport)
		delete(t.byWay, last.way)
		last.CloseIdleConnections() // connections in use close when their request is over
	}
	return made
}

func (t *transports) make(w way, proxy *url.URL, guard *Guard) *http.Transport {
	made := &http.Transport{
		DialContext:            (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: w.anyCertificate, ServerName: w.serverName, MinVersion: tls.VersionTLS12}, //nolint:gosec // as configured
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime},
		DisableCompression:     true, // no coding is asked for unless the request does
		MaxIdleConns:           4 * t.o.MaxConnsPerHost,
		MaxIdleConnsPerHost:    t.o.MaxConnsPerHost,
		MaxConnsPerHost:        t.o.MaxConnsPerHost,
		IdleConnTimeout:        t.o.IdleTimeout,
		TLSHandshakeTimeout:    30 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode != http.StatusOK {
				return &Error{Kind: Proxy, text: fmt.Sprintf("the proxy refused the connection with response code %d", answer.StatusCode)}
			}
			return nil
		},
	}
	if proxy != nil {
		made.Proxy = http.ProxyURL(proxy)
	}
	if guard != nil {
		made.DialContext = guard.dial
	}
	return made
}

func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for e := t.recent.Front(); e != nil; e = e.Next() {
		e.Value.(*transport).CloseIdleConnections()
	}
	t.byWay = map[way]*list.Element{}
	t.recent.Init()
}
