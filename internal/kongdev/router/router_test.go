package router

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/declarative"
)

func TestRouterMatch(t *testing.T) {
	up := &declarative.Service{Name: "up", Enabled: true}
	based := &declarative.Service{Name: "based", Path: "/base", Enabled: true}
	routes := []*declarative.Route{
		{Name: "root", ID: declarative.EntityID("routes", "root"), Paths: []string{"/"}, Service: up},
		{Name: "short", ID: declarative.EntityID("routes", "short"), Paths: []string{"/api"}, StripPath: true, Service: based},
		{Name: "long", ID: declarative.EntityID("routes", "long"), Paths: []string{"/api/orders", "/ao"}, StripPath: true, Service: up},
		{Name: "regex", ID: declarative.EntityID("routes", "regex"), Paths: []string{`~/items/(?<id>\d+)(/.*)?`}, Service: up},
		{Name: "urgent", ID: declarative.EntityID("routes", "urgent"), Paths: []string{`~/items/9.*`}, RegexPriority: 5, Service: up},
		{Name: "method", ID: declarative.EntityID("routes", "method"), Paths: []string{"/api"}, Methods: []string{"DELETE"}, Service: up},
		{Name: "host", ID: declarative.EntityID("routes", "host"), Hosts: []string{"plain.test"}, StripPath: true, Service: based},
		{Name: "wild", ID: declarative.EntityID("routes", "wild"), Hosts: []string{"*.wild.test", "wild.*"}, Service: up},
		{Name: "port", ID: declarative.EntityID("routes", "port"), Hosts: []string{"ported.test:9000"}, Service: up},
		{Name: "header", ID: declarative.EntityID("routes", "header"), Headers: map[string][]string{"x_kind": {"Gold", "silver"}}, Paths: []string{"/h"}, Service: up},
		{Name: "pattern", ID: declarative.EntityID("routes", "pattern"), Headers: map[string][]string{"x-kind": {"~*^v[0-9]+$"}}, Paths: []string{"/h"}, Service: nil},
	}
	r, err := New(&declarative.Config{Routes: routes})
	require.NoError(t, err)

	tests := []struct {
		name, method, target, host, header string
		want                               string
		upstream, prefix                   string
	}{
		{"prefix", "GET", "/hello?x=1", "", "", "root", "/hello", ""},
		{"longer prefix wins", "GET", "/api/orders/1", "", "", "long", "/1", "/api/orders"},
		{"another path of the same route", "GET", "/ao/1", "", "", "long", "/1", "/ao"},
		{"stripped onto a base path", "GET", "/api/x", "", "", "short", "/base/x", "/api"},
		{"stripped to nothing", "GET", "/api", "", "", "short", "/base", "/api"},
		{"stripped to a slash", "GET", "/api/", "", "", "short", "/base/", "/api"},
		{"prefix is no path segment", "GET", "/apis", "", "", "short", "/base/s", "/api"},
		{"more kinds of rule win", "DELETE", "/api/x", "", "", "method", "/api/x", ""},
		{"regex beats prefix", "GET", "/items/42", "", "", "regex", "/items/42", ""},
		{"regex priority", "GET", "/items/99", "", "", "urgent", "/items/99", ""},
		{"plain host beats everything short of four rules", "DELETE", "/items/42", "plain.test", "", "host", "/base/items/42", ""},
		{"host with any port", "GET", "/", "plain.test:8000", "", "host", "/base", ""},
		{"leading wildcard", "GET", "/nowhere", "a.b.wild.test", "", "root", "/nowhere", ""},
		{"trailing wildcard", "GET", "/nowhere", "wild.example", "", "root", "/nowhere", ""},
		{"host port matches", "GET", "/", "ported.test:9000", "", "port", "/", ""},
		{"host port differs", "GET", "/", "ported.test:9001", "", "root", "/", ""},
		{"header value without case", "GET", "/h", "", "GOLD", "header", "/h", ""},
		{"header pattern", "GET", "/h", "", "V12", "pattern", "/h", ""},
		{"header value unknown", "GET", "/h", "", "lead", "root", "/h", ""},
		{"dots and slashes are resolved first", "GET", "/x/../api//orders/./1", "", "", "long", "/1", "/api/orders"},
		{"percent triplets are decoded first", "GET", "/%61pi/orders/%c3%a9%2f", "", "", "long", "/%C3%A9%2F", "/api/orders"},
		{"bytes that are not UTF-8 match nothing", "GET", "/%ff", "", "", "", "", ""},
		{"absolute form", "GET", "http://other.test/api/x?y", "other.test", "", "short", "/base/x", "/api"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := httptest.NewRequest(tt.method, tt.target, nil)
			if tt.host != "" {
				req.Host = tt.host
			}
			if tt.header != "" {
				req.Header.Set("X-Kind", tt.header)
			}
			m, ok := r.Match(req)
			if tt.want == "" {
				require.False(t, ok)
				return
			}
			require.True(t, ok)
			assert.Equal(t, tt.want, m.Route.Name)
			assert.Equal(t, tt.upstream, m.UpstreamPath)
			assert.Equal(t, tt.prefix, m.Prefix)
			assert.Equal(t, m.Route.Service, m.Service)
		})
	}
}

