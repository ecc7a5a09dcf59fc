package fetch_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/datakit/fetch"
)

func guard(t testing.TB, own *url.URL, allowed, denied []string) *fetch.Guard {
	g, err := fetch.NewGuard(own, allowed, denied)
	require.NoError(t, err)
	return g
}

func TestGuardAddresses(t *testing.T) {
	t.Parallel()
	plain := guard(t, nil, nil, nil)
	for _, a := range []string{
		"127.0.0.1", "127.255.0.9", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "224.0.0.1", "ff02::1",
		"255.255.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe",
		"2002:7f00:1::", "2002:a9fe:a9fe::1", "2001::80ff:fffe", "2001:0:7f00:1::", "2001:db8::5efe:127.0.0.1", "2001:db8::200:5efe:169.254.169.254",
	} {
		err := plain.Check("host.example.org", a)
		require.ErrorContains(t, err, `the host "host.example.org" is refused`, a)
		var e *fetch.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, fetch.Blocked, e.Kind)
	}
	for _, a := range []string{"10.0.0.1", "192.168.1.1", "8.8.8.8", "2606:4700::1111", "fd12::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"} {
		assert.NoError(t, plain.Check("host.example.org", a), a)
	}
}

func TestGuardLists(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		allowed, denied, host, address string
		want                           string
	}{
		{"", "", "a.example.org", "8.8.8.8", ""},
		{"a.example.org", "", "a.example.org", "8.8.8.8", ""},
		{"a.example.org", "", "A.Example.ORG.", "8.8.8.8", ""},
		{"a.example.org", "", "b.example.org", "8.8.8.8", "not in allowed_hosts"},
		{"a.example.org", "", "8.8.8.8", "8.8.8.8", "not in allowed_hosts"},
		{"a.example.org", "", "a.example.org", "127.0.0.1", "loopback"},
		{"*.example.org", "", "a.b.example.org", "8.8.8.8", ""},
		{"*.example.org", "", "example.org", "8.8.8.8", "not in allowed_hosts"},
		{"*.example.org", "", "badexample.org", "8.8.8.8", "not in allowed_hosts"},
		{"a.example.org 127.0.0.0/8", "", "a.example.org", "127.0.0.1", ""},
		{"127.0.0.1", "", "localhost", "127.0.0.1", ""},
		{"127.0.0.1", "", "localhost", "::1", "loopback"},
		{"127.0.0.1", "", "a.example.org", "8.8.8.8", "not in allowed_hosts"},
		{"127.0.0.1", "", "localhost", "::ffff:127.0.0.1", ""},
		{"[::1]", "", "localhost", "::1", ""},
		{"", "10.0.0.0/8", "a.example.org", "10.1.2.3", "in denied_hosts"},
		{"", "10.0.0.0/8", "a.example.org", "64:ff9b::a01:203", "in denied_hosts"},
		{"10.0.0.0/8", "10.1.0.0/16", "a.example.org", "10.1.2.3", "in denied_hosts"},
		{"", "*.internal", "db.internal", "10.1.2.3", "in denied_hosts"},
	} {
		g := guard(t, nil, strings.Fields(x.allowed), strings.Fields(x.denied))
		err := g.CheckName(x.host)
		if err == nil {
			err = g.Check(x.host, x.address)
		}
		if x.want == "" {
			assert.NoError(t, err, x)
		} else {
			assert.ErrorContains(t, err, x.want, x)
		}
	}
	for _, bad := range []string{"", "*", "*.", "http://a", "a:80", "a/b", "a b", "x.*.y", "1.2.3", "10.0.0.0/33", "2130706433", "ü.example.org"} {
		_, err := fetch.NewGuard(nil, []string{"fine.example.org", bad}, nil)
		assert.ErrorContains(t, err, "allowed_hosts[1]: expected", bad)
	}
}

func TestGuardNames(t *testing.T) {
	t.Parallel()
	g := guard(t, nil, nil, nil)
	for _, host := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "1.2.3.0x4", "①②⑦.⓪.⓪.①", "a。example.org", "127.0.0.1", "::1", ""} {
		assert.Error(t, g.CheckName(host), host)
	}
	for _, host := range []string{"localhost", "a.example.org", "xn--bcher-kva.example", "8.8.8.8", "2606:4700::1111", "1password.com", "service-1"} {
		assert.NoError(t, g.CheckName(host), host)
	}
}

