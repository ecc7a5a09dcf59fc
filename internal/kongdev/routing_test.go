package kongdev

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echoed is what the built-in upstream saw.
type echoed struct {
	URI     string         `json:"uri"`
	Headers map[string]any `json:"headers"`
}

func readEcho(t *testing.T, r reply) (e echoed) {
	t.Helper()
	require.Equal(t, 200, r.StatusCode, r.body)
	require.NoError(t, json.Unmarshal([]byte(r.body), &e), r.body)
	return e
}

// Routes by everything that a request has, seen from outside: which route took
// it, and what the upstream was sent.
func TestRoutingOnTheWire(t *testing.T) {
	b := startFile(t, `
services:
- name: up
  url: http://echo.kongdev/base
  routes:
  - {name: prefix, paths: [/api, /api/deeper]}
  - {name: regex, paths: ['~/items/(?<id>\d+)/(\w+)$'], strip_path: false}
  - {name: plain-host, hosts: [shop.example], strip_path: false}
  - {name: left, hosts: ["*.shop.example"], preserve_host: true}
  - {name: right, hosts: ["shop.*"]}
  - {name: port, hosts: ["ported.example:9000"]}
  - {name: method, paths: [/api], methods: [DELETE, PATCH]}
  - {name: header, paths: [/api], headers: {x-version: [v2, "~*^v3\\."]}}
plugins:
`+perRoute("prefix", "regex", "plain-host", "left", "right", "port", "method", "header"), nil)
	port := b.listeners[0].Addr().(*net.TCPAddr).Port
	for _, tc := range []struct {
		name, method, path, host string
		headers                  []string
		route, uri, upHost       string // route "" = none
		prefix                   string
	}{
		{name: "prefix", path: "/api/x?y=1", route: "prefix", uri: "/base/x?y=1", prefix: "/api"},
		{name: "longest prefix", path: "/api/deeper/x", route: "prefix", uri: "/base/x", prefix: "/api/deeper"},
		{name: "nothing left of the path", path: "/api", route: "prefix", uri: "/base", prefix: "/api"},
		{name: "empty query", path: "/api/x?", route: "prefix", uri: "/base/x?", prefix: "/api"},
		{name: "regex", path: "/items/7/blue", route: "regex", uri: "/base/items/7/blue"},
		{name: "regex without match", path: "/items/seven/blue"},
		{name: "host", path: "/", host: "shop.example", route: "plain-host", uri: "/base"},
		{name: "host with port", path: "/", host: "shop.example:8080", route: "plain-host", uri: "/base"},
		{name: "wildcard left, host preserved", path: "/a", host: "eu.shop.example:81", route: "left", uri: "/base/a", upHost: "eu.shop.example:81"},
		{name: "wildcard right", path: "/a", host: "shop.test", route: "right", uri: "/base/a"},
		{name: "wildcard needs a label", path: "/a", host: "myshop.example"},
		{name: "port in the route", path: "/", host: "ported.example:9000", route: "port", uri: "/base"},
		{name: "another port", path: "/", host: "ported.example:9001"},
		{name: "no port", path: "/", host: "ported.example"},
		{name: "method", method: "DELETE", path: "/api/x", route: "method", uri: "/base/x", prefix: "/api"},
		{name: "header", path: "/api/x", headers: []string{"X-Version", "V2"}, route: "header", uri: "/base/x", prefix: "/api"},
		{name: "header by regex", path: "/api/x", headers: []string{"X-Version", "v3.14"}, route: "header", uri: "/base/x", prefix: "/api"},
		{name: "another header", path: "/api/x", headers: []string{"X-Version", "v4"}, route: "prefix", uri: "/base/x", prefix: "/api"},
		{name: "no route", path: "/nowhere"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method := tc.method
			if method == "" {
				method = "GET"
			}
			req, err := http.NewRequest(method, b.URL()+tc.path, nil)
			require.NoError(t, err)
			req.Host = tc.host
			req.Header.Set("X-Forwarded-Prefix", "/forged")
			req.Header.Set("X-Forwarded-Proto", "https")
			for i := 0; i < len(tc.headers); i += 2 {
				req.Header.Set(tc.headers[i], tc.headers[i+1])
			}
			r := fetch(t, http.DefaultClient, req)
			if tc.route == "" {
				assert.Equal(t, 404, r.StatusCode)
				assert.Contains(t, r.body, `"message":"no Route matched with those values"`)
				assert.Empty(t, r.Header.Get("X-Route"))
				return
			}
			assert.Equal(t, tc.route, r.Header.Get("X-Route"))
			e := readEcho(t, r)
			assert.Equal(t, tc.uri, e.URI)
			upHost := tc.upHost
			if upHost == "" {
				upHost = "echo.kongdev"
			}
			assert.Equal(t, upHost, e.Headers["host"])
			host := "127.0.0.1"
			if req.Host != "" {
				host = clientHost(req.Host)
			}
			path, _, _ := strings.Cut(tc.path, "?")
			for name, want := range map[string]any{
				"x-forwarded-host": host, "x-forwarded-port": fmt.Sprint(port), "x-forwarded-proto": "http", "x-forwarded-path": path,
				"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "via": "1.1 kong/3.9.1",
			} {
				assert.Equal(t, want, e.Headers[name], name)
			}
			if tc.prefix == "" {
				if tc.route != "left" && tc.route != "right" && tc.route != "port" { // those strip the "/" of every path
					assert.NotContains(t, e.Headers, "x-forwarded-prefix")
				}
			} else {
				assert.Equal(t, tc.prefix, e.Headers["x-forwarded-prefix"])
			}
			assert.Len(t, e.Headers["x-kong-request-id"], 32)
			assert.Equal(t, e.Headers["x-kong-request-id"], r.Header.Get("X-Kong-Request-Id"))
			for _, name := range []string{"X-Kong-Upstream-Latency", "X-Kong-Proxy-Latency"} {
				assert.Regexp(t, `^\d+$`, r.Header.Get(name), name)
			}
		})
	}
}