func TestRouterWildcardHostsAlone(t *testing.T) {
	r, err := New(&declarative.Config{Routes: []*declarative.Route{{Name: "wild", ID: "a", Hosts: []string{"*.wild.test", "wild.*"}}}})
	require.NoError(t, err)
	for host, want := range map[string]bool{
		"a.wild.test": true, "a.b.wild.test": true, "a.wild.test:1": true, "wild.test": true, "wild.x.y": true,
		"wildtest": false, "x.wild.test.org": false, "": false,
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Host = host
		_, ok := r.Match(req)
		assert.Equal(t, want, ok, host)
	}
}

func TestRouterLeavesDisabledServicesOut(t *testing.T) {
	r, err := New(&declarative.Config{Routes: []*declarative.Route{{Name: "off", Paths: []string{"/"}, Service: &declarative.Service{Enabled: false}}}})
	require.NoError(t, err)
	_, ok := r.Match(httptest.NewRequest("GET", "/", nil))
	assert.False(t, ok)
}

func TestRouterPortOfTheListener(t *testing.T) {
	r, err := New(&declarative.Config{Routes: []*declarative.Route{{Name: "p", ID: "a", Hosts: []string{"h.test:9000"}}}})
	require.NoError(t, err)
	for port, want := range map[int]bool{9000: true, 8000: false} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Host = "h.test"
		req = req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{Port: port})))
		_, ok := r.Match(req)
		assert.Equal(t, want, ok, port)
	}
}

func TestRouterCaptures(t *testing.T) {
	r, err := New(&declarative.Config{Routes: []*declarative.Route{
		{Name: "regex", ID: "a", Paths: []string{`~/items/(?<id>\d+)(?:/(\w+))?`}, StripPath: true},
		{Name: "bare", ID: "b", Paths: []string{`~/bare/\d+`}},
	}})
	require.NoError(t, err)

	m, ok := r.Match(httptest.NewRequest("GET", "/items/42/sizes/x", nil))
	require.True(t, ok)
	assert.Equal(t, Captures{Full: "/items/42/sizes", Unnamed: []string{"42", "sizes"}, Named: map[string]string{"id": "42"}}, m.Captures)
	assert.Equal(t, "/x", m.UpstreamPath)

	m, ok = r.Match(httptest.NewRequest("GET", "/bare/1", nil))
	require.True(t, ok)
	assert.Equal(t, Captures{}, m.Captures, "a regex without groups has no captures")
	_, ok = r.Match(httptest.NewRequest("GET", "/x/items/42", nil))
	assert.False(t, ok, "a regex is anchored at the start")
}

func TestRouterRefusesBadRegex(t *testing.T) {
	_, err := New(&declarative.Config{Routes: []*declarative.Route{{Name: "bad", Paths: []string{"~/a(?=b)"}}}})
	assert.ErrorContains(t, err, `route "bad": paths: invalid regex "~/a(?=b)"`)
	_, err = New(&declarative.Config{Routes: []*declarative.Route{{Name: "bad", Headers: map[string][]string{"x": {"~*["}}}}})
	assert.ErrorContains(t, err, `route "bad": headers: "x"`)
}

