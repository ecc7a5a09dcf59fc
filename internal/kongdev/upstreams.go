package kongdev

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// localHosts serves the upstreams that live in this process on loopback ports.
type localHosts struct {
	addrs   map[string]netip.AddrPort
	servers []*http.Server
}

func newLocalHosts(handlers map[string]http.Handler) (*localHosts, error) {
	h := &localHosts{addrs: map[string]netip.AddrPort{}}
	for name, handler := range handlers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			h.close()
			return nil, fmt.Errorf("built-in upstream %s: %w", name, err)
		}
		s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(discard{}, "", 0)}
		h.servers = append(h.servers, s)
		h.addrs[name] = l.Addr().(*net.TCPAddr).AddrPort()
		go func() { _ = s.Serve(l) }()
	}
	return h, nil
}

func (h *localHosts) close() {
	for _, s := range h.servers {
		_ = s.Close()
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// newServerLog makes net/http's complaints lines of the error log.
func newServerLog(l *errorLog) *log.Logger { return log.New(serverLog{l}, "", 0) }

type serverLog struct{ log *errorLog }

func (s serverLog) Write(b []byte) (int, error) {
	s.log.printf(levelInfo, "%s", b)
	return len(b), nil
}

// A target is where a request goes: a name or an address, and a port.
type target struct {
	host string
	port int
}

// A balancer picks the targets of an upstream entity by weight, smoothly.
type balancer struct {
	hostHeader string
	mu         sync.Mutex
	targets    []weighted
}

type weighted struct {
	target
	weight, current int
}

func newBalancers(d *Declarative) map[string]*balancer {
	out := map[string]*balancer{}
	for _, u := range d.Upstreams {
		b := &balancer{hostHeader: u.HostHeader}
		for _, t := range u.Targets {
			host, port := splitHostPort(t.Target)
			if port == 0 {
				port = 8000 // Kong's default for a target
			}
			if t.Weight > 0 {
				b.targets = append(b.targets, weighted{target: target{host, port}, weight: t.Weight})
			}
		}
		out[u.Name] = b
	}
	return out
}

// pick is the next target; false when none has a weight.
func (b *balancer) pick() (target, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	best, total := -1, 0
	for i := range b.targets {
		t := &b.targets[i]
		t.current += t.weight
		total += t.weight
		if best < 0 || t.current > b.targets[best].current {
			best = i
		}
	}
	if best < 0 {
		return target{}, false
	}
	b.targets[best].current -= total
	return b.targets[best].target, true
}

// transports keeps connections to upstreams: one http.Transport per connect timeout.
type transports struct {
	hosts *localHosts

	mu    sync.Mutex
	byKey map[time.Duration]*http.Transport
	names map[string]resolved
}

type resolved struct {
	addrs []string
	until time.Time
}

func newTransports(h *localHosts) *transports {
	return &transports{hosts: h, byKey: map[time.Duration]*http.Transport{}, names: map[string]resolved{}}
}

func (t *transports) get(connect time.Duration) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr := t.byKey[connect]; tr != nil {
		return tr
	}
	dialer := &net.Dialer{Timeout: connect}
	tr := &http.Transport{
		Proxy: nil, // Kong knows no proxy variables
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			n, _ := strconv.Atoi(port)
			real, err := t.resolve(ctx, target{host, n})
			if err != nil {
				return nil, err
			}
			return dialer.DialContext(ctx, network, real)
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
