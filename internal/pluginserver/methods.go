package pluginserver

// A method is one function of Kong's PDK as the protocol names it.
type method struct {
	name   string
	phases phases // where Kong 3.9 allows it

	// behind reports whether Kong takes these encoded arguments without complaint and answers with nothing. Such a
	// call is answered locally at once, its frames leave with the next flight. nil: every call waits for its answer.
	behind func(args []byte) bool

	inLog     func(args []byte) bool // where phases has log: whether Kong takes these arguments there; nil = any
	keepsMemo bool                   // a setter that cannot change any answer that was prefetched
	changes   string                 // the only question whose answers a setter can change; "" = any question's
}

// servedInLog reports whether Kong serves the call in log. One that it refuses there does more harm than elsewhere: the
// saved request is left for another one to find.
func (m *method) servedInLog(args []byte) bool {
	return m.phases&log != 0 && (m.behind == nil || m.behind(args)) && (m.inLog == nil || m.inLog(args))
}

const (
	anywhere  = certificate | rewrite | access | response | preread | log
	onRequest = rewrite | access | response
	toService = rewrite | access
	fromAuth  = access | response | log
	answered  = response | log
)

// methods is every function in the protocol's service, by name; read-only.
// Sources: kong/pluginsocket.proto and the phase checks of kong/pdk in Kong 3.9.1; what the log phase serves from its
// snapshot was tried call by call.
var methods = index(
	method{name: "kong.client.get_ip", phases: onRequest | certificate | preread},
	method{name: "kong.client.get_forwarded_ip", phases: onRequest | certificate | preread},
	method{name: "kong.client.get_port", phases: onRequest | certificate | preread},
	method{name: "kong.client.get_forwarded_port", phases: onRequest | certificate | preread},
	method{name: "kong.client.get_credential", phases: fromAuth},
	method{name: "kong.client.load_consumer", phases: fromAuth, inLog: namesConsumer},
	method{name: "kong.client.get_consumer", phases: fromAuth},
	method{name: "kong.client.authenticate", phases: access, behind: anyArgs},
	method{name: "kong.client.get_protocol", phases: access | response},

	method{name: "kong.ctx.shared.set", phases: anywhere, behind: hasKey, changes: "kong.ctx.shared.get"},
	method{name: "kong.ctx.shared.get", phases: anywhere},

	method{name: "kong.ip.is_trusted", phases: anywhere},

	method{name: "kong.log.alert", phases: anywhere, behind: isLine, keepsMemo: true},
	method{name: "kong.log.crit", phases: anywhere, behind: isLine, keepsMemo: true},
	method{name: "kong.log.err", phases: anywhere, behind: isLine, keepsMemo: true},
	method{name: "kong.log.warn", phases: anywhere, behind: isLine, keepsMemo: true},
	method{name: "kong.log.notice", phases: anywhere, behind: isLine, keepsMemo: true},
	method{name: "kong.log.info", phases: anywhere, behind: isLine, keepsMemo: true},
	method{name: "kong.log.debug", phases: anywhere, behind: isLine, keepsMemo: true},
	method{name: "kong.log.set_serialize_value", phases: onRequest | log},
	method{name: "kong.log.serialize", phases: log},

	method{name: "kong.nginx.get_var", phases: onRequest | certificate | preread},
	method{name: "kong.nginx.get_tls1_version_str", phases: anywhere},
	method{name: "kong.nginx.set_ctx", phases: anywhere, behind: hasKey},
	method{name: "kong.nginx.get_ctx", phases: anywhere},
	method{name: "kong.nginx.req_start_time", phases: anywhere},
	method{name: "kong.nginx.get_subsystem", phases: anywhere},

	method{name: "kong.node.get_id", phases: anywhere},
	method{name: "kong.node.get_memory_stats", phases: anywhere},

	method{name: "kong.request.get_scheme", phases: onRequest},
	method{name: "kong.request.get_host", phases: onRequest},
	method{name: "kong.request.get_port", phases: onRequest | certificate},
	method{name: "kong.request.get_forwarded_scheme", phases: onRequest},
	method{name: "kong.request.get_forwarded_host", phases: onRequest},
	method{name: "kong.request.get_forwarded_port", phases: onRequest},
	method{name: "kong.request.get_http_version", phases: onRequest},
	method{name: "kong.request.get_method", phases: onRequest},
	method{name: "kong.request.get_path", phases: onRequest},
	method{name: "kong.request.get_path_with_query", phases: onRequest},
	method{name: "kong.request.get_raw_query", phases: onRequest},
	method{name: "kong.request.get_query_arg", phases: onRequest},
	method{name: "kong.request.get_query", phases: onRequest},
	method{name: "kong.request.get_header", phases: onRequest | log},
	method{name: "kong.request.get_headers", phases: onRequest | log},
	method{name: "kong.request.get_raw_body", phases: onRequest},
	method{name: "kong.request.get_uri_captures", phases: onRequest | log},

	method{name: "kong.response.get_status", phases: answered},
	method{name: "kong.response.get_header", phases: answered},
	method{name: "kong.response.get_headers", phases: answered},
	method{name: "kong.response.get_source", phases: answered},
	method{name: "kong.response.set_status", phases: onRequest, behind: isStatus},
	method{name: "kong.response.set_header", phases: onRequest, behind: isHeader},
	method{name: "kong.response.add_header", phases: onRequest, behind: isHeader},
	method{name: "kong.response.clear_header", phases: onRequest, behind: isHeaderName},
	method{name: "kong.response.set_headers", phases: onRequest, behind: areHeaders},
	method{name: exitMethod, phases: onRequest},

	method{name: "kong.router.get_route", phases: fromAuth},
	method{name: "kong.router.get_service", phases: fromAuth},

	// set_upstream answers whether the upstream exists, so it always waits.
	method{name: "kong.service.set_upstream", phases: access},
	method{name: "kong.service.set_target", phases: access, behind: isTarget},

	method{name: "kong.service.request.set_scheme", phases: toService, behind: isScheme},
	method{name: "kong.service.request.set_path", phases: toService, behind: isPath},
	method{name: "kong.service.request.set_raw_query", phases: toService, behind: anyArgs},
	method{name: "kong.service.request.set_method", phases: toService, behind: isMethod},
	method{name: "kong.service.request.set_query", phases: toService},
	method{name: "kong.service.request.set_header", phases: toService, behind: isHeader},
	method{name: "kong.service.request.add_header", phases: toService, behind: isHeader},
	method{name: "kong.service.request.clear_header", phases: toService, behind: isHeaderName},
	method{name: "kong.service.request.set_headers", phases: toService, behind: areHeaders},
	// set_raw_body reads the client's body first, which can fail: it waits.
	method{name: "kong.service.request.set_raw_body", phases: toService},

	// In log, the two that Kong serves there raise unless the request was buffered; the caller must know.
	method{name: "kong.service.response.get_status", phases: answered},
	method{name: "kong.service.response.get_header", phases: answered},
	method{name: "kong.service.response.get_headers", phases: response},
	method{name: "kong.service.response.get_raw_body", phases: answered},
)

const exitMethod = "kong.response.exit"

func index(list ...method) map[string]*method {
	m := make(map[string]*method, len(list))
	for i := range list {
		m[list[i].name] = &list[i]
	}
	return m
}
