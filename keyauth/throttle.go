package keyauth

import (
	"net/netip"
	"sync"
	"time"
)

// A throttle counts wrong keys by client address. Safe for concurrent use; the zero value is empty.
//
// An address that has sent too many gets no answer about further keys, good or wrong, until its time is over: otherwise a
// guess that is right would still come through.
type throttle struct {
	mu      sync.RWMutex
	clients map[netip.Prefix]attempts
}

// attempts are the wrong keys of one client.
type attempts struct {
	failures int
	since    time.Time // the first of them
	blocked  time.Time // until then
}

// A limit says when a client is throttled. No failures means never.
type limit struct {
	failures int
	window   time.Duration // in which they count
	pause    time.Duration // that follows
}

// maxClients bounds the memory: one more costs another one's count.
const maxClients = 65536

// clientOf returns what a client is counted as: its address, or the network that one subscriber has in IPv6.
func clientOf(address string) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, false // a unix socket, for instance
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}

// isBlocked reports whether the client is to wait.
func (t *throttle) isBlocked(client netip.Prefix) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	a, ok := t.clients[client]
	return ok && time.Now().Before(a.blocked)
}

// failed counts a wrong key.
func (t *throttle) failed(client netip.Prefix, l limit) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	a, known := t.clients[client]
	if now.Sub(a.since) >= l.window {
		a = attempts{since: now, blocked: a.blocked}
	}
	if a.failures++; a.failures >= l.failures {
		a = attempts{blocked: now.Add(l.pause)}
	}
	if t.clients == nil {
		t.clients = map[netip.Prefix]attempts{}
	}
	if !known && len(t.clients) >= maxClients {
		t.makeRoomLocked(now, l)
	}
	t.clients[client] = a
}

// makeRoomLocked drops what no longer counts among a few clients, or else one of them.
func (t *throttle) makeRoomLocked(now time.Time, l limit) {
	const looked = 16
	var last netip.Prefix
	n := 0
	for client, a := range t.clients { // in no order
		if now.After(a.blocked) && now.Sub(a.since) >= l.window {
			delete(t.clients, client)
		}
		last = client
		if n++; n > looked {
			break
		}
	}
	if len(t.clients) >= maxClients {
		delete(t.clients, last)
	}
}
