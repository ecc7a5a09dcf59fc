package kongdev

import (
	"strings"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/lua"
)

// contextMethods are kong.ctx.shared and kong.nginx.
var contextMethods = map[string]pdkMethod{ // read-only
	"kong.ctx.shared.set": {anyPhase, true, pairCall(func(q *request, key string, v lua.Value) error {
		q.shared.set(key, v)
		return nil
	})},
	"kong.ctx.shared.get": {anyPhase, true, valueCall(func(q *request, key string) lua.Value { return q.shared.get(key) })},
	"kong.nginx.set_ctx": {anyPhase, true, pairCall(func(q *request, key string, v lua.Value) error {
		q.setContext(key, v)
		return nil
	})},
	"kong.nginx.get_ctx": {anyPhase, true, valueCall(func(q *request, key string) lua.Value { return q.context(key) })},
	"kong.nginx.get_var": {anyPhase, false, namedCall(func(q *request, name string) (lua.Value, error) { return q.variable(name), nil })},
	"kong.nginx.get_tls1_version_str": {anyPhase, true, textCall(func(q *request) (lua.Value, error) {
		if q.phase == phaseLog { // in its timer there is no connection
			return nil, nil
		}
		return tlsVersion(q.in.TLS), nil
	})},
	"kong.nginx.get_subsystem": {anyPhase, true, textCall(func(*request) (lua.Value, error) { return "http", nil })},
	"kong.nginx.req_start_time": {anyPhase, true, func(ev *event, _ []byte) ([]byte, error) {
		return encodeNumber(float64(ev.req.start) / 1000), nil
	}},
}

// valueCall takes a String and answers with a Value.
func valueCall(f func(q *request, key string) lua.Value) func(*event, []byte) ([]byte, error) {
	return func(ev *event, args []byte) ([]byte, error) {
		key, err := textArg(args)
		if err != nil {
			return nil, err
		}
		return lua.AppendValue(nil, f(ev.req, key)), nil
	}
}

// setContext is ngx.ctx[key] = v. Some keys are Kong's own, and plugins use
// that: buffered_proxying switches buffering, delayed_response answers.
func (q *request) setContext(key string, v lua.Value) {
	switch key {
	case "buffered_proxying":
		q.ctx.bufferedProxying = v
	case "delayed_response":
		q.ctx.delayed = v
	case "authenticated_consumer":
		q.ctx.consumer = v
	case "authenticated_credential":
		q.ctx.credential = v
	case "KONG_EXITED":
		q.ctx.exited = truthy(v)
	case "KONG_PROXIED":
		q.ctx.proxied = truthy(v)
	case "KONG_UNEXPECTED":
		q.ctx.unexpected = truthy(v)
	default:
		if q.ctx.extra == nil {
			q.ctx.extra = map[string]lua.Value{}
		}
		if v == nil {
			delete(q.ctx.extra, key)
			return
		}
		q.ctx.extra[key] = v
	}
}

// context is ngx.ctx[key].
func (q *request) context(key string) lua.Value {
	if v, set := q.ctx.extra[key]; set {
		return v
	}
	flag := func(b bool) lua.Value {
		if b {
			return true
		}
		return nil
	}
	switch key {
	case "buffered_proxying":
		return q.ctx.bufferedProxying
	case "delayed_response":
		return q.ctx.delayed
	case "authenticated_consumer":
		return q.ctx.consumer
	case "authenticated_credential":
		return q.ctx.credential
	case "KONG_EXITED":
		return flag(q.ctx.exited)
	case "KONG_PROXIED":
		return flag(q.ctx.proxied)
	case "KONG_UNEXPECTED":
		return flag(q.ctx.unexpected)
	case "KONG_PROCESSING_START":
		return float64(q.start)
	case "KONG_PHASE":
		return float64(q.phase)
	case "workspace":
		return declarative.WorkspaceID
	case "plugin_id":
		return q.ctx.pluginID
	case "buffered_status":
		if q.buffered.done {
			return float64(q.buffered.status)
		}
	case "buffered_body":
		if q.buffered.done {
			return string(q.buffered.body)
		}
	case "KONG_WAITING_TIME":
		return duration(q.times.waiting)
	case "KONG_PROXY_LATENCY":
		return duration(q.times.proxyLatency)
	case "KONG_RESPONSE_LATENCY":
		return duration(q.times.responseLatency)
	case "KONG_RECEIVE_TIME":
		return duration(q.times.receive)
	case "delay_response":
		return flag(q.phase == phaseAccess)
	case "host_port":
		return float64(q.port)
	case "balancer_data":
		return q.balancerData()
	case "request_uri", "scheme", "route", "service":
		switch {
		case q.phase == phaseRewrite:
		case key == "request_uri":
			return q.uri
		case key == "scheme":
			return q.scheme()
		case key == "route" && q.route() != nil:
			return tableOf(routeFields(q.route()))
		case key == "service" && q.service() != nil:
			return tableOf(serviceFields(q.service()))
		}
	}
	return nil
}

// duration is a number of milliseconds that may not be known yet.
func duration(ms int64) lua.Value {
	if ms < 0 {
		return nil
	}
	return float64(ms)
}

// balancerData is what Kong keeps about the target from routing on.
func (q *request) balancerData() lua.Value {
	if !q.ctx.hasBalancerData {
		return nil
	}
	kind := "name"
	if q.byAddress {
		kind = "ipv4"
		if s := q.service(); s != nil && strings.Contains(s.Host, ":") {
			kind = "ipv6"
		}
	}
	retries, connect, write, read := 5, 60000, 60000, 60000
	if s := q.service(); s != nil {
		retries, connect, write, read = s.Retries, s.ConnectTimeout, s.WriteTimeout, s.ReadTimeout
	}
	return lua.NewFields(map[string]lua.Value{
		"scheme": q.upstreamScheme, "type": kind, "host": q.target.host, "port": float64(q.target.port), "try_count": float64(len(q.tries)),
		"retries": float64(retries), "connect_timeout": float64(connect), "send_timeout": float64(write), "read_timeout": float64(read),
		"tries": q.triesTable(),
	})
}
