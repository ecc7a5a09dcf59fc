package declarative

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/whole.yml
var wholeFile string

func TestParseWholeFile(t *testing.T) {
	d, err := Parse("kong.yml", []byte(wholeFile))
	require.NoError(t, err)

	require.Len(t, d.Services, 2)
	up := *d.Services[0]
	assert.NotZero(t, up.CreatedAt)
	up.CreatedAt, up.UpdatedAt = 0, 0
	assert.Equal(t, Service{
		ID: "dea4c45f-3d88-5461-8ebd-05ae5bbbf87a", Name: "up", Protocol: "http", Host: "127.0.0.1", Port: 9001,
		Retries: 5, ConnectTimeout: 60000, ReadTimeout: 60000, WriteTimeout: 60000, Enabled: true,
	}, up)
	secure := d.Services[1]
	assert.Equal(t, []any{"https", "secure.test", 443, "/base", 0}, []any{secure.Protocol, secure.Host, secure.Port, secure.Path, secure.Retries})

	require.Len(t, d.Routes, 3)
	r := *d.Routes[0]
	r.CreatedAt, r.UpdatedAt = 0, 0
	assert.Equal(t, Route{
		ID: "da7ba03a-f1be-52d4-8a7e-c8f32640689a", Name: "r", Protocols: []string{"http", "https"}, Paths: []string{"/"},
		HTTPSRedirectStatusCode: 426, PathHandling: "v0", RequestBuffering: true, ResponseBuffering: true, Service: d.Services[0],
	}, r)
	assert.Equal(t, "57c54a02-281e-5f35-80a3-b3f03419fd4f", d.Routes[1].ID)
	assert.True(t, d.Routes[1].StripPath)
	assert.Equal(t, []string{"GET"}, d.Routes[1].Methods, "a set")
	assert.Equal(t, map[string][]string{"x-kind": {"a", "~*b"}}, d.Routes[1].Headers)
	assert.Same(t, secure, d.Routes[2].Service)

	require.Len(t, d.Consumers, 2)
	bob := d.Consumers[0]
	require.Len(t, bob.Credentials, 4)
	kinds := map[string]Credential{}
	for _, c := range bob.Credentials {
		kinds[c.Kind] = c
		assert.True(t, IsUUID(c.ID), c.ID)
	}
	assert.Equal(t, "k2", kinds["keyauth_credentials"].Fields["key"], "the last one, from the top level")
	assert.Equal(t, "HS256", kinds["jwt_secrets"].Fields["algorithm"])
	assert.Len(t, kinds["jwt_secrets"].Fields["secret"], 26, "Kong makes one, too")
	assert.Equal(t, EntityID("acls", "acls:*:"+bob.ID+":admins"), kinds["acls"].ID)

	require.Len(t, d.Upstreams, 1)
	var targets []string
	for _, target := range d.Upstreams[0].Targets {
		targets = append(targets, fmt.Sprint(target.Target, "/", target.Weight))
	}
	assert.Equal(t, []string{"127.0.0.1:9001/100", "h.test:8000/0", "127.0.0.1:9002/100"}, targets)

	require.Len(t, d.Plugins, 4)
	assert.Equal(t, "cbec1c30-5c4b-57e8-9916-b6fc23aa4eba", d.Plugins[0].ID, "as recorded from a real gateway")
	assert.Same(t, d.Routes[0], d.Plugins[0].Route)
	assert.Nil(t, d.Plugins[0].Service)
	assert.Equal(t, map[string]any{
		"message": "hello", "num": 3.0, "list": []any{"a", "b"}, "map": map[string]any{"k": "v"},
		"sub": map[string]any{"a": "x", "b": []any{1.0, 2.0}}, "on": true, "text": "yes",
	}, d.Plugins[0].Config)
	assert.Same(t, bob, d.Plugins[1].Consumer)
	last := d.Plugins[3]
	assert.Same(t, d.Services[0], last.Service)
	assert.Same(t, d.Routes[1], last.Route)
	assert.Same(t, bob, last.Consumer)
	assert.False(t, last.Enabled)
	assert.Equal(t, []string{"a", "b"}, last.Tags)
	assert.Equal(t, []string{"http"}, last.Protocols)
	assert.Equal(t, EntityID("plugins", "plugins:*:tplug:regex:up:bob"), last.ID)
	assert.Equal(t, 43, last.Line)

	assert.Equal(t, []string{"kong.yml:3: _transform: ignored, credentials stay as written"}, d.Notes)

	again, err := Parse("kong.yml", []byte(wholeFile))
	require.NoError(t, err)
	for i, p := range again.Plugins {
		assert.Equal(t, d.Plugins[i].ID, p.ID, "ids are the same in each run")
	}
}

