package kongdev

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/header"
	"kong-go-plugins/internal/kongdev/lua"
)

// A serialized is the answer to kong.log.serialize for one request, made when
// the first handler asks, from the request as it ended.
type serialized struct {
	once   sync.Once
	base   *request
	answer []byte
}

func (s *serialized) message() []byte {
	s.once.Do(func() {
		buf := s.base.gw.buffers.Get().(*[16 << 10]byte)
		defer s.base.gw.buffers.Put(buf)
		entry := s.base.appendLogEntry(buf[:0])
		s.answer = protowire.AppendBytes(append(make([]byte, 0, len(entry)+6), 0x0a), entry)
	})
	return s.answer
}

// appendLogEntry prints what kong.log.serialize shows.
func (q *request) appendLogEntry(dst []byte) []byte {
	if len(q.serializeValues) == 0 {
		p := jsonPrinter{out: append(dst, '{'), printed: &q.gen.printed}
		q.logEntry(&p)
		return append(p.out, '}')
	}
	t, err := q.serialize()
	if err != nil { // logPhase has looked before
		return dst
	}
	return lua.AppendJSON(dst, t)
}

// A serializeValue is what kong.log.set_serialize_value was called with.
type serializeValue struct {
	key string
	v   lua.Value
}

// serialize is what kong.log.serialize shows. It fails when a value of
// set_serialize_value does not fit in.
func (q *request) serialize() (*lua.Table, error) {
	t := tableOf(q.logEntry)
	for _, s := range q.serializeValues {
		if err := setPath(t, s.key, s.v); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// logEntry tells what Kong itself shows in kong.log.serialize.
func (q *request) logEntry(w fieldWriter) {
	if c, ok := q.ctx.credential.(*lua.Table); ok {
		w.open("authenticated_entity")
		w.value("consumer_id", c.Get("consumer_id"))
		w.value("id", c.Get("id"))
		w.close()
	}
	w.text("client_ip", q.clientIP)
	w.value("consumer", q.ctx.consumer)
	q.logLatencies(w)
	q.logRequest(w)
	w.open("response")
	w.headers("headers", q.shownHeaders(defaultMax))
	w.number("size", float64(q.out.sent))
	w.number("status", float64(q.status))
	w.close()
	if r := q.route(); r != nil {
		w.once("route", r, routeFields(r))
	}
	if s := q.service(); s != nil {
		w.once("service", s, serviceFields(s))
	}
	source := "kong"
	if q.source() == "service" {
		source = "upstream"
	}
	w.text("source", source)
	w.number("started_at", float64(q.start))
	if q.ctx.hasBalancerData {
		w.openList("tries")
		for _, t := range q.tries {
			w.open("")
			t.fields(w)
			w.close()
		}
		w.closeList()
	}
	if q.upstreamStatus == "" && q.buffered.done {
		w.number("upstream_status", float64(q.buffered.status))
	} else {
		w.text("upstream_status", q.upstreamStatus)
	}
	upstreamURI := ""
	if q.upstreamPath != "" {
		upstreamURI = q.upstreamURI()
	}
	w.text("upstream_uri", upstreamURI)
	w.text("workspace", declarative.WorkspaceID)
	w.text("workspace_name", "default")
}

func (q *request) logLatencies(w fieldWriter) {
	kong := q.times.proxyLatency
	if kong < 0 {
		kong = max(q.times.responseLatency, 0)
	}
	w.open("latencies")
	w.number("kong", float64(kong))
	w.number("proxy", float64(q.times.waiting))
	w.number("receive", float64(max(q.times.receive, 0)))
	w.number("request", float64(max(q.times.logStart-q.start, 0)))
	w.close()
}

func (q *request) logRequest(w fieldWriter) {
	method, args := q.method, q.args
	if q.ctx.unexpected && q.in.ProtoMajor < 2 { // then Kong reads the request line again
		method = q.in.Method
		_, args, _ = strings.Cut(q.uri, "?")
	}
	length := int64(q.length)
	if q.body.received > 0 {
		length += q.body.received
	} else if q.in.ContentLength > 0 {
		length += q.in.ContentLength
	}
	w.open("request")
	w.headers("headers", redacted(q.headers, defaultMax))
	w.text("id", q.id)
	w.text("method", method)
	w.value("querystring", parseArgs(args, defaultMax))
	w.number("size", float64(length))
	if v := tlsVersion(q.in.TLS); v != nil {
		w.open("tls")
		w.value("cipher", q.tlsVar("cipher"))
		w.value("client_verify", q.tlsVar("client_verify"))
		w.value("version", v)
		w.close()
	}
	w.text("uri", q.uri)
	w.text("url", q.scheme()+"://"+q.host+":"+strconv.Itoa(q.port)+q.uri)
	w.close()
}

// redacted are the first max lines without the credentials in them.
func redacted(l header.List, max int) header.List {
	l = l[:min(max, len(l))]
	for _, key := range [...]string{"authorization", "proxy-authorization"} {
		if _, ok := l.Get(key); ok {
			l = slices.Clone(l)
			l.Set(key, "REDACTED")
		}
	}
	return l
}

// setPath sets a value at a path of names with dots between, and makes the
// tables on its way. Kong raises when something else stands in the way. The
// first byte of the path is never a dot between names.
func setPath(t *lua.Table, path string, v lua.Value) error {
	start := 0
	for i := 1; i < len(path); i++ {
		if path[i] != '.' {
			continue
		}
		name := path[start:i]
		start = i + 1
		next, ok := t.Fields[name].(*lua.Table)
		switch {
		case ok:
			next = &lua.Table{List: slices.Clone(next.List), Fields: maps.Clone(next.Fields), Array: next.Array}
			if next.Fields == nil {
				next.Fields = map[string]lua.Value{}
			}
		case t.Fields[name] != nil:
			return lua.Raise("The key '%s' could not be used as a serialize value. Subkey '%s' is not a table. It's %s", path, name, lua.ToString(t.Fields[name]))
		default:
			next = lua.NewFields(map[string]lua.Value{})
		}
		t.Fields[name] = next
		t = next
	}
	if v == nil {
		delete(t.Fields, path[start:])
	} else {
		t.Fields[path[start:]] = v
	}
	return nil
}

func (q *request) triesTable() *lua.Table {
	list := lua.NewList()
	for _, t := range q.tries {
		list.List = append(list.List, tableOf(t.fields))
	}
	return list
}

// fields are a try's.
func (t *try) fields(w fieldWriter) {
	w.number("balancer_latency", math.Trunc(float64(t.latency)/float64(time.Millisecond)))
	w.number("balancer_latency_ns", float64(t.latency))
	w.number("balancer_start", float64(t.start.UnixMilli()))
	w.number("balancer_start_ns", float64(t.start.UnixNano()))
	if t.state != "" {
		w.number("code", float64(t.code))
	}
	w.text("ip", t.ip)
	w.number("port", float64(t.port))
	if t.state != "" {
		w.text("state", t.state)
	}
}

func stringList(list []string) *lua.Table {
	t := lua.NewList()
	for _, s := range list {
		t.List = append(t.List, s)
	}
	return t
}

// listed is a list of texts; nil for none.
func listed(list []string) lua.Value {
	if list == nil {
		return nil
	}
	return stringList(list)
}

// named is a text that can be missing.
func named(s string) lua.Value {
	if s == "" {
		return nil
	}
	return s
}

// routeFields tells a route's fields.
func routeFields(r *declarative.Route) func(fieldWriter) {
	return func(w fieldWriter) {
		w.number("created_at", float64(r.CreatedAt))
		if r.Headers != nil {
			headers := map[string]lua.Value{}
			for name, values := range r.Headers {
				headers[name] = stringList(values)
			}
			w.value("headers", lua.NewFields(headers))
		}
		w.value("hosts", listed(r.Hosts))
		w.number("https_redirect_status_code", float64(r.HTTPSRedirectStatusCode))
		w.text("id", r.ID)
		w.value("methods", listed(r.Methods))
		w.value("name", named(r.Name))
		w.text("path_handling", r.PathHandling)
		w.value("paths", listed(r.Paths))
		w.flag("preserve_host", r.PreserveHost)
		w.value("protocols", listed(r.Protocols))
		w.number("regex_priority", float64(r.RegexPriority))
		w.flag("request_buffering", r.RequestBuffering)
		w.flag("response_buffering", r.ResponseBuffering)
		if r.Service != nil {
			w.open("service")
			w.text("id", r.Service.ID)
			w.close()
		}
		w.value("snis", listed(r.SNIs))
		w.flag("strip_path", r.StripPath)
		w.value("tags", listed(r.Tags))
		w.number("updated_at", float64(r.UpdatedAt))
		w.text("ws_id", declarative.WorkspaceID)
	}
}

// serviceFields tells a service's fields.
func serviceFields(s *declarative.Service) func(fieldWriter) {
	return func(w fieldWriter) {
		w.number("connect_timeout", float64(s.ConnectTimeout))
		w.number("created_at", float64(s.CreatedAt))
		w.flag("enabled", s.Enabled)
		w.text("host", s.Host)
		w.text("id", s.ID)
		w.value("name", named(s.Name))
		w.value("path", named(s.Path))
		w.number("port", float64(s.Port))
		w.text("protocol", s.Protocol)
		w.number("read_timeout", float64(s.ReadTimeout))
		w.number("retries", float64(s.Retries))
		w.value("tags", listed(s.Tags))
		w.number("updated_at", float64(s.UpdatedAt))
		w.number("write_timeout", float64(s.WriteTimeout))
		w.text("ws_id", declarative.WorkspaceID)
	}
}