// The address is looked at when it is connected to, whatever the name said before, and no connection of others is used.
func TestGuardedRequests(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	handler := func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		fmt.Fprint(w, "ok")
	}
	s, own := serve(t, handler)
	_, other := serve(t, handler)
	c := newClient(t)
	byName := parse(t, strings.Replace(s.URL, "127.0.0.1", "localhost", 1))
	open := get(byName)
	_, err := c.Do(t.Context(), open)
	require.NoError(t, err)

	r := get(byName)
	r.Guard = guard(t, nil, nil, nil)
	_, err = c.Do(t.Context(), r)
	require.ErrorContains(t, err, `the host "localhost" is refused: it is this machine (loopback)`, "though there is a connection already")
	r.Guard = guard(t, byName, nil, nil)
	_, err = c.Do(t.Context(), r)
	require.NoError(t, err, "the node's own host")
	r.Guard = guard(t, nil, []string{"127.0.0.1", "::1"}, nil)
	_, err = c.Do(t.Context(), r)
	require.NoError(t, err)
	require.EqualValues(t, 3, hits.Load())

	r.URL, r.Guard = other, guard(t, own, nil, nil)
	_, err = c.Do(t.Context(), r)
	require.ErrorContains(t, err, "loopback", "another port of the same host")
	r.URL = parse(t, "http://169.254.169.254/latest/meta-data/")
	r.Retries.Count = 3
	_, err = c.Do(t.Context(), r)
	require.ErrorContains(t, err, "link-local")

	p := &atomic.Int64{}
	r.Proxy, err = fetch.ParseProxy(proxy(t, p).URL, "ann", "pw")
	require.NoError(t, err)
	for _, target := range []string{"http://169.254.169.254/", "http://localhost:1/", "http://0x7f.1/", "https://[::ffff:127.0.0.1]/"} {
		r.URL = parse(t, target)
		_, err = c.Do(t.Context(), r)
		require.ErrorContains(t, err, "is refused", target)
	}
	r.URL, r.Guard, r.ProxyGuard = own, nil, guard(t, nil, nil, nil)
	_, err = c.Do(t.Context(), r)
	require.ErrorContains(t, err, "loopback", "the proxy's address is another's")
	assert.Zero(t, p.Load())

	a, err := c.TransportFor(t.Context(), &fetch.Request{URL: own, Guard: guard(t, nil, []string{"127.0.0.1"}, nil)})
	require.NoError(t, err)
	b, err := c.TransportFor(t.Context(), &fetch.Request{URL: own, Guard: guard(t, nil, []string{"127.0.0.1"}, nil)})
	require.NoError(t, err)
	assert.Same(t, a, b, "guards that decide alike share connections")
}

// Whatever form an IPv4 address is written in as IPv6, it is refused if it is refused as IPv4.
func FuzzGuardForms(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte{169, 254, 169, 254})
	f.Add([]byte{8, 8, 8, 8})
	g, err := fetch.NewGuard(nil, nil, []string{"10.0.0.0/8"})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return
		}
		v4 := netip.AddrFrom4([4]byte(b))
		refused := g.Check("h", v4.String()) != nil
		hex := fmt.Sprintf("%02x%02x:%02x%02x", b[0], b[1], b[2], b[3])
		for _, form := range []string{"::ffff:" + hex, "64:ff9b::" + hex, "2002:" + hex + "::", "2001:db8::5efe:" + hex, "::ffff:0:" + hex} {
			if refused {
				require.Error(t, g.Check("h", form), form)
			} else {
				require.NoError(t, g.Check("h", form), form)
			}
		}
	})
}

// No text makes the guard fail, and every name that is let through is one.
func FuzzGuardNames(f *testing.F) {
	for _, s := range []string{"localhost", "127.1", "0x7f.1", "[::1]", "a.b.", "fe80::1%x"} {
		f.Add(s)
	}
	g, err := fetch.NewGuard(nil, nil, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, host string) {
		if g.CheckName(host) != nil {
			return
		}
		if a, err := netip.ParseAddr(host); err == nil {
			require.NoError(t, g.Check(host, a.String()))
			return
		}
		last := host[strings.LastIndex(strings.TrimSuffix(host, "."), ".")+1:]
		require.NotEmpty(t, strings.Trim(last, "0123456789."), "a name does not end in a number")
	})
}