func TestParseJSON(t *testing.T) {
	d, err := Parse("kong.json", []byte("{\n\t\"_format_version\": \"3.0\",\n\t\"services\": [\n\t\t{\"name\": \"a\", \"url\": \"http://a.test\"}\n\t]\n}\n"))
	require.NoError(t, err)
	assert.Equal(t, "a.test", d.Services[0].Host)
}

func TestParseOldFormats(t *testing.T) {
	for _, version := range []string{"1.1", "2.1"} {
		d, err := Parse("kong.yml", []byte(`
_format_version: "`+version+`"
routes:
- {name: a, paths: [/plain//x, '/re/\d+', /enc%41]}
`))
		require.NoError(t, err)
		assert.Equal(t, []string{"/plain/x", `~/re/\d+`, "/encA"}, d.Routes[0].Paths)
	}
}

func TestParseAliasesAndMergeKeys(t *testing.T) {
	d, err := Parse("kong.yml", []byte(`
_format_version: "3.0"
services:
- &base {name: a, host: a.test, retries: 1}
- <<: *base
  name: b
- <<: [{retries: 7}, *base]
  name: c
`))
	require.NoError(t, err)
	assert.Equal(t, []any{"b", "a.test", 1}, []any{d.Services[1].Name, d.Services[1].Host, d.Services[1].Retries})
	assert.Equal(t, []any{"c", "a.test", 7}, []any{d.Services[2].Name, d.Services[2].Host, d.Services[2].Retries})
}

func TestParseIgnoredEntitiesAreNoted(t *testing.T) {
	d, err := Parse("kong.yml", []byte(`
_format_version: "3.0"
certificates: []
upstreams: [{name: u, healthchecks: {}}]
routes: [{paths: [/], path_handling: v1}]
`))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"kong.yml:3: certificates: ignored, no TLS here",
		"kong.yml:5: path_handling='v1' is deprecated and will not work under the 'traditional_compatible' router_flavor; 'v0' is used",
		"kong.yml:4: upstreams[0].healthchecks: ignored, targets take turns by weight",
	}, d.Notes)
	assert.True(t, IsUUID(d.Routes[0].ID), "without a name, too")
}

