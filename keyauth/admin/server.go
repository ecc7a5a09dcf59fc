package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// who is the key under which a request's context has its sender.
type who struct{}

// ServeHTTP answers a request. Only the route's pattern is logged, since paths hold keys.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	route, params, allow := a.match(r.Method, r.URL.EscapedPath())
	out, err := a.safely(func() (answer, error) {
		switch {
		case len(allow) > 0 && r.Method == http.MethodOptions:
			w.Header().Set("Allow", strings.Join(allow, ", "))
			return noContent()
		case len(allow) > 0:
			w.Header().Set("Allow", strings.Join(allow, ", "))
			return answer{}, message(405, "Method not allowed")
		case params == nil:
			return answer{}, notFound()
		}
		return a.serve(w, r, route, params)
	})
	if err != nil {
		out = a.failed(r.Context(), route, err)
	}
	write(w, out)
	a.metrics.count(r.Method, route.pattern, out.status)
	a.metrics.seconds.Observe(time.Since(start).Seconds())
	name, _ := r.Context().Value(who{}).(string)
	a.Log.Info("request", "method", logged(r.Method), "route", route.pattern, "status", out.status, "who", name, "ms", time.Since(start).Milliseconds())
}

// refused records a request without a token.
func (a *API) refused(r *http.Request, status int) {
	a.metrics.count(r.Method, noRoute, status)
	a.Log.Warn("request without a token", "status", status)
}

// logged is a method that is known; a client may send anything as one.
func logged(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	}
	return "other"
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, route route, params map[string]string) (answer, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return answer{}, message(400, "the query cannot be read; is a %% not followed by two hexadecimal digits, or is there a semicolon?")
	}
	name, _ := r.Context().Value(who{}).(string)
	c := &call{API: a, ctx: r.Context(), route: route, params: params, query: query{values}, origin: origin(r), who: name}
	if route.method == "POST" || route.method == "PUT" || route.method == "PATCH" {
		if c.in, err = readBody(w, r); err != nil {
			return answer{}, err
		}
	}
	out, err := route.handle(c)
	if c.warning != "" {
		w.Header().Set("Warning", "299 keyauth "+strconv.Quote(c.warning))
	}
	return out, err
}

// origin is how the client reached us.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + (&url.URL{Host: r.Host}).Host
}

// safely makes an error of a panic.
func (a *API) safely(f func() (answer, error)) (out answer, err error) {
	defer func() {
		if r := recover(); r != nil {
			a.metrics.panics.Inc()
			a.Log.Error("panic", "type", fmt.Sprintf("%T", r), "stack", string(debug.Stack())) // its text could hold a key
			err = message(500, "An unexpected error occurred")
		}
	}()
	return f()
}

// failed is the answer to an error.
func (a *API) failed(ctx context.Context, route route, err error) answer {
	p := explain(err, route.method == "POST" || route.method == "PUT" && route.seed)
	if p == nil {
		p = message(500, "An unexpected error occurred")
		if ctx.Err() == nil { // else the client is gone
			a.Log.Error("the keys file cannot be used", "route", route.pattern, "error", err)
		}
	}
	if a.Seed {
		status, body := p.seedBody()
		return answer{status, body}
	}
	return answer{p.status, p.body()}
}

func write(w http.ResponseWriter, out answer) {
	h := w.Header()
	h.Set("Cache-Control", "no-store") // an answer may hold a key
	h.Set("X-Content-Type-Options", "nosniff")
	if out.body == nil {
		w.WriteHeader(out.status)
		return
	}
	if text, isText := out.body.(plainText); isText {
		h.Set("Content-Type", plainTextType)
		w.WriteHeader(out.status)
		_, _ = w.Write(text) // the client may be gone
		return
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(out.status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(out.body) // the client may be gone
}