// The numbers are what LuaJIT computes from Kong 3.9.1's expressions.
func TestRoutePriority(t *testing.T) {
	tests := []struct {
		name  string
		route declarative.Route
		paths []string
		want  uint64
	}{
		{"prefix", declarative.Route{}, []string{"/api"}, 1<<29 | 4},
		{"method and prefix", declarative.Route{Methods: []string{"GET"}}, []string{"/"}, 2<<29 | 1},
		{"plain host", declarative.Route{Hosts: []string{"a"}}, nil, 1<<60 | 1<<29},
		{"wildcard host", declarative.Route{Hosts: []string{"a", "*.b"}}, nil, 1 << 29},
		{"regex", declarative.Route{RegexPriority: 2}, []string{"~/"}, 1<<51 | 1<<29 | 2<<19},
		{"negative regex priority", declarative.Route{RegexPriority: -1}, []string{"~/"}, 0xFFFFFFFFFFF80000},
		{"regex priority without a regex", declarative.Route{RegexPriority: 2}, []string{"/"}, 1<<29 | 1},
		{"headers", declarative.Route{Headers: map[string][]string{"a": {"1"}, "b": {"1"}}}, nil, 1<<29 | 2<<20},
		{"four rules", declarative.Route{Hosts: []string{"*.b"}, Methods: []string{"GET"}, Headers: map[string][]string{"a": {"1"}}}, []string{"/"}, 0xFFFFFFFF80100001},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, routePriority(&tt.route, tt.paths), tt.name)
	}
}

func TestGroupPaths(t *testing.T) {
	assert.Equal(t, [][]string{nil}, groupPaths(nil))
	assert.Equal(t,
		[][]string{{"~/regex.*$", "~/.*"}, {"/long-path"}, {"/one", "/two"}, {"/three"}},
		groupPaths([]string{"~/regex.*$", "/long-path", "/one", "/two", "/three", "~/.*"}))
}

func TestRouterTieGoesToTheGreaterID(t *testing.T) {
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		var routes []*declarative.Route
		for _, id := range order {
			routes = append(routes, &declarative.Route{ID: id, Name: id, Paths: []string{"/x"}})
		}
		r, err := New(&declarative.Config{Routes: routes})
		require.NoError(t, err)
		m, ok := r.Match(httptest.NewRequest("GET", "/x", nil))
		require.True(t, ok)
		assert.Equal(t, "b", m.Route.ID)
	}
}

// Kong documents this table for path_handling v0.
func TestJoinUpstream(t *testing.T) {
	tests := []struct {
		base, route string
		strip       bool
		path, want  string
	}{
		{"/s", "/fv0", false, "/fv0/req", "/s/fv0/req"},
		{"/s", "/fv0", false, "/fv0", "/s/fv0"},
		{"/s", "/tv0", true, "/tv0/req", "/s/req"},
		{"/s", "/tv0", true, "/tv0", "/s"},
		{"/s", "/fv0/", false, "/fv0/req", "/s/fv0/req"},
		{"/s", "/tv0/", true, "/tv0/req", "/s/req"},
		{"/s", "/tv0/", true, "/tv0/", "/s/"},
		{"/s/", "/fv0", false, "/fv0", "/s/fv0"},
		{"/s/", "/tv0", true, "/tv0", "/s"},
		{"/s/", "/tv0", true, "/tv0/req", "/s/req"},
		{"/s/", "/tv0/", true, "/tv0/", "/s/"},
		{"/", "/x", true, "/x", "/"},
		{"/", "/", false, "/", "/"},
		{"/s", "/", false, "/", "/s"},
		{"/s", "/a", true, "/a../b", "/s/b"},
		{"/s", "/a", true, "/a..", "/s"},
		{"/s", "/a", true, "/a./b", "/s/b"},
	}
	for _, tt := range tests {
		postfix := strings.TrimPrefix(tt.path, tt.route)
		assert.Equal(t, tt.want, joinUpstream(tt.base, tt.path, postfix, tt.strip), "%+v", tt)
	}
}
