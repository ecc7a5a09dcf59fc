package moesif

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"kong-go-plugins/moesif/send"
)

// collectorFlags say how collectors are reached. They are flags, because Kong gives plugins no environment, and because
// they belong to the machine rather than to a configuration.
type collectorFlags struct{ ca, proxy, proxyAuth string }

func (c *collectorFlags) register(f *flag.FlagSet) {
	f.StringVar(&c.ca, "collector-ca", "", "PEM `file` of authorities that may certify a collector, beside the system's")
	f.StringVar(&c.proxy, "collector-proxy", "", "`URL` of the proxy to collectors: http://host:port, https:// or socks5:// (the environment's is not used)")
	f.StringVar(&c.proxyAuth, "collector-proxy-auth", "", "`file` that holds user:password for the proxy to collectors")
}

// options reads the files and the URL, or says what is wrong with them, without a password.
func (c *collectorFlags) options() (o send.HTTPOptions, err error) {
	var wrong []error
	if c.ca != "" {
		if o.RootCAs, err = send.ReadCA(c.ca); err != nil {
			wrong = append(wrong, fmt.Errorf("-collector-ca: %w", err))
		}
	}
	if c.proxy != "" {
		if o.Proxy, err = send.ParseProxy(c.proxy); err != nil {
			wrong = append(wrong, fmt.Errorf("-collector-proxy: %w", err))
		}
	}
	if c.proxyAuth != "" {
		user, err := send.ReadProxyAuth(c.proxyAuth)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("-collector-proxy-auth: %w", err))
		case c.proxy == "":
			wrong = append(wrong, errors.New("-collector-proxy-auth: there is no -collector-proxy"))
		case o.Proxy != nil:
			o.Proxy.User = user
		}
	}
	return o, errors.Join(wrong...)
}

// checkFlags takes over the flags that say how collectors are reached. What is wrong with them stops no traffic: it is what
// every attempt to reach a collector fails with, and events wait.
func (c *Capture) checkFlags() error {
	var err error
	if c.http, err = c.collector.options(); err != nil {
		c.http.Unusable = errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}