// perRoute names each route in a response header.
func perRoute(routes ...string) string {
	var b strings.Builder
	for _, r := range routes {
		fmt.Fprintf(&b, "- {name: kongdev-headers, route: %s, config: {response: {X-Route: %s}}}\n", r, r)
	}
	return b.String()
}

// Of the configurations of one plugin that fit a request, the most specific
// runs, alone.
func TestScopeChoice(t *testing.T) {
	scopes := []string{"route+service+consumer", "route+consumer", "service+consumer", "route+service", "consumer", "route", "service", ""}
	for i := range scopes {
		var file strings.Builder
		file.WriteString(authFile + "plugins:\n- {name: kongdev-auth, config: {anonymous: nobody}}\n")
		for _, scope := range slices.Backward(scopes[i:]) { // the order in the file means nothing
			fields := ""
			for part, value := range map[string]string{"route": "all", "service": "up", "consumer": "bob"} {
				if strings.Contains(scope, part) {
					fields += ", " + part + ": " + value
				}
			}
			fmt.Fprintf(&file, "- {name: kongdev-headers%s, config: {response: {X-Scope: %q, %q: ran}}}\n", fields, "scope "+scope, "X-"+strings.ReplaceAll("is "+scope, " ", "-"))
		}
		b := startFile(t, file.String(), nil)
		r := b.get("/", "Apikey", "sekret")
		assert.Equal(t, strings.TrimSpace("scope "+scopes[i]), r.Header.Get("X-Scope"))
		ran := 0
		for name := range r.Header {
			if strings.HasPrefix(strings.ToLower(name), "x-is-") {
				ran++
			}
		}
		assert.Equal(t, 1, ran, "fields of different levels are never merged")
	}
}

