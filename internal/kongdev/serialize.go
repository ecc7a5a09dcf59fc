package kongdev

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// A serialized is the table of kong.log.serialize for one request as JSON, made
// when the first handler asks, from the request as it ended.
type serialized struct {
	once sync.Once
	base *request
	text []byte
}

func (s *serialized) json() []byte {
	s.once.Do(func() {
		t, err := s.base.serialize()
		if err == nil { // logPhase has looked before
			s.text = appendJSON(make([]byte, 0, 3<<10), t)
		}
	})
	return s.text
}

// A serializeValue is what kong.log.set_serialize_value was called with.
type serializeValue struct {
	key string
	v   value
}

// serialize is what kong.log.serialize shows, an object or, where a plugin has
// added to it, a *table.
//
// It fails when a value of set_serialize_value does not fit in.
func (q *request) serialize() (value, error) {
	headers := q.headers.object(defaultMax)
	for i := range headers {
		if name := headers[i].name; name == "authorization" || name == "proxy-authorization" {
			headers[i].v = "REDACTED"
		}
	}
	host := q.host
	port := formatNumber(float64(q.port), 14)
	kong := q.times.proxyLatency
	if kong < 0 {
		kong = max(q.times.responseLatency, 0)
	}
	source := "kong"
	if q.source() == "service" {
		source = "upstream"
	}
	var upstreamStatus value = q.upstreamStatus
	if q.upstreamStatus == "" && q.buffered.done {
		upstreamStatus = float64(q.buffered.status)
	}
	upstreamURI := ""
	if q.upstreamPath != "" {
		upstreamURI = q.upstreamURI()
	}
	length := int64(q.length)
	if q.body.received > 0 {
		length += q.body.received
	} else if q.in.ContentLength > 0 {
		length += q.in.ContentLength
	}
	var session, entity, route, service, tries value
	if v := tlsVersion(q.in.TLS); v != nil {
		session = object{{"cipher", q.tlsVar("cipher")}, {"client_verify", q.tlsVar("client_verify")}, {"version", v}}
	}
	if c, ok := q.ctx.credential.(*table); ok {
		entity = object{{"consumer_id", c.get("consumer_id")}, {"id", c.get("id")}}
	}
	added := len(q.serializeValues) > 0
	if r := q.route(); r != nil && added {
		route = routeObject(r)
	} else if r != nil {
		route = printedOnce(q.gen, r, routeObject)
	}
	if s := q.service(); s != nil && added {
		service = serviceObject(s)
	} else if s != nil {
		service = printedOnce(q.gen, s, serviceObject)
	}
	if q.ctx.hasBalancerData {
		tries = q.triesList()
	}
	method, args := q.method, q.args
	if q.ctx.unexpected && q.in.ProtoMajor < 2 { // then Kong reads the request line again
		method = q.in.Method
		_, args, _ = strings.Cut(q.uri, "?")
	}
	root := object{
		{"authenticated_entity", entity},
		{"client_ip", q.clientIP},
		{"consumer", q.ctx.consumer},
		{"latencies", object{
			{"kong", float64(kong)}, {"proxy", float64(q.times.waiting)},
			{"receive", float64(max(q.times.receive, 0))}, {"request", float64(max(q.times.logStart-q.start, 0))},
		}},
		{"request", object{
			{"headers", headers}, {"id", q.id}, {"method", method}, {"querystring", parseArgs(args, defaultMax)}, {"size", float64(length)},
			{"tls", session}, {"uri", q.uri}, {"url", q.scheme() + "://" + host + ":" + port + q.uri},
		}},
		{"response", object{{"headers", q.responseObject(defaultMax)}, {"size", float64(q.out.sent)}, {"status", float64(q.status)}}},
		{"route", route},
		{"service", service},
		{"source", source},
		{"started_at", float64(q.start)},
		{"tries", tries},
		{"upstream_status", upstreamStatus},
		{"upstream_uri", upstreamURI},
		{"workspace", WorkspaceID},
		{"workspace_name", "default"},
	}
	if !added {
		return root, nil
	}
	t := root.table()
	for _, s := range q.serializeValues {
		if err := setPath(t, s.key, s.v); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// setPath sets a value at a path of names with dots between, and makes the
// tables on its way. Kong raises when something else stands in the way. The
// first byte of the path is never a dot between names.
func setPath(t *table, path string, v value) error {
	start := 0
	for i := 1; i < len(path); i++ {
		if path[i] != '.' {
			continue
		}
		name := path[start:i]
		start = i + 1
		next, ok := t.fields[name].(*table)
		switch {
		case ok:
			next = &table{list: slices.Clone(next.list), fields: maps.Clone(next.fields), array: next.array}
			if next.fields == nil {
				next.fields = map[string]value{}
			}
		case t.fields[name] != nil:
			return raise("The key '%s' could not be used as a serialize value. Subkey '%s' is not a table. It's %s", path, name, luaString(t.fields[name]))
		default:
			next = newFields(map[string]value{})
		}
		t.fields[name] = next
		t = next
	}
	if v == nil {
		delete(t.fields, path[start:])
	} else {
		t.fields[path[start:]] = v
	}
	return nil
}

func (q *request) triesTable() *table { return tabled(q.triesList()).(*table) }

func (q *request) triesList() *table {
	list := &table{list: make([]value, 0, len(q.tries)), array: true}
	for _, t := range q.tries {
		one := object{
			{"balancer_latency", math.Trunc(float64(t.latency) / float64(time.Millisecond))}, {"balancer_latency_ns", float64(t.latency)},
			{"balancer_start", float64(t.start.UnixMilli())}, {"balancer_start_ns", float64(t.start.UnixNano())},
			{"code", nil}, {"ip", t.ip}, {"port", float64(t.port)}, {"state", nil},
		}
		if t.state != "" {
			one.set("code", float64(t.code))
			one.set("state", t.state)
		}
		list.list = append(list.list, one)
	}
	return list
}

func stringList(list []string) *table {
	t := newList()
	for _, s := range list {
		t.list = append(t.list, s)
	}
	return t
}

// listed is a list of texts; nil for none.
func listed(list []string) value {
	if list == nil {
		return nil
	}
	return stringList(list)
}

// named is a text that can be missing.
func named(s string) value {
	if s == "" {
		return nil
	}
	return s
}

func routeTable(r *Route) *table     { return routeObject(r).table() }
func serviceTable(s *Service) *table { return serviceObject(s).table() }

// printedOnce is the JSON of a route or service, made once.
func printedOnce[T any](g *generation, of *T, object func(*T) object) printed {
	if text, ok := g.printed.Load(of); ok {
		return text.(printed)
	}
	text := printed(appendJSON(nil, object(of)))
	g.printed.Store(of, text)
	return text
}

func routeObject(r *Route) object {
	var headers, service value
	if r.Headers != nil {
		t := map[string]value{}
		for name, values := range r.Headers {
			t[name] = stringList(values)
		}
		headers = newFields(t)
	}
	if r.Service != nil {
		service = object{{"id", r.Service.ID}}
	}
	return object{
		{"created_at", float64(r.CreatedAt)}, {"headers", headers}, {"hosts", listed(r.Hosts)},
		{"https_redirect_status_code", float64(r.HTTPSRedirectStatusCode)}, {"id", r.ID}, {"methods", listed(r.Methods)}, {"name", named(r.Name)},
		{"path_handling", r.PathHandling}, {"paths", listed(r.Paths)}, {"preserve_host", r.PreserveHost}, {"protocols", listed(r.Protocols)},
		{"regex_priority", float64(r.RegexPriority)}, {"request_buffering", r.RequestBuffering}, {"response_buffering", r.ResponseBuffering},
		{"service", service}, {"snis", listed(r.SNIs)}, {"strip_path", r.StripPath}, {"tags", listed(r.Tags)},
		{"updated_at", float64(r.UpdatedAt)}, {"ws_id", WorkspaceID},
	}
}

func serviceObject(s *Service) object {
	return object{
		{"connect_timeout", float64(s.ConnectTimeout)}, {"created_at", float64(s.CreatedAt)}, {"enabled", s.Enabled}, {"host", s.Host}, {"id", s.ID},
		{"name", named(s.Name)}, {"path", named(s.Path)}, {"port", float64(s.Port)}, {"protocol", s.Protocol}, {"read_timeout", float64(s.ReadTimeout)},
		{"retries", float64(s.Retries)}, {"tags", listed(s.Tags)}, {"updated_at", float64(s.UpdatedAt)}, {"write_timeout", float64(s.WriteTimeout)},
		{"ws_id", WorkspaceID},
	}
}
