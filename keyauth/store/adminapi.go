package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"kong-go-plugins/keyauth/key"
)

// AdminAPIOptions are for OpenAdminAPI; zero fields have the defaults named here.
type AdminAPIOptions struct {
	URL         string // of Kong's Admin API, with the workspace's path if it is not the default one
	Token       string // sent with each request, if there is one
	TokenHeader string // Kong-Admin-Token; with Authorization, the token is sent as a bearer's
	TLS         TLSOptions
	Interval    time.Duration // between two readings: 10 s
	Timeout     time.Duration // of one reading, all its pages together: 60 s
}

// AdminAPI reads all keys and consumers from Kong's Admin API, again and again in the background, and answers from what it read
// last. It never asks for a single key: that would put the key into the address, and so into logs.
type AdminAPI struct {
	o      AdminAPIOptions
	base   *url.URL
	client *http.Client
	hasher *key.Hasher
	health health

	now   atomic.Pointer[Snapshot] // nil until the first reading was complete
	empty int                      // readings without any key in a row, though there were some before
	first chan struct{}            // closed after the first reading, good or not

	stop context.CancelFunc
	done chan struct{}
}

// emptyReadings is how many readings in a row must find no key before all are forgotten: a gateway that has just started, or
// another workspace, looks like that.
const emptyReadings = 3

// dialTimeout is the longest time to connect.
const dialTimeout = 5 * time.Second

// OpenAdminAPI checks the options and begins to read.
func OpenAdminAPI(o AdminAPIOptions, hasher *key.Hasher, log *slog.Logger) (*AdminAPI, error) {
	a, err := newAdminAPI(o, hasher)
	if err != nil {
		return nil, err
	}
	a.health.log = log
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	go func() {
		defer close(a.done)
		a.follow(ctx)
	}()
	return a, nil
}

// Check says what is wrong with the options, as far as neither a file nor a server can put it right.
func (o AdminAPIOptions) Check() error {
	if _, err := o.base(); err != nil {
		return err
	}
	if err := o.TLS.Check(); err != nil {
		return fmt.Errorf("admin_api.%w", err)
	}
	return nil
}

// base is the address, if that and the token can be used.
func (o AdminAPIOptions) base() (*url.URL, error) {
	base, err := url.Parse(o.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, errors.New("admin_api.url: want an address such as https://kong.internal:8444")
	}
	if strings.ContainsAny(o.Token, "\r\n") {
		return nil, errors.New("admin_api.token: it has a line break; remove it")
	}
	return base, nil
}

// newAdminAPI checks the options; nothing is read yet.
func newAdminAPI(o AdminAPIOptions, hasher *key.Hasher) (*AdminAPI, error) {
	setDefault(&o.TokenHeader, "Kong-Admin-Token")
	setDefault(&o.Interval, 10*time.Second)
	setDefault(&o.Timeout, time.Minute)
	base, err := o.base()
	if err != nil {
		return nil, err
	}
	dialer, err := newTLSDialer(o.TLS, dialTimeout)
	if err != nil {
		return nil, fmt.Errorf("admin_api.%w", err)
	}
	return &AdminAPI{
		o: o, base: base, hasher: hasher, health: health{what: "Kong's Admin API"},
		client: &http.Client{
			Transport: &http.Transport{
				DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
				DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					return dialer.dial(ctx, network, address, "h2", "http/1.1")
				},
				TLSClientConfig: dialer.last.Load(), TLSHandshakeTimeout: dialTimeout, // through a proxy
				ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes nowhere else
		},
		first: make(chan struct{}), done: make(chan struct{}),
	}, nil
}

// Close ends reading.
func (a *AdminAPI) Close() error {
	a.stop()
	<-a.done
	a.client.CloseIdleConnections()
	return nil
}

// Health returns why the last reading failed.
func (a *AdminAPI) Health() error { return a.health.last() }

// Len is the number of keys.
func (a *AdminAPI) Len() int {
	if s := a.now.Load(); s != nil {
		return s.Len()
	}
	return 0
}

// Lookup returns the entry of a digest. It waits for the first reading to end, and fails until one was complete.
func (a *AdminAPI) Lookup(ctx context.Context, d key.Digest) (Entry, error) {
	s := a.now.Load()
	if s == nil {
		select {
		case <-a.first:
		case <-a.done:
			return Entry{}, errors.New("admin api: the store is closed")
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		}
		if s = a.now.Load(); s == nil {
			return Entry{}, fmt.Errorf("admin api: nothing could be read yet: %w", a.health.last())
		}
	}
	return s.Lookup(ctx, d)
}

func (a *AdminAPI) follow(ctx context.Context) {
	tick := time.NewTicker(a.o.Interval)
	defer tick.Stop()
	for first := true; ; first = false {
		if err := a.read(ctx); ctx.Err() == nil {
			a.health.set(err)
		}
		if first {
			close(a.first)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read reads everything, and keeps what was there when it fails.
func (a *AdminAPI) read(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, a.o.Timeout)
	defer cancel()
	before := a.now.Load()
	expect := 0
	if before != nil {
		expect = before.Len()
	}
	b := NewBuilder(expect)
	// Keys come first, so that a consumer made meanwhile is not missing.
	err = pages(ctx, a, "key-auths", func(k kongAPIKey) error {
		if k.ID == "" || k.Key == "" {
			return errors.New("a credential has no id or no key; is this Kong's Admin API?")
		}
		return b.Put(a.hasher.Digests([]byte(k.Key))[0], k.entry(time.Now()))
	})
	if err != nil {
		return err
	}
	err = pages(ctx, a, "consumers", func(c kongAPIConsumer) error { return b.PutConsumer(c.consumer()) })
	if err != nil {
		return err
	}
	s := b.Snapshot()
	if s.Len() == 0 && before != nil && before.Len() > 0 {
		if a.empty++; a.empty < emptyReadings {
			return fmt.Errorf("the Admin API has no keys at all any more; this is believed after %d more readings", emptyReadings-a.empty)
		}
	}
	a.empty = 0
	a.now.Store(s)
	return nil
}