// A route's path may have any characters; Kong compares it with the decoded path.
func TestPathsBeyondRFC3986(t *testing.T) {
	b := startFile(t, `
services:
- {name: a, url: "http://echo.kongdev", routes: [{paths: ["/a b", "/é"]}]}
`, nil)
	for path, status := range map[string]int{"/a%20b/x": 200, "/%C3%A9": 200, "/a": 404} {
		req, err := http.NewRequestWithContext(context.Background(), "GET", b.URL()+path, nil)
		require.NoError(t, err)
		assert.Equal(t, status, fetch(t, http.DefaultClient, req).StatusCode, path)
	}
}

// What Kong itself answers has the form that the client asks for.
func TestErrorPagesOnTheWire(t *testing.T) {
	b := startFile(t, fmt.Sprintf(`
services:
- {name: dead, host: 127.0.0.1, port: %d, retries: 0, routes: [{paths: [/dead]}]}
- {name: unknown, host: %s, routes: [{paths: [/unknown]}]}
- {name: slow, url: "http://echo.kongdev", read_timeout: 50, routes: [{paths: [/slow]}]}
- {name: empty, host: pool, routes: [{paths: [/empty]}]}
routes: [{name: alone, paths: [/alone]}]
upstreams: [{name: pool, targets: []}]
`, deadPort(t), unknownHost), nil)
	// Kong's own words for what it could not do; nginx's page where nginx failed.
	for path, want := range map[string]struct {
		status int
		text   string
		plain  bool // without Accept the page is plain text
	}{
		"/nothing":          {404, "no Route matched with those values", false},
		"/alone":            {503, "no Service found with those values", false},
		"/dead":             {502, "An invalid response was received from the upstream server", true},
		"/unknown":          {503, "name resolution failed", false},
		"/slow/delay/10000": {504, "The upstream server is timing out", true},
		"/empty":            {503, "failure to get a peer from the ring-balancer", false},
	} {
		for accept, form := range map[string]string{
			"":                    "json",
			"application/json":    "json",
			"text/html,*/*;q=0.8": "html",
			"application/xml":     "xml",
			"text/plain":          "plain",
			"image/png":           "json",
			"text/plain;q=0.1, text/*;q=0.2, application/xml;q=0.9": "xml",
		} {
			if accept == "" && want.plain {
				form = "plain"
			}
			t.Run(path+" "+accept, func(t *testing.T) {
				req, err := http.NewRequestWithContext(context.Background(), "GET", b.URL()+path, nil)
				require.NoError(t, err)
				if accept != "" {
					req.Header.Set("Accept", accept)
				}
				r := fetch(t, http.DefaultClient, req)
				id := r.Header.Get("X-Kong-Request-Id")
				assert.Equal(t, want.status, r.StatusCode)
				assert.Equal(t, map[string]string{
					"json":  "{\n  \"message\":\"" + want.text + "\",\n  \"request_id\":\"" + id + "\"\n}",
					"html":  "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n    <p>" + want.text + ".</p>\n    <p>request_id: " + id + "</p>\n  </body>\n</html>\n",
					"xml":   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>" + want.text + "</message>\n  <requestid>" + id + "</requestid>\n</error>\n",
					"plain": want.text + "\nrequest_id: " + id + "\n",
				}[form], strings.ReplaceAll(r.body, "\r", ""))
				assert.Equal(t, map[string]string{"json": typeJSON, "html": typeHTML, "xml": typeXML, "plain": typePlain}[form], r.Header.Get("Content-Type"))
			})
		}
	}
	// There is no page for gRPC: nginx's failures are a table that exit encodes.
	req, err := http.NewRequestWithContext(context.Background(), "GET", b.URL()+"/dead", nil)
	require.NoError(t, err)
	req.Header.Set("Accept", grpcType)
	r := fetch(t, http.DefaultClient, req)
	assert.Equal(t, 502, r.StatusCode)
	assert.Equal(t, typeJSON, r.Header.Get("Content-Type"))
	assert.JSONEq(t, `{"message":"An invalid response was received from the upstream server"}`, r.body)
}
