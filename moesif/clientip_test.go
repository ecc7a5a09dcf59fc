package moesif

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/moesif/mask"
)

func TestParseAddressD17(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", " 203.0.113.7 ": "203.0.113.7", "203.0.113.7:80": "203.0.113.7",
		"2001:db8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "[2001:db8::1]:443": "2001:db8::1", "2001:DB8:0::1": "2001:db8::1",
		"::ffff:10.0.0.1": "10.0.0.1", "for=203.0.113.7": "203.0.113.7", `For="[2001:db8::1]:443";proto=https`: "2001:db8::1",
		"proto=https; for=203.0.113.7:81": "203.0.113.7",
		"":                                "", "unknown": "", "foo::bar": "", "1.2.3": "", "256.1.1.1": "", "1.2.3.4:99999": "", "fe80::1%eth0": "", "[1.2.3.4]": "",
		"[2001:db8::1": "", "by=1.2.3.4": "", "for=_hidden": "", "unix:": "",
	} {
		got, ok := parseAddress(in)
		assert.Equal(t, want, got, "parseAddress(%q)", in)
		assert.Equal(t, want != "", ok, "parseAddress(%q)", in)
	}
}

func TestClientIPD17(t *testing.T) {
	h := func(pairs ...string) headers {
		var h headers
		for i := 0; i < len(pairs); i += 2 {
			h = append(h, headerField{pairs[i], []string{pairs[i+1]}})
		}
		return h
	}
	for _, c := range []struct {
		name   string
		h      headers
		masked []string
		kongs  string
		want   string
	}{
		{"Kong's", nil, nil, "10.0.0.9", "10.0.0.9"},
		{"left-most valid", h("x-forwarded-for", "unknown, 203.0.113.7, 10.0.0.1"), nil, "10.0.0.9", "203.0.113.7"},
		{"order of headers", h("x-real-ip", "1.1.1.1", "x-client-ip", "2.2.2.2"), nil, "10.0.0.9", "2.2.2.2"},
		{"an invalid one is passed over", h("x-client-ip", "nobody", "x-real-ip", "1.1.1.1"), nil, "", "1.1.1.1"},
		{"repeated", headers{{"x-forwarded-for", []string{"junk", "2001:db8::1"}}}, nil, "", "2001:db8::1"},
		{"RFC 7239", h("forwarded", `for="_x", for="[2001:db8::2]"`), nil, "", "2001:db8::2"},
		{"a masked header is not read", h("x-forwarded-for", "203.0.113.7"), []string{"x-forwarded-for"}, "10.0.0.9", "10.0.0.9"},
		{"nothing", nil, nil, "unix:", ""},
	} {
		masks, err := mask.Compile(mask.Rules{Headers: c.masked})
		require.NoError(t, err)
		assert.Equal(t, c.want, clientIP(c.h, masks, c.kongs), c.name)
	}
}

// Whatever a client writes, the event's address is one, in its one spelling, or absent.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"203.0.113.7", "[2001:db8::1]:443", `for="[2001:db8::1]:443";proto=https`, "foo::bar", "::ffff:10.0.0.1", "fe80::1%eth0", "1.2.3.4:80, x", "="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := parseAddress(s)
		if !ok {
			if a != "" {
				t.Fatalf("parseAddress(%q) = %q, not ok", s, a)
			}
			return
		}
		parsed, err := netip.ParseAddr(a)
		if err != nil || parsed.String() != a || parsed.Zone() != "" || parsed.Is4In6() {
			t.Fatalf("parseAddress(%q) = %q", s, a)
		}
		if again, ok := parseAddress(a); !ok || again != a {
			t.Fatalf("parseAddress(%q) = %q, then %q", s, a, again)
		}
	})
}
