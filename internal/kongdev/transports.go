package kongdev

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// transports keeps connections to upstreams: one http.Transport per connect timeout.
type transports struct {
	hosts *localHosts
	dial  func(ctx context.Context, addr string, limit time.Duration) (net.Conn, error)

	mu    sync.Mutex
	byKey map[time.Duration]*http.Transport
	names map[string]resolved
}

type resolved struct {
	addrs []string
	until time.Time
}

func newTransports(h *localHosts) *transports {
	return &transports{hosts: h, dial: dialTCP, byKey: map[time.Duration]*http.Transport{}, names: map[string]resolved{}}
}

func dialTCP(ctx context.Context, addr string, limit time.Duration) (net.Conn, error) {
	return (&net.Dialer{Timeout: limit}).DialContext(ctx, "tcp", addr)
}

func (t *transports) get(connect time.Duration) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr := t.byKey[connect]; tr != nil {
		return tr
	}
	tr := &http.Transport{
		Proxy: nil, // Kong knows no proxy variables
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			n, _ := strconv.Atoi(port)
			real, err := t.resolve(ctx, target{host, n})
			if err != nil {
				return nil, err
			}
			return t.dial(ctx, real, connect)
		},
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // as Kong's default; the name is still sent
		MaxIdleConnsPerHost: 512,                                   // Kong's upstream_keepalive_pool_size
		IdleConnTimeout:     60 * time.Second,
		DisableCompression:  true,
		ReadBufferSize:      16 << 10,
	}
	t.byKey[connect] = tr
	return tr
}

// resolve turns a target into an address, host:port with a number for the host.
func (t *transports) resolve(ctx context.Context, to target) (string, error) {
	if a, ok := t.hosts.addrs[strings.ToLower(to.host)]; ok {
		return a.String(), nil
	}
	port := strconv.Itoa(to.port)
	if _, err := netip.ParseAddr(to.host); err == nil {
		return net.JoinHostPort(to.host, port), nil
	}
	t.mu.Lock()
	known, ok := t.names[to.host]
	t.mu.Unlock()
	if !ok || time.Now().After(known.until) {
		addrs, err := net.DefaultResolver.LookupHost(ctx, to.host)
		if err != nil {
			return "", err
		}
		known = resolved{addrs, time.Now().Add(10 * time.Second)}
		t.mu.Lock()
		t.names[to.host] = known
		t.mu.Unlock()
	}
	for _, a := range known.addrs {
		if strings.Contains(a, ".") { // Kong asks for A before AAAA
			return net.JoinHostPort(a, port), nil
		}
	}
	return net.JoinHostPort(known.addrs[0], port), nil
}

func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tr := range t.byKey {
		tr.CloseIdleConnections()
	}
}
