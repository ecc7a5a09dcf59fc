package kongdev

import (
	"net/netip"
	"strings"
	"sync"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/uri"
)

// A target is where a request goes: a name or an address, and a port.
type target struct {
	host string
	port int
}

// isAddress reports whether the host is an IP address and not a name.
func (t target) isAddress() bool {
	_, err := netip.ParseAddr(strings.Trim(t.host, "[]"))
	return err == nil
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

func newBalancers(d *declarative.Config) map[string]*balancer {
	out := map[string]*balancer{}
	for _, u := range d.Upstreams {
		b := &balancer{hostHeader: u.HostHeader}
		for _, t := range u.Targets {
			host, port := uri.SplitHostPort(t.Target)
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
