package console

import (
	"embed"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"kong-go-plugins/internal/kongdev"
)

//go:embed page.html page.css page.js
var files embed.FS // read-only

const (
	maxViewers   = 32
	viewerWait   = 10 * time.Second // for a browser to take what it is sent
	heartbeat    = 15 * time.Second
	contentRules = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Listen opens addr for a console: an address of this machine only, because
// whoever sees the console sees what plugins are told. A missing host is
// 127.0.0.1.
func Listen(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("console: %w; give -console as host:port, like 127.0.0.1:8002", err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if !isLocal(host) {
		return nil, fmt.Errorf("console: %s is no address of this machine alone, and the console shows what plugins are told; "+
			"use 127.0.0.1:%s, and ssh -L to see it from elsewhere", addr, port)
	}
	return kongdev.Listen("console", "-console", net.JoinHostPort(host, port))
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Handler serves the page and what it asks for.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	for path, file := range map[string]string{"GET /{$}": "page.html", "GET /page.css": "page.css", "GET /page.js": "page.js"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, file) })
	}
	mux.HandleFunc("GET /feed", c.serveFeed)
	mux.HandleFunc("GET /requests/{n}", func(w http.ResponseWriter, r *http.Request) {
		if d, ok := c.request(number(r)); ok {
			writeJSON(w, toJSON(d))
			return
		}
		http.Error(w, "this request is not kept any more", http.StatusNotFound)
	})
	mux.HandleFunc("GET /events/{n}", func(w http.ResponseWriter, r *http.Request) {
		if data, ok := c.eventJSON(number(r)); ok {
			writeJSON(w, data)
			return
		}
		http.Error(w, "this event is not kept any more", http.StatusNotFound)
	})
	mux.HandleFunc("GET /plans/{n}", func(w http.ResponseWriter, r *http.Request) {
		wanted, _ := strconv.ParseInt(r.FormValue("request"), 10, 64) // 0 is the newest
		if d, ok := c.planDetail(number(r), wanted); ok {
			writeJSON(w, toJSON(d))
			return
		}
		http.Error(w, "there is no such workflow", http.StatusNotFound)
	})
	return guard(mux)
}

func number(r *http.Request) int64 {
	n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64) // 0 is never kept
	return n
}

func writeJSON(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(data)
}

// guard keeps other web sites out: a name that somebody made to point here
// (DNS rebinding) is refused by the Host header, requests of other sites by what
// browsers tell of them. No answer can be read, framed or run elsewhere.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentRules)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !isLocal(hostOf(r.Host)):
			http.Error(w, "the console answers to localhost and 127.0.0.1 only", http.StatusForbidden)
		case isForeign(r):
			http.Error(w, "the console answers to its own page only", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the console only shows", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hostOf is a Host header without its port.
func hostOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// isForeign reports a request that another web site's page made. Following a
// link to the page itself is none.
func isForeign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			return true
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return r.URL.Path != "/" || r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

// serveFeed sends what there is, then what changes, as server-sent events.
func (c *Console) serveFeed(w http.ResponseWriter, r *http.Request) {
	if !c.enter() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too many windows show this console; close some", http.StatusServiceUnavailable)
		return
	}
	defer c.leave()
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	control := http.NewResponseController(w)
	send := func(name string, v any) bool {
		_ = control.SetWriteDeadline(time.Now().Add(viewerWait))
		if name == "" {
			_, _ = w.Write([]byte(":\n\n"))
		} else {
			_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, toJSON(v))
		}
		return control.Flush() == nil
	}
	if !send("hello", c.hello()) {
		return
	}
	tick := time.NewTicker(c.fetch)
	defer tick.Stop()
	var at uint64
	for quiet := time.Duration(0); ; quiet += c.fetch {
		b, next := c.since(at)
		switch at = next; {
		case b != nil:
			if !send("batch", b) {
				return
			}
			quiet = 0
		case quiet >= heartbeat:
			if !send("", nil) {
				return
			}
			quiet = 0
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func (c *Console) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.viewers >= maxViewers {
		return false
	}
	c.viewers++
	return true
}

func (c *Console) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.viewers--
}
