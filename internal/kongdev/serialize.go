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
			s.text = appendJSON(nil, t)
		}
	})
	return s.text
}

// A serializeValue is what kong.log.set_serialize_value was called with.
type serializeValue struct {
	key string
	v   value
}

// serialize is the table of kong.log.serialize.
//
// It fails when a value of set_serialize_value does not fit in.
func (q *request) serialize() (*table, error) {
	headers := q.headers.table(defaultMax)
	for _, secret := range []string{"authorization", "proxy-authorization"} {
		if headers.fields[secret] != nil {
			headers.fields[secret] = "REDACTED"
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
	var session value
	if v := tlsVersion(q.in.TLS); v != nil {
		session = newFields(map[string]value{"version": v, "cipher": q.tlsVar("cipher"), "client_verify": q.tlsVar("client_verify")})
	}
	method, args := q.method, q.args
	if q.ctx.unexpected && q.in.ProtoMajor < 2 { // then Kong reads the request line again
		method = q.in.Method
		_, args, _ = strings.Cut(q.uri, "?")
	}
	root := map[string]value{
		"request": newFields(map[string]value{
			"id": q.id, "uri": q.uri, "url": q.scheme() + "://" + host + ":" + port + q.uri, "method": method, "tls": session,
			"querystring": parseArgs(args, defaultMax), "headers": headers, "size": float64(length),
		}),
		"response": newFields(map[string]value{
			"status": float64(q.status), "headers": q.responseTable(defaultMax), "size": float64(q.out.sent),
		}),
		"latencies": newFields(map[string]value{
			"kong": float64(kong), "proxy": float64(q.times.waiting), "request": float64(max(q.times.logStart-q.start, 0)), "receive": float64(max(q.times.receive, 0)),
		}),
		"upstream_uri": upstreamURI, "upstream_status": upstreamStatus,
		"client_ip": q.clientIP, "started_at": float64(q.start), "source": source,
		"workspace": WorkspaceID, "workspace_name": "default",
	}
	if q.ctx.hasBalancerData {
		root["tries"] = q.triesTable()
	}
	if c, ok := q.ctx.credential.(*table); ok {
		entity := map[string]value{}
		for _, name := range []string{"id", "consumer_id"} {
			if v := c.get(name); v != nil {
				entity[name] = v
			}
		}
		root["authenticated_entity"] = newFields(entity)
	}
	if r := q.route(); r != nil {
		root["route"] = routeTable(r)
	}
	if s := q.service(); s != nil {
		root["service"] = serviceTable(s)
	}
	if q.ctx.consumer != nil {
		root["consumer"] = q.ctx.consumer
	}
	t := newFields(root)
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

func (q *request) triesTable() *table {
	list := newList()
	for _, t := range q.tries {
		one := map[string]value{
			"balancer_start": float64(t.start.UnixMilli()), "balancer_start_ns": float64(t.start.UnixNano()),
			"ip": t.ip, "port": float64(t.port),
			"balancer_latency": math.Trunc(float64(t.latency) / float64(time.Millisecond)), "balancer_latency_ns": float64(t.latency),
		}
		if t.state != "" {
			one["state"], one["code"] = t.state, float64(t.code)
		}
		list.list = append(list.list, newFields(one))
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

func putStrings(t map[string]value, name string, list []string) {
	if list != nil {
		t[name] = stringList(list)
	}
}

func routeTable(r *Route) *table {
	t := map[string]value{
		"id": r.ID, "regex_priority": float64(r.RegexPriority), "strip_path": r.StripPath, "preserve_host": r.PreserveHost,
		"https_redirect_status_code": float64(r.HTTPSRedirectStatusCode), "path_handling": r.PathHandling,
		"request_buffering": r.RequestBuffering, "response_buffering": r.ResponseBuffering,
		"created_at": float64(r.CreatedAt), "updated_at": float64(r.UpdatedAt), "ws_id": WorkspaceID,
	}
	if r.Name != "" {
		t["name"] = r.Name
	}
	putStrings(t, "protocols", r.Protocols)
	putStrings(t, "methods", r.Methods)
	putStrings(t, "hosts", r.Hosts)
	putStrings(t, "paths", r.Paths)
	putStrings(t, "snis", r.SNIs)
	putStrings(t, "tags", r.Tags)
	if r.Headers != nil {
		headers := map[string]value{}
		for name, values := range r.Headers {
			headers[name] = stringList(values)
		}
		t["headers"] = newFields(headers)
	}
	if r.Service != nil {
		t["service"] = newFields(map[string]value{"id": r.Service.ID})
	}
	return newFields(t)
}

func serviceTable(s *Service) *table {
	t := map[string]value{
		"id": s.ID, "protocol": s.Protocol, "host": s.Host, "port": float64(s.Port), "retries": float64(s.Retries),
		"connect_timeout": float64(s.ConnectTimeout), "read_timeout": float64(s.ReadTimeout), "write_timeout": float64(s.WriteTimeout),
		"enabled": s.Enabled, "created_at": float64(s.CreatedAt), "updated_at": float64(s.UpdatedAt), "ws_id": WorkspaceID,
	}
	if s.Name != "" {
		t["name"] = s.Name
	}
	if s.Path != "" {
		t["path"] = s.Path
	}
	putStrings(t, "tags", s.Tags)
	return newFields(t)
}
