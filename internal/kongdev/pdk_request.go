package kongdev

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev/header"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/router"
	"kong-go-plugins/internal/kongdev/uri"
)

// defaultMax is nginx-Lua's limit for headers and query arguments where Kong
// gives none.
const defaultMax = 100

var requestMethods = map[string]pdkMethod{ // read-only
	"kong.request.get_scheme":           {requestPhases, false, textCall(func(q *request) (lua.Value, error) { return q.scheme(), nil })},
	"kong.request.get_host":             {requestPhases, false, textCall(func(q *request) (lua.Value, error) { return q.host, nil })},
	"kong.request.get_port":             {anyPhase, false, intCall(func(q *request) (int, error) { return q.port, nil })},
	"kong.request.get_forwarded_scheme": {requestPhases, false, textCall(func(q *request) (lua.Value, error) { return q.scheme(), nil })},
	"kong.request.get_forwarded_host":   {requestPhases, false, textCall(func(q *request) (lua.Value, error) { return q.host, nil })},
	"kong.request.get_forwarded_port":   {requestPhases, false, intCall(func(q *request) (int, error) { return q.port, nil })},
	"kong.request.get_http_version": {requestPhases, false, func(ev *event, _ []byte) ([]byte, error) {
		return encodeNumber(float64(ev.req.in.ProtoMajor) + float64(ev.req.in.ProtoMinor)/10), nil
	}},
	"kong.request.get_method":          {requestPhases, false, textCall(func(q *request) (lua.Value, error) { return q.method, nil })},
	"kong.request.get_path":            {requestPhases, false, textCall(func(q *request) (lua.Value, error) { return uri.NormalizePath(router.RequestPath(q.in)), nil })},
	"kong.request.get_path_with_query": {requestPhases, false, textCall(func(q *request) (lua.Value, error) { return q.uri, nil })},
	"kong.request.get_raw_query":       {requestPhases, false, textCall(func(q *request) (lua.Value, error) { return q.args, nil })},
	"kong.request.get_query_arg": {requestPhases, false, namedCall(func(q *request, name string) (lua.Value, error) {
		return firstValue(parseArgs(q.args, defaultMax).Fields[name]), nil
	})},
	"kong.request.get_query": {requestPhases, false, tableCall("max_args", func(q *request, max int) *lua.Table { return parseArgs(q.args, max) })},
	"kong.request.get_header": {requestPhases, true, namedCall(func(q *request, name string) (lua.Value, error) {
		if q.phase == phaseLog {
			return firstValue(lookup(q.headers.Table(defaultMax), name)), nil
		}
		return requestHeader(q, name), nil
	})},
	"kong.request.get_headers": {requestPhases, true, tableCall("max_headers", func(q *request, max int) *lua.Table {
		if q.phase == phaseLog {
			max = defaultMax
		}
		return q.headers.Table(max)
	})},
	"kong.request.get_raw_body":     {beforeContent, false, getRawBody},
	"kong.request.get_uri_captures": {requestPhases, true, getCaptures},
}

// lookup finds a name in a table of headers as nginx-Lua does: as it is, then
// in lower case with dashes for underscores.
func lookup(t *lua.Table, name string) lua.Value {
	if v := t.Fields[name]; v != nil {
		return v
	}
	return t.Fields[strings.ReplaceAll(strings.ToLower(name), "_", "-")]
}

func firstValue(v lua.Value) lua.Value {
	if t, ok := v.(*lua.Table); ok {
		if len(t.List) == 0 {
			return nil
		}
		return t.List[0]
	}
	return v
}

// requestHeader is kong.request.get_header: the nginx variable, read again when
// it may be several values joined.
func requestHeader(q *request, name string) lua.Value {
	joined, ok := headerVar(q.headers, strings.ReplaceAll(name, "-", "_"))
	if !ok {
		return nil
	}
	if !strings.Contains(joined, ", ") {
		return joined
	}
	return firstValue(lookup(q.headers.Table(defaultMax), name))
}

// headerVar is an nginx variable of a header, its name with underscores: the
// values joined. Different headers can share a variable.
func headerVar(l header.List, name string) (string, bool) {
	name = strings.ToLower(name)
	var values []string
	for i := range l {
		if sameButDashes(l[i].Key, name) {
			values = append(values, l[i].Value)
		}
	}
	switch {
	case len(values) == 0:
		return "", false
	case len(values) == 1:
		return values[0], true
	case name == "cookie":
		return strings.Join(values, "; "), true
	}
	return strings.Join(values, ", "), true
}

func sameButDashes(key, name string) bool {
	if len(key) != len(name) {
		return false
	}
	for i := range len(key) {
		if key[i] != name[i] && (key[i] != '-' || name[i] != '_') {
			return false
		}
	}
	return true
}

// parseArgs is ngx.req.get_uri_args: an argument without "=" is true, a
// repeated one a list, one without a name is left out.
func parseArgs(query string, max int) *lua.Table {
	t := &lua.Table{Fields: map[string]lua.Value{}}
	n := 0
	for part := range strings.SplitSeq(query, "&") {
		key, v, hasValue := strings.Cut(part, "=")
		if key == "" {
			continue
		}
		if n++; n > max {
			break
		}
		var arg lua.Value = true
		if hasValue {
			arg = uri.UnescapeArg(v)
		}
		t.Add(uri.UnescapeArg(key), arg)
	}
	return t
}

// getRawBody reads the body and sends its bytes, or the path of its file.
func getRawBody(ev *event, _ []byte) ([]byte, error) {
	b := &ev.req.body
	if err := b.load(); err != nil {
		return nil, &lua.Error{Text: err.Error()}
	}
	if b.file != "" {
		return protowire.AppendString([]byte{0x12}, b.file), nil
	}
	return protowire.AppendBytes([]byte{0x0a}, b.data), nil
}

func getCaptures(ev *event, _ []byte) ([]byte, error) {
	c := ev.req.match.Captures
	var out []byte
	for _, s := range c.Unnamed {
		out = protowire.AppendString(append(out, 0x0a), s)
	}
	names := make([]string, 0, len(c.Named))
	for name := range c.Named {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		entry := protowire.AppendString([]byte{0x0a}, name)
		entry = protowire.AppendString(append(entry, 0x12), c.Named[name])
		out = protowire.AppendBytes(append(out, 0x12), entry)
	}
	return out, nil
}
