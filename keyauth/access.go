package keyauth

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/entities"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

var _ interface{ Access(*pdk.PDK) } = (*Config)(nil)

// Access authenticates the request or refuses it.
func (c *Config) Access(kong *pdk.PDK) {
	s := c.settings()
	if s == nil {
		c.gate.stats.count(misconfigured)
		refuseUnexpected(kong)
		return
	}
	r, err := c.serve(kong, s)
	if err != nil {
		r = broken
		c.gate.report("kong", "a request could not be read or changed: "+err.Error())
	}
	c.gate.stats.count(r)
	if r >= missing {
		s.refuse(kong, r)
	}
}

// Prepare opens the stores before the first request needs them.
func (c *Config) Prepare() {
	s := c.settings()
	if s == nil {
		return
	}
	_, done, err := c.lease.stores(c.gate, s)
	defer done()
	if err != nil {
		c.gate.reportStore(err)
	}
}

// Close gives the configuration's stores back. Kong has no event for it any more.
func (c *Config) Close() { c.lease.end() }

// settings returns the checked configuration, or nil for a wrong one.
func (c *Config) settings() *settings {
	s, err := c.resolve()
	if c.reported.Load() {
		return s
	}
	if c.reported.CompareAndSwap(false, true) {
		if err != nil {
			c.gate.stats.configErrors.Inc()
			text := strings.ReplaceAll(err.Error(), "\n", "; ")
			c.gate.report("config "+text, "configuration: "+text+"; its requests are answered with 500")
		} else {
			for _, text := range s.warnings {
				c.gate.report("config "+text, "configuration: "+text)
			}
		}
	}
	return s
}

// serve does all but refusing: a result from missing on says that the request is to be refused. An error is Kong's.
func (c *Config) serve(kong *pdk.PDK, s *settings) (result, error) {
	if len(s.first) > 1 {
		pluginserver.Prefetch(kong, s.first...)
	}
	if !s.preflight {
		method, err := pluginserver.Var(kong, methodVariable)
		if err != nil {
			return broken, err
		}
		if method == http.MethodOptions {
			return preflight, forgetUnknownClaims(kong)
		}
	}
	if s.anonymous != "" {
		if credential, err := pluginserver.CtxValue(kong, credentialCtxKey); err != nil || credential != nil {
			return earlier, err
		}
	}
	found, err := s.look(kong)
	if err != nil {
		return broken, err
	}
	if found.bodyErr != nil {
		c.gate.report("body", "a request's body cannot be searched for a key: "+found.bodyErr.Error())
	}
	hasKey := found.found == oneKey && found.key != ""
	var client netip.Prefix
	limited := false
	if hasKey && s.limit.failures > 0 {
		address, err := pluginserver.Var(kong, addressVariable)
		if err != nil {
			return broken, err
		}
		if client, limited = clientOf(address); limited && c.gate.throttle.isBlocked(client) {
			return throttled, nil
		}
	}
	e, consumer, r, err := c.authenticate(kong, s, &found)
	if err != nil {
		return broken, err
	}
	if r == unknown && limited {
		c.gate.throttle.failed(client, s.limit)
	}
	if r == accepted {
		return r, errors.Join(s.hideKey(kong, &found), identify(kong, consumer, &e))
	}
	if !r.isClients() || s.anonymous == "" {
		return r, nil
	}
	if consumer, err = c.gate.consumers.find(loaderOf(kong), consumerRef{s.workspace, s.anonymous}, s.consumers); err != nil {
		return broken, err
	}
	if consumer == nil {
		c.gate.report("anonymous", "anonymous: Kong has no consumer of this id or username, or cannot reach its database; such requests are answered with 500")
		return noAnonymous, nil
	}
	return anonymous, errors.Join(s.hideKey(kong, &found), identifyAnonymous(kong, consumer))
}

// authenticate says who the key is of, or why nobody. It changes nothing.
func (c *Config) authenticate(kong *pdk.PDK, s *settings, found *search) (e store.Entry, consumer *entities.Consumer, r result, err error) {
	switch {
	case found.found == duplicate:
		return e, nil, repeated, nil
	case found.found == noKey && found.query.body.undecodable && s.answers.refusesBodies:
		return e, nil, unreadable, nil
	case found.found == noKey || found.key == "":
		return e, nil, missing, nil
	}
	e, err = c.lookup(kong, s, found.key)
	if errors.Is(err, store.ErrNotFound) {
		return e, nil, unknown, nil
	}
	if err != nil {
		c.gate.reportStore(err)
		return e, nil, storeFailed, nil
	}
	now := time.Now()
	r = judge(&e, now)
	if r == accepted {
		r, err = judgePlace(kong, &e)
	}
	if r != accepted || err != nil {
		return e, nil, r, err
	}
	consumer, err = c.owner(kong, s, &e)
	if consumer == nil {
		r = orphaned
	}
	if r == accepted && err == nil {
		c.lease.used(&e, now)
	}
	return e, consumer, r, err
}

// lookup asks the stores for a key.
func (c *Config) lookup(kong *pdk.PDK, s *settings, text string) (store.Entry, error) {
	for _, prefix := range s.prefixes {
		if key.Malformed(text, prefix) {
			return store.Entry{}, store.ErrNotFound
		}
	}
	stores, done, _ := c.lease.stores(c.gate, s) // what cannot be opened says so when it is asked
	defer done()
	raw := []byte(text)
	return stores.Find(pluginserver.Context(kong), raw, s.hasher.Digests(raw))
}

// hideKey takes the key out of what the upstream gets: from header and query in any case, from the body where keys are
// looked for in it.
func (s *settings) hideKey(kong *pdk.PDK, r *search) (err error) {
	if !s.hide || r.found != oneKey {
		return nil
	}
	if r.asked {
		for name := range r.query.headers {
			if sameVariable(name, r.name.header) {
				err = errors.Join(err, pluginserver.ClearServiceHeader(kong, name))
			}
		}
	} else {
		for _, name := range r.name.spellings {
			err = errors.Join(err, pluginserver.ClearServiceHeader(kong, name))
		}
	}
	if args, ok := withoutArg(r.query.args, r.name.name); ok {
		err = errors.Join(err, pluginserver.SetServiceQuery(kong, args))
	}
	if text, ok := r.query.body.without(r.name.name); ok {
		err = errors.Join(err, pluginserver.SetServiceBody(kong, text))
	}
	return err
}

// forgetUnknownClaims clears what the client of a request without a consumer says of itself.
func forgetUnknownClaims(kong *pdk.PDK) error {
	consumer, err := pluginserver.CtxValue(kong, consumerCtxKey)
	if err != nil || consumer != nil {
		return err
	}
	return forgetClaims(kong)
}
