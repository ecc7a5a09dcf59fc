package declarative

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// Fields that have no effect here are checked as Kong checks them all the same:
// a file that is refused there must not pass here.

// isRecord checks that a field, if there, holds fields of its own.
func (o *fileObject) isRecord(name string) {
	n := followAlias(o.fields[name])
	if n == nil || n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		return
	}
	o.fail(name, "expected a record")
}

// isNumber checks that a field, if there, is one.
func (o *fileObject) isNumber(name string) {
	if n := followAlias(o.fields[name]); n != nil {
		if _, ok := scalarValue(n).(float64); !ok {
			o.fail(name, "expected a number")
		}
	}
}

// serviceTLS checks how a service's upstream would be verified.
func (l *loader) serviceTLS(o *fileObject) {
	o.str("client_certificate")
	o.boolean("tls_verify", false)
	o.integer("tls_verify_depth", 0, 0, 64)
	o.strings("ca_certificates", "an array", func(id string) string {
		if !IsUUID(id) {
			return "expected a valid UUID"
		}
		return ""
	})
}

// hashKinds are what a balancer can choose a target by, with the field that
// each needs: that of hash_on, then that of hash_fallback.
var hashKinds = map[string][2]string{ // read-only
	"none": {}, "consumer": {}, "ip": {}, "path": {},
	"header":      {"hash_on_header", "hash_fallback_header"},
	"cookie":      {"hash_on_cookie", "hash_on_cookie"},
	"query_arg":   {"hash_on_query_arg", "hash_fallback_query_arg"},
	"uri_capture": {"hash_on_uri_capture", "hash_fallback_uri_capture"},
}

var hashKindNames = []string{"none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture"} // read-only

// balancing checks how an upstream would choose its targets.
func (l *loader) balancing(o *fileObject) {
	o.isRecord("healthchecks")
	o.str("client_certificate")
	o.boolean("use_srv_name", false)
	for _, f := range []string{
		"hash_on_header", "hash_fallback_header", "hash_on_cookie", "hash_on_cookie_path",
		"hash_on_query_arg", "hash_fallback_query_arg", "hash_on_uri_capture", "hash_fallback_uri_capture",
	} {
		o.str(f)
	}
	on := o.oneOf("hash_on", "none", hashKindNames...)
	fallback := o.oneOf("hash_fallback", "none", hashKindNames...)
	for i, kind := range []string{on, fallback} {
		if needed := hashKinds[kind][i]; needed != "" && !o.has(needed) && (i == 0 || kind != "cookie") {
			o.fail(needed, "required field missing")
		}
	}
	allowed := hashKindNames
	switch on {
	case "none", "cookie":
		allowed = []string{"none"}
	case "consumer", "ip", "path":
		allowed = slices.DeleteFunc(slices.Clone(hashKindNames), func(k string) bool { return k == on })
	}
	if !slices.Contains(allowed, fallback) {
		o.fail("hash_fallback", "failed conditional validation given value of field 'hash_on': %q does not go with hash_on %q", fallback, on)
	}
}
