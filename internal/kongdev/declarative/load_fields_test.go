package declarative

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every field of every entity refuses a value of a wrong type, with its path
// and Kong's words.
func TestEveryFieldRefusesWrongValues(t *testing.T) {
	const (
		text    = "expected a string"
		integer = "expected an integer"
		boolean = "expected a boolean"
		number  = "expected a number"
		record  = "expected a record"
		array   = "expected an array"
		set     = "expected a set"
		uuid    = "expected a valid UUID"
	)
	// wrong values by what is said about them
	wrong := map[string][]string{
		text: {"{}", "[a]"}, integer: {"abc", "1.5", "[1]", "{}"}, number: {"abc", "[1]", "{}"}, boolean: {"1", "abc", "{}"}, record: {"1", "abc", "[x]"}, array: {"1", "abc", "{a: b}"}, set: {"1", "abc", "{a: b}"},
		uuid: {"abc", "11111111-1111-4111-8111-11111111111g"},
	}
	common := map[string]string{"id": uuid, "tags": set, "created_at": integer, "updated_at": integer}
	entities := []struct {
		kind   string
		base   string // the fields that make it sound
		all    []string
		fields map[string]string
	}{
		{"services", "host: a.test", serviceFields, map[string]string{
			"name": text, "url": text, "protocol": text, "host": text, "port": integer, "path": text, "retries": integer, "connect_timeout": integer,
			"read_timeout": integer, "write_timeout": integer, "enabled": boolean, "client_certificate": text, "tls_verify": boolean,
			"tls_verify_depth": integer, "ca_certificates": array, "routes": array, "plugins": array,
		}},
		{"routes", "paths: [/]", routeFields, map[string]string{
			"name": text, "protocols": set, "methods": set, "hosts": array, "paths": array, "headers": record, "snis": set, "strip_path": boolean,
			"preserve_host": boolean, "regex_priority": integer, "https_redirect_status_code": integer, "path_handling": text,
			"request_buffering": boolean, "response_buffering": boolean, "service": text, "plugins": array,
		}},
		{"plugins", "name: p", pluginFields, map[string]string{
			"name": text, "instance_name": text, "config": record, "enabled": boolean, "protocols": set, "service": text, "route": text, "consumer": text, "ordering": record,
		}},
		{"consumers", "username: a", []string{"username", "custom_id", "plugins", "keyauth_credentials"}, map[string]string{
			"username": text, "custom_id": text, "plugins": array, "keyauth_credentials": array,
		}},
		{"upstreams", "name: a", upstreamFields, map[string]string{
			"name": text, "algorithm": text, "slots": integer, "host_header": text, "targets": array, "healthchecks": record, "client_certificate": text,
			"use_srv_name": boolean, "hash_on": text, "hash_fallback": text, "hash_on_header": text, "hash_fallback_header": text, "hash_on_cookie": text,
			"hash_on_cookie_path": text, "hash_on_query_arg": text, "hash_fallback_query_arg": text, "hash_on_uri_capture": text, "hash_fallback_uri_capture": text,
		}},
		{"targets", "target: a.test, upstream: u", []string{"target", "weight", "upstream"}, map[string]string{
			"target": text, "weight": integer, "upstream": text, "created_at": number, "updated_at": number,
		}},
		{"keyauth_credentials", "key: k, consumer: c", []string{"key", "consumer"}, map[string]string{"key": text, "consumer": text}},
	}
	parents := map[string]string{"targets": "upstreams: [{name: u}]\n", "keyauth_credentials": "consumers: [{username: c}]\n"}
	elsewhere := []string{"filter_chains", "sources", "destinations"} // not read at all, and said so
	for _, e := range entities {
		for _, f := range append(slices.Clone(e.all), sortedKeys(common)...) {
			kind := e.fields[f]
			if kind == "" {
				kind = common[f]
			}
			if slices.Contains(elsewhere, f) {
				continue
			}
			require.NotEmpty(t, kind, "%s.%s is not in this test", e.kind, f)
			for _, value := range wrong[kind] {
				t.Run(e.kind+"."+f+"="+value, func(t *testing.T) {
					var base []string
					for part := range strings.SplitSeq(e.base, ", ") {
						if !strings.HasPrefix(part, f+":") {
							base = append(base, part)
						}
					}
					base = append(base, f+": "+value)
					file := fmt.Sprintf("_format_version: \"3.0\"\n%s:\n- {%s}\n"+parents[e.kind], e.kind, strings.Join(base, ", "))
					_, err := Parse("kong.yml", []byte(file))
					var problems Problems
					require.ErrorAs(t, err, &problems, file)
					found := slices.ContainsFunc(problems, func(p Problem) bool {
						return p.Line == 3 && strings.HasPrefix(p.Field, e.kind+"[0]."+f) && strings.Contains(p.Text, kind)
					})
					assert.True(t, found, "%s\n%v", file, err)
				})
			}
		}
	}
}

func TestIgnoredFieldsAreChecked(t *testing.T) {
	for file, want := range map[string]string{
		"services: [{host: a, tls_verify_depth: 65}]":                                   "services[0].tls_verify_depth: value should be between 0 and 64",
		"services: [{host: a, ca_certificates: [x]}]":                                   "services[0].ca_certificates[0]: expected a valid UUID",
		"upstreams: [{name: a, hash_on: user}]":                                         "upstreams[0].hash_on: expected one of: none, consumer, ip, header, cookie, path, query_arg, uri_capture",
		"upstreams: [{name: a, hash_on: header}]":                                       "upstreams[0].hash_on_header: required field missing",
		"upstreams: [{name: a, hash_on: ip, hash_fallback: query_arg}]":                 "upstreams[0].hash_fallback_query_arg: required field missing",
		"upstreams: [{name: a, hash_fallback: ip}]":                                     "upstreams[0].hash_fallback: failed conditional validation given value of field 'hash_on'",
		"upstreams: [{name: a, hash_on: ip, hash_fallback: ip}]":                        "upstreams[0].hash_fallback: failed conditional validation given value of field 'hash_on'",
		"upstreams: [{name: a, hash_on: cookie, hash_on_cookie: c}]":                    "",
		"upstreams: [{name: a, hash_on: header, hash_on_header: h, hash_fallback: ip}]": "",
		"upstreams: [{name: a, healthchecks: {active: {type: http}}}]":                  "",
		"services: [{host: a, tls_verify: true, tls_verify_depth: 2}]":                  "",
	} {
		_, err := Parse("kong.yml", []byte("_format_version: \"3.0\"\n"+file+"\n"))
		if want == "" {
			assert.NoError(t, err, file)
			continue
		}
		assert.ErrorContains(t, err, want, file)
	}
}
