package keyauth

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throttle
		l := limit{failures: 3, window: time.Minute, pause: 10 * time.Second}
		one, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		th.failed(one, l)
		th.failed(one, l)
		th.failed(other, l)
		assert.False(t, th.isBlocked(one))
		time.Sleep(61 * time.Second) // the window is over
		th.failed(one, l)
		th.failed(one, l)
		assert.False(t, th.isBlocked(one))
		th.failed(one, l)
		assert.True(t, th.isBlocked(one))
		assert.False(t, th.isBlocked(other))
		time.Sleep(4 * time.Second)
		assert.True(t, th.isBlocked(one))
		time.Sleep(6 * time.Second)
		assert.False(t, th.isBlocked(one))
		th.failed(one, l)
		assert.False(t, th.isBlocked(one), "it begins anew")
	})
}

func TestThrottleIsBounded(t *testing.T) {
	var th throttle
	l := limit{failures: 2, window: time.Hour, pause: time.Hour}
	for i := range maxClients + 1000 {
		th.failed(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), l)
	}
	assert.LessOrEqual(t, len(th.clients), maxClients)
}

func TestClients(t *testing.T) {
	for address, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		p, ok := clientOf(address)
		assert.True(t, ok)
		assert.Equal(t, want, p.String())
	}
	_, ok := clientOf("unix:")
	assert.False(t, ok)
}

// A client that has sent too many wrong keys is told nothing about further ones; requests without a key are as before.
func TestThrottledClient(t *testing.T) {
	for name, program := range programs() {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, program, route{"/", []string{"throttle: {failures: 3}"}}, route{"/anon", []string{"throttle: {failures: 3}", "anonymous: anon"}}, route{"/free", nil})
			for i := range 3 {
				assert.Equal(t, 200, g.Send("GET", "/", "", "apikey", bobsKey).Status)
				assert.Equal(t, 401, g.Send("GET", "/", "", "apikey", fmt.Sprint("wrong", i)).Status)
			}
			for _, path := range []string{"/", "/anon"} {
				for _, key := range []string{bobsKey, "wrong"} {
					r := g.Send("GET", path, "", "apikey", key)
					assert.Equal(t, 429, r.Status)
					assert.Equal(t, "60", r.Header.Get("Retry-After"))
					assert.Contains(t, r.Body, `"message":"Too many requests with wrong API keys"`)
				}
			}
			assert.Equal(t, 401, g.Send("GET", "/", "").Status)
			assert.Equal(t, 200, g.Send("GET", "/anon", "").Status)
			assert.Equal(t, 200, g.Send("GET", "/free", "", "apikey", bobsKey).Status)
		})
	}
}
