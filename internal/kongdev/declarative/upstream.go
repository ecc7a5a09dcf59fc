package declarative

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

var upstreamFields = []string{ // read-only
	"name", "algorithm", "slots", "host_header", "targets", "healthchecks", "client_certificate", "use_srv_name",
	"hash_on", "hash_fallback", "hash_on_header", "hash_fallback_header", "hash_on_cookie", "hash_on_cookie_path",
	"hash_on_query_arg", "hash_fallback_query_arg", "hash_on_uri_capture", "hash_fallback_uri_capture",
}

func (l *loader) upstream(o *fileObject) {
	if o == nil {
		return
	}
	o.known(commonFields, upstreamFields)
	u := &Upstream{
		Name:       o.str("name"),
		Algorithm:  o.oneOf("algorithm", "round-robin", "consistent-hashing", "least-connections", "round-robin", "latency"),
		HostHeader: o.str("host_header"),
		Slots:      o.integer("slots", 10000, 10, 65536),
		Tags:       l.tags(o),
	}
	if !o.has("name") {
		o.fail("", "name: required field missing")
	} else if text := checkHost(u.Name); text != "" && u.Name != "" {
		o.fail("name", "%s", text)
	}
	u.CreatedAt, u.UpdatedAt = l.times(o)
	u.ID = l.identify(o, "upstreams", u.Name)
	l.unique(o, "upstreams", "name", u.Name)
	l.balancing(o)
	for _, f := range []string{"healthchecks", "client_certificate", "use_srv_name", "hash_on", "hash_fallback"} {
		if o.has(f) {
			l.doc.note(o.lines[f], "%s: ignored, targets take turns by weight", o.field(f))
		}
	}
	l.out.Upstreams = append(l.out.Upstreams, u)
	for _, e := range o.list("targets", "an array") {
		l.target(e.object(), u)
	}
}

func (l *loader) target(o *fileObject, parent *Upstream) {
	if o == nil {
		return
	}
	o.known(commonFields, []string{"target", "weight", "upstream"})
	t := Target{Target: o.str("target"), Weight: o.integer("weight", 100, 0, 65535), Tags: l.tags(o)}
	o.isNumber("created_at") // of milliseconds: a target's are
	o.isNumber("updated_at")
	if !o.has("target") {
		o.fail("", "target: required field missing")
	} else if t.Target != "" {
		address, text := checkTarget(t.Target)
		if text != "" {
			o.fail("target", "%s", text)
		}
		t.Target = address
	}
	add := func(u *Upstream) {
		t.ID = l.identify(o, "targets", "targets:*:"+u.ID+":"+t.Target)
		u.Targets = append(u.Targets, t)
	}
	if parent != nil {
		l.nested(o, "upstream")
		add(parent)
		return
	}
	ref, ok := l.reference(o, "upstream")
	if !ok {
		if !o.has("upstream") {
			o.fail("", "upstream: required field missing")
		}
		return
	}
	l.refs = append(l.refs, func() {
		var names []string
		for _, u := range l.out.Upstreams {
			if u.Name == ref || u.ID == ref {
				add(u)
				return
			}
			names = append(names, u.Name)
		}
		l.missing(o, "upstream", ref, names)
	})
}

// checkTarget is a target's address with a port (8000 when it names none, as
// Kong fills in), and what is wrong with it.
func checkTarget(s string) (address, text string) {
	bad := fmt.Sprintf("Invalid target ('%s'); not a valid hostname or ip address", Clip(s))
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "8000"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return s, bad
	}
	if checkHost(host) != "" {
		return s, bad
	}
	return net.JoinHostPort(host, port), ""
}