// Each case is a file and all the lines of its error.
func TestParseProblems(t *testing.T) {
	const v = "_format_version: \"3.0\"\n"
	tests := []struct {
		name, file string
		want       []string
	}{
		{"empty", "", []string{`kong.yml:1: the file is empty; it needs at least _format_version: "3.0"`}},
		{"only a comment", "# x\n", []string{`kong.yml:1: the file is empty; it needs at least _format_version: "3.0"`}},
		{"nothing but a separator", "---", []string{`kong.yml:1: expected a record`}},
		{"a list", "- a\n", []string{`kong.yml:1: expected a record`}},
		{"not YAML", v + "services: [", []string{`kong.yml:2: not valid YAML: did not find expected node content`}},
		{"not UTF-8", v + "a: \xff\n", []string{`kong.yml:2: not UTF-8; save the file as UTF-8`}},
		{"no version", "services: []\n", []string{`kong.yml:1: _format_version: required field missing (write _format_version: "3.0")`}},
		{"version is a number", "_format_version: 3.0\n", []string{`kong.yml:1: _format_version: expected a string (write "3.0" with quotes)`}},
		{"version unknown", "_format_version: \"9\"\n", []string{`kong.yml:1: _format_version: expected one of: 1.1, 2.1, 3.0`}},
		{"top-level typo", v + "servces: []\n_info: {}\n", []string{
			`kong.yml:2: servces: unknown field (did you mean "services"?)`,
			`kong.yml:3: _info: unknown field`,
		}},
		{"a mistake in each line", v + `services:
- name: "a b"
  host: a.test:80
  port: 70000
  retries: 1.5
  protocol: htttp
  path: x
  enabled: 1
  conect_timeout: 3
- url: orders.test
  routes:
  - {name: r, methods: [get], paths: [x, "~/(", /a//b, "/a/../é", /%zz, '/a(b)'], hosts: ["*a", "a.*.b", "b.test:x"]}
  - {name: r, protocols: [http, tcp], service: a}
  - {headers: {Host: [a], "a b": [c], x: d}}
`, []string{
			`kong.yml:3: services[0].name: invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~`,
			`kong.yml:4: services[0].host: must not have a port`,
			`kong.yml:5: services[0].port: value should be between 0 and 65535`,
			`kong.yml:6: services[0].retries: expected an integer`,
			`kong.yml:7: services[0].protocol: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp (did you mean "http"?)`,
			`kong.yml:8: services[0].path: should start with: /`,
			`kong.yml:9: services[0].enabled: expected a boolean`,
			`kong.yml:10: services[0].conect_timeout: unknown field (did you mean "connect_timeout"?)`,
			`kong.yml:11: services[1].url: missing host in url (write it like http://orders.internal:8080/api)`,
			`kong.yml:13: services[1].routes[0].methods[0]: invalid value: get (methods are upper case)`,
			`kong.yml:13: services[1].routes[0].hosts[0]: invalid wildcard: must be placed at leftmost or rightmost label`,
			`kong.yml:13: services[1].routes[0].hosts[1]: invalid wildcard: must be placed at leftmost or rightmost label`,
			`kong.yml:13: services[1].routes[0].hosts[2]: invalid port number`,
			`kong.yml:13: services[1].routes[0].paths[0]: should start with: / (fixed path) or ~/ (regex path)`,
			`kong.yml:13: services[1].routes[0].paths[1]: invalid regex: '/(' (PCRE returned: pcre2_compile() failed: missing closing parenthesis in "/(")`,
			`kong.yml:13: services[1].routes[0].paths[2]: must not have empty segments`,
			`kong.yml:13: services[1].routes[0].paths[3]: non-normalized path, consider use '/é' instead`,
			`kong.yml:13: services[1].routes[0].paths[4]: invalid url-encoded value: '%zz'`,
			`kong.yml:14: services[1].routes[1].protocols: these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp'), ('tls_passthrough'), ('grpc', 'grpcs')`,
			`kong.yml:14: services[1].routes[1]: uniqueness violation: 'routes' entity with primary key set to '` + EntityID("routes", "r") + `' already declared (line 13)`,
			`kong.yml:14: services[1].routes[1]: uniqueness violation: 'routes' entity with name set to 'r' already declared (line 13)`,
			`kong.yml:14: services[1].routes[1].service: value must be null (the service is the one it is written in)`,
			`kong.yml:15: services[1].routes[2].headers.Host: cannot contain 'host' header, which must be specified in the 'hosts' attribute`,
			`kong.yml:15: services[1].routes[2].headers.a b: bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'`,
			`kong.yml:15: services[1].routes[2].headers.x: expected an array`,
		}},
		{"route without a rule", v + "routes: [{name: r}, {name: s, protocols: [http], snis: []}]\n", []string{
			`kong.yml:2: routes[0]: must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'`,
			`kong.yml:2: routes[1]: must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'`,
		}},
		{"stream route and grpc service", v + "routes: [{protocols: [tls]}]\nservices: [{name: g, url: 'grpc://a.test'}]\n", []string{
			`kong.yml:2: routes[0].protocols: tls routes are not proxied by kongdev; use http or https`,
			`kong.yml:3: services[0].protocol: grpc is not proxied by kongdev; use http or https`,
		}},
		{"path that Kong would normalize", v + "routes: [{paths: [/a/../b]}]\n", []string{
			`kong.yml:2: routes[0].paths[0]: non-normalized path, consider use '/b' instead`,
		}},
		{"dangling references", v + `services: [{name: orders, host: a.test}]
routes: [{name: r, paths: [/], service: ordres}]
plugins:
- {name: p, route: s, consumer: bob}
- {name: p, service: {name: orders}}
- {name: q, service: {id: 11111111-1111-1111-1111-111111111111}}
`, []string{
			`kong.yml:3: routes[0].service: invalid reference 'service: ordres' (no such entry in 'services') (did you mean "orders"?)`,
			`kong.yml:5: plugins[0].route: invalid reference 'route: s' (no such entry in 'routes') (did you mean "r"?)`,
			`kong.yml:5: plugins[0].consumer: invalid reference 'consumer: bob' (no such entry in 'consumers')`,
			`kong.yml:6: plugins[1].service: expected a string: the name or the id of the service`,
			`kong.yml:7: plugins[2].service: invalid reference 'service: 11111111-1111-1111-1111-111111111111' (no such entry in 'services')`,
		}},
		{"same plugin twice", v + `services: [{name: a, host: a.test, plugins: [{name: p}, {name: p}]}]
plugins:
- {name: p, service: a}
- {name: p}
- {name: p, id: 11111111-1111-1111-1111-111111111111}
`, []string{
			`kong.yml:2: services[0].plugins[1]: uniqueness violation: 'plugins' entity with primary key set to '` +
				EntityID("plugins", "plugins:*:p::"+EntityID("services", "a")+":") + `' already declared (line 2)`,
			`kong.yml:4: plugins[0]: plugin "p" is configured twice for the same scope (first in line 2); keep one`,
			`kong.yml:6: plugins[2]: plugin "p" is configured twice for the same scope (first in line 5); keep one`,
		}},
		{"plugin mistakes", v + "plugins: [{config: 1}, {name: p, config: [x], protocols: [htp], enabled: maybe, confg: {}}, 7]\n", []string{
			`kong.yml:2: plugins[0]: name: required field missing`,
			`kong.yml:2: plugins[0].config: expected a record`,
			`kong.yml:2: plugins[1].confg: unknown field (did you mean "config"?)`,
			`kong.yml:2: plugins[1].enabled: expected a boolean`,
			`kong.yml:2: plugins[1].protocols[0]: expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp (did you mean "http"?)`,
			`kong.yml:2: plugins[1].protocols: length must be at least 1`,
			`kong.yml:2: plugins[1].config: expected a record`,
			`kong.yml:2: plugins[2]: expected a record`,
		}},
		{"consumers", v + `consumers:
- {tags: [x]}
- {username: a, keyauth_credentials: [{key: topsecret}], keyath_credentials: []}
- {username: b, keyauth_credentials: [{key: topsecret}], basicauth_credentials: [{username: b}]}
acls: [{group: g}]
`, []string{
			`kong.yml:3: consumers[0]: at least one of these fields must be non-empty: 'custom_id', 'username'`,
			`kong.yml:4: consumers[1].keyath_credentials: unknown field (did you mean "keyauth_credentials"?)`,
			`kong.yml:5: consumers[2].basicauth_credentials[0]: password: required field missing`,
			`kong.yml:5: consumers[2].keyauth_credentials[0].key: uniqueness violation: 'keyauth_credentials' entity with the same key already declared (line 4)`,
			`kong.yml:6: acls[0]: consumer: required field missing`,
		}},
		{"upstreams", v + "upstreams: [{targets: [{target: 'a b'}, {weight: 70000}]}]\ntargets: [{target: a.test}]\n", []string{
			`kong.yml:2: upstreams[0]: name: required field missing`,
			`kong.yml:2: upstreams[0].targets[0].target: Invalid target ('a b'); not a valid hostname or ip address`,
			`kong.yml:2: upstreams[0].targets[1].weight: value should be between 0 and 65535`,
			`kong.yml:2: upstreams[0].targets[1]: target: required field missing`,
			`kong.yml:3: targets[0]: upstream: required field missing`,
		}},
		{"a key twice", v + "services:\n- name: a\n  host: a.test\n  host: b.test\n", []string{
			`kong.yml:5: services[0].host: set twice (first in line 4); keep one`,
		}},
		{"bad id", v + "services: [{name: a, host: a.test, id: 1-2}]\n", []string{
			`kong.yml:2: services[0].id: expected a valid UUID`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("kong.yml", []byte(tt.file))
			var problems Problems
			require.ErrorAs(t, err, &problems)
			assert.Equal(t, strings.Join(tt.want, "\n"), err.Error())
		})
	}
}

