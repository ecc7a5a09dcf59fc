package kongdev

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/uri"
)

// upstreamMethods are kong.service and what is below it.
var upstreamMethods = map[string]pdkMethod{ // read-only
	"kong.service.set_upstream": {phaseAccess, false, func(ev *event, args []byte) ([]byte, error) {
		name, err := textArg(args)
		if err != nil {
			return nil, err
		}
		if ev.req.gen.balancers[name] == nil {
			return nil, nil // Kong's error text is lost on the way
		}
		ev.req.target.host = name
		return []byte{0x08, 0x01}, nil
	}},
	"kong.service.set_target": {targetPhases, false, func(ev *event, args []byte) ([]byte, error) {
		host, port, err := textAndInt(args)
		if err != nil {
			return nil, err
		}
		if port < 0 || port > 65535 {
			return nil, lua.Raise("port must be an integer between 0 and 65535: given %d", port)
		}
		ev.req.upstreamHost = host
		if !ev.req.ctx.hasBalancerData {
			return nil, lua.Raise("attempt to index field 'balancer_data' (a nil value)")
		}
		ev.req.target = target{host, port}
		return nil, nil
	}},
	"kong.service.request.set_scheme": {balancerPhases, false, setCall(func(q *request, s string) error {
		if s != "http" && s != "https" {
			return lua.Raise("invalid scheme: %s", s)
		}
		q.upstreamScheme = s
		return nil
	})},
	"kong.service.request.set_path": {balancerPhases, false, setCall(func(q *request, s string) error {
		if !strings.HasPrefix(s, "/") {
			return lua.Raise("path must start with /")
		}
		q.upstreamPath = uri.EscapePath(s)
		return nil
	})},
	"kong.service.request.set_raw_query": {upstreamPhases, false, setCall(func(q *request, s string) error {
		q.args = cleanQuery(s)
		return nil
	})},
	"kong.service.request.set_query": {upstreamPhases, false, structCall(func(q *request, t *lua.Table) error {
		args, err := encodeArgs(t)
		if err == nil {
			q.args = args
		}
		return err
	})},
	"kong.service.request.set_method": {upstreamPhases, false, setCall(func(q *request, s string) error {
		if !slices.Contains(settableMethods, s) {
			return lua.Raise("invalid method: %s", s)
		}
		q.method = s
		return nil
	})},
	"kong.service.request.set_header": {balancerPhases, false, pairCall(func(q *request, name string, v lua.Value) error {
		values, err := headerValues(name, v, false)
		if err == nil {
			q.setUpstreamHeader(name, v, values)
		}
		return err
	})},
	"kong.service.request.add_header": {upstreamPhases, false, pairCall(func(q *request, name string, v lua.Value) error {
		values, err := headerValues(name, v, false)
		if err != nil {
			return err
		}
		if _, list := v.(*lua.Table); list { // Kong puts it into the list of values as it is
			return lua.Raise("attempt to use a table as a header value: %q", name)
		}
		key := strings.ToLower(name)
		q.setUpstreamHeader(name, v, append(q.headers.Values(key), values...))
		return nil
	})},
	"kong.service.request.clear_header": {upstreamPhases, false, setCall(func(q *request, name string) error {
		q.headers.Remove(strings.ToLower(name))
		return nil
	})},
	"kong.service.request.set_headers": {upstreamPhases, false, structCall(func(q *request, t *lua.Table) error {
		if err := checkHeaders(t); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(t.Fields)) {
			values, _ := headerValues(name, t.Fields[name], true)
			q.setUpstreamHeader(name, t.Fields[name], values)
		}
		return nil
	})},
	"kong.service.request.set_raw_body": {balancerPhases, false, setCall(func(q *request, s string) error {
		if err := q.body.load(); err != nil {
			return &lua.Error{Text: err.Error()}
		}
		q.body.replace([]byte(s))
		q.headers.Set("Content-Length", strconv.Itoa(len(s)))
		return nil
	})},

	"kong.service.response.get_status": {servicePhases, true, intCall(func(q *request) (int, error) {
		if !q.buffered.done && q.phase == phaseLog {
			return 0, errTimer
		}
		return q.buffered.status, nil
	})},
	"kong.service.response.get_header": {servicePhases, true, namedCall(func(q *request, name string) (lua.Value, error) {
		if !q.buffered.done && q.phase == phaseLog {
			return nil, errTimer
		}
		name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
		for _, h := range q.buffered.header {
			if sameButDashes(h.Key, name) {
				return h.Value, nil
			}
		}
		return nil, nil
	})},
	// Kong hands out a table whose entries are made on access; the protocol copies none.
	"kong.service.response.get_headers": {servicePhases, true, func(ev *event, args []byte) ([]byte, error) {
		max, err := intArg(args)
		switch {
		case err != nil:
			return nil, err
		case max < 1:
			return nil, lua.Raise("max_headers must be >= 1")
		case max > 1000:
			return nil, lua.Raise("max_headers must be <= 1000")
		case !ev.req.buffered.done && ev.req.phase == phaseLog:
			return nil, errTimer
		}
		return nil, nil
	}},
	"kong.service.response.get_raw_body": {servicePhases, true, func(ev *event, _ []byte) ([]byte, error) {
		if !truthy(ev.req.ctx.bufferedProxying) {
			return nil, lua.Raise("service body is only available with buffered proxying (see: kong.service.request.enable_buffering function)")
		}
		return appendText(nil, 1, string(ev.req.buffered.body)), nil
	}},
}

// settableMethods are those that nginx-Lua has a number for.
var settableMethods = []string{ // read-only
	"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE",
}

// setUpstreamHeader is ngx.req.set_header with Kong's care for Host. A list for
// Host becomes the text of a Lua table, which upstreams refuse.
func (q *request) setUpstreamHeader(name string, v lua.Value, values []string) {
	if name == "" || strings.EqualFold(name, ":authority") {
		return // the second is for gRPC only
	}
	q.headers.Set(cleanName(name), values...)
	if strings.EqualFold(name, "host") {
		q.upstreamHost = lua.ToString(v)
		host, _ := q.headers.Get("host")
		q.host = clientHost(host)
	}
}

// encodeArgs makes a query of a table: each argument encoded, all in order of
// their text.
func encodeArgs(t *lua.Table) (string, error) {
	var out []string
	for key, v := range t.Fields {
		var parts []string
		items := []lua.Value{v}
		if list, ok := v.(*lua.Table); ok {
			if len(list.Fields) > 0 {
				return "", lua.Raise("attempt to use table as query arg value")
			}
			items = list.List
		}
		for _, item := range items {
			switch item := item.(type) {
			case nil:
			case bool:
				parts = append(parts, escapeArg(key))
			case *lua.Table:
				return "", lua.Raise("attempt to use table as query arg value")
			default:
				parts = append(parts, escapeArg(key)+"="+escapeArg(lua.ToString(item)))
			}
		}
		out = append(out, strings.Join(parts, "&"))
	}
	slices.Sort(out)
	return strings.Join(out, "&"), nil
}

const upperHex = "0123456789ABCDEF"

// escapeArg is ngx.escape_uri: all but letters, digits and "-._~".
func escapeArg(s string) string {
	return escapeBytes(s, func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
	})
}

// cleanQuery keeps a query on its line.
func cleanQuery(s string) string {
	return escapeBytes(s, func(c byte) bool { return c > 0x20 && c != 0x7f })
}

func escapeBytes(s string, keep func(byte) bool) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; keep(c) {
			out = append(out, c)
		} else {
			out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(out)
}
