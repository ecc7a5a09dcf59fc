package keyauth

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/keyauth/store"
)

// judge says whether an entry is good now: accepted, or why not. A key is refused in its last second already, as by
// Kong.
func judge(e *store.Entry, now time.Time) result {
	switch {
	case e.Disabled:
		return disabled
	case e.ExpiresAt != 0 && time.Unix(e.ExpiresAt, 0).Sub(now) < time.Second:
		return expired
	case e.NotBefore != 0 && now.Before(time.Unix(e.NotBefore, 0)):
		return early
	}
	return accepted
}

// judgePlace says whether an entry is good here. It asks Kong only when the entry is for certain addresses, methods,
// routes or services.
func judgePlace(kong *pdk.PDK, e *store.Entry) (result, error) {
	if len(e.CIDRs) > 0 {
		address, err := pluginserver.Var(kong, addressVariable)
		if err != nil {
			return broken, err
		}
		if !contains(e.CIDRs, address) {
			return foreign, nil
		}
	}
	if len(e.Scopes) > 0 {
		ok, err := inScope(e.Scopes, func(kind string) ([]string, error) { return scopesOf(kong, kind) })
		if err != nil {
			return broken, err
		}
		if !ok {
			return outOfScope, nil
		}
	}
	return accepted, nil
}

// addressVariable is the client's address as Kong takes it from trusted proxies: Client.GetForwardedIp.
const addressVariable = "remote_addr"

func contains(networks []netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false // a unix socket, for instance
	}
	a = a.Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(a) || n.Addr().Is4In6() && n.Bits() >= 96 && netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96).Contains(a) {
			return true
		}
	}
	return false
}

// inScope reports whether the scopes allow a request: of each kind that is listed, one must fit. of returns what the
// request is for a kind. A scope that cannot be read allows nothing.
func inScope(scopes []string, of func(kind string) ([]string, error)) (bool, error) {
	for _, kind := range [...]string{store.MethodScope, store.RouteScope, store.ServiceScope} {
		listed, fits := false, false
		var is []string
		for _, text := range scopes {
			k, want, err := store.ParseScope(text)
			if err != nil {
				return false, nil
			}
			if k != kind {
				continue
			}
			if !listed {
				if is, err = of(kind); err != nil {
					return false, err
				}
				listed = true
			}
			for _, have := range is {
				fits = fits || have != "" && (have == want || kind == store.MethodScope && strings.EqualFold(have, want))
			}
		}
		if listed && !fits {
			return false, nil
		}
	}
	return true, nil
}

// scopesOf asks Kong what the request is for a kind of scope: names and ids.
func scopesOf(kong *pdk.PDK, kind string) ([]string, error) {
	switch kind {
	case store.MethodScope:
		method, err := pluginserver.Var(kong, methodVariable)
		return []string{method}, err
	case store.RouteScope:
		r, err := kong.Router.GetRoute()
		return []string{r.Id, r.Name}, err
	case store.ServiceScope:
		s, err := kong.Router.GetService()
		return []string{s.Id, s.Name}, err
	}
	return nil, errors.New("no such kind of scope")
}

const methodVariable = "request_method"