// Files made to cost much end quickly with an error.
func TestParseHostileFiles(t *testing.T) {
	laughs := "_format_version: \"3.0\"\nplugins:\n- name: p\n  config:\n    a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 12; i++ {
		laughs += fmt.Sprintf("    a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	tests := map[string]struct{ file, want string }{
		"a billion laughs":   {laughs, "holds more than 500000 values once its aliases are followed"},
		"endless alias":      {"_format_version: \"3.0\"\nplugins:\n- {name: p, config: &a {b: *a}}\n", "nested deeper than 64 levels"},
		"merge into itself":  {"_format_version: \"3.0\"\nservices:\n- &a\n  <<: *a\n  name: x\n", "nested deeper than 64 levels"},
		"deep nesting":       {"_format_version: \"3.0\"\nplugins: [{name: p, config: {a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}}]\n", "nested deeper than 64 levels"},
		"a million brackets": {strings.Repeat("[", 1_000_000), "not valid YAML"},
		"too large":          {strings.Repeat("#", maxFileBytes+1), "larger than 16777216 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("kong.yml", []byte(tt.file))
			require.ErrorContains(t, err, tt.want)
			var problems Problems
			require.ErrorAs(t, err, &problems)
			assert.LessOrEqual(t, len(problems), maxProblems)
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "kong.yml")
	_, err := Load(file)
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Contains(t, err.Error(), "name a file in Kong's declarative format with -f")
	_, err = Load(dir)
	assert.ErrorContains(t, err, "is a directory")

	require.NoError(t, os.WriteFile(file, []byte(wholeFile), 0o600))
	d, err := Load(file)
	require.NoError(t, err)
	assert.Equal(t, file, d.Plugins[0].File)
}

func TestDidYouMean(t *testing.T) {
	known := []string{"services", "routes", "connect_timeout"}
	for word, want := range map[string]string{
		"sevices": "services", "Services": "services", "rotues": "routes", "connect-timeout": "connect_timeout",
		"x": "", "certificates": "", strings.Repeat("a", 1000): "",
	} {
		got := DidYouMean(word, known)
		if want == "" {
			assert.Empty(t, got, word)
		} else {
			assert.Equal(t, fmt.Sprintf(" (did you mean %q?)", want), got)
		}
	}
}
