package fetch

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"
)

func init() { lookUpTime = time.Minute } // a busy machine may take seconds to find localhost

// NewForTest returns a client whose connections are made by dial.
func NewForTest(dial func(context.Context, string, string) (net.Conn, error)) *Client {
	c := New(Options{})
	c.transports.get(way{}, nil, nil).DialContext = dial
	c.transports.get(way{anyCertificate: true}, nil, nil).DialContext = dial
	return c
}

// TransportFor is the set of connections of a request.
func (c *Client) TransportFor(ctx context.Context, r *Request) (*http.Transport, error) {
	t, err := c.transports.forRequest(ctx, r)
	if err != nil {
		return nil, err
	}
	return t.(*http.Transport), nil
}

// Check is what a guard says of an address that a host has.
func (g *Guard) Check(host, address string) error { return g.check(host, netip.MustParseAddr(address)) }

// CheckName is what a guard says before a host is resolved.
func (g *Guard) CheckName(host string) error { return g.checkName(host) }
