// Package admin is an HTTP API that administers a keys file: consumers and their API keys, with the endpoints, bodies and
// errors that Kong's own Admin API has for key-auth. What it has answered with success is on the disk.
//
// A request's way: server.go lets it in and records it, routes.go finds its handler, body.go reads what was sent and
// fields.go checks it, consumers.go and credential*.go do the work, shapes.go writes entities and problem.go writes errors
// as the chosen version of Kong does. A key in clear is in one answer, that of the request which made it, and in no log.
package admin

import (
	"context"
	"log/slog"
	"time"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// Options are what an API works with.
type Options struct {
	Store     store.Admin
	LastUses  *store.LastUses // of the store's keys
	Hasher    *key.Hasher
	KeyPrefix string // of keys that are generated; "" makes them as Kong does, 32 letters and digits
	Seed      bool   // shapes and errors of Kong 0.x instead of 3.9
	Audit     *Audit
	Log       *slog.Logger
}

// An API handles requests. It is safe for concurrent use.
type API struct {
	Options
	now     func() time.Time
	routes  []route
	metrics *metrics
}

// New returns the API of a store.
func New(o Options) *API {
	a := &API{Options: o, now: time.Now, metrics: newMetrics()}
	for _, r := range routes {
		if o.Seed || !r.seed {
			a.routes = append(a.routes, r)
		}
	}
	return a
}

// A call is one request on its way.
type call struct {
	*API
	ctx    context.Context
	route  route
	params map[string]string // of the path, unescaped
	query  query
	origin string  // http://HOST, for links
	in     *fields // what the body says; nil where none is read
	who    string  // for the audit log

	warning string // for the header Warning
}

// An answer is what a handler gives back.
type answer struct {
	status int
	body   any // nil: none
}

func ok(body any) (answer, error) { return answer{200, body}, nil }
func noContent() (answer, error)  { return answer{204, nil}, nil }

// makeKey generates a key.
func (a *API) makeKey() (string, error) {
	if a.KeyPrefix == "" {
		return key.NewKong(), nil
	}
	return key.New(a.KeyPrefix)
}
