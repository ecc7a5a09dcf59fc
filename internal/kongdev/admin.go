package kongdev

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/schema"
)

// readOnly is the answer to whatever would change something.
const readOnly = "kongdev's Admin API is read-only: change the configuration file and start kongdev again"

const controlPrefix = "/kongdev/collector/"

// admin is the part of Kong's Admin API that reads. A new one is made for each
// configuration that is served.
type admin struct {
	config    *declarative.Config
	infos     map[string]external.Info
	nodeID    string
	proxy     string
	stats     func() Stats
	collector *collector.Collector // nil = none
}

// AdminHandler returns Kong's Admin API for what the gateway runs, reading only,
// in the shapes of Kong's JSON. Below /kongdev it tells more: /kongdev/stats
// has the gateway's counters and /kongdev/events what the collector received
// (which may be nil). What can be changed is the collector; see its ControlHandler.
func (g *Gateway) AdminHandler(collector *collector.Collector) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &admin{config: g.Config(), infos: g.Infos(), nodeID: g.nodeID, proxy: g.URL(), stats: g.Stats, collector: collector}
		a.ServeHTTP(w, r)
	})
}

// ServeHTTP implements http.Handler.
func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", serverHeader)
	w.Header().Set("X-Kongdev", "not for production")
	if a.collector != nil && strings.HasPrefix(r.URL.Path, controlPrefix) && r.Method != http.MethodOptions {
		a.collector.ControlHandler(controlPrefix).ServeHTTP(w, r)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		a.write(w, http.StatusMethodNotAllowed, map[string]any{"code": 12, "name": "operation unsupported", "message": readOnly})
		return
	}
	body, ok := a.find(strings.Split(strings.Trim(r.URL.Path, "/"), "/"))
	if !ok {
		a.write(w, http.StatusNotFound, map[string]any{"message": "Not found"})
		return
	}
	a.write(w, http.StatusOK, body)
}

func (a *admin) write(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"message":"An unexpected error occurred"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

// find returns what stands at a path.
func (a *admin) find(path []string) (any, bool) {
	switch path[0] {
	case "":
		return a.root(), true
	case "status":
		return a.status(), len(path) == 1
	case "plugins", "schemas":
		if body, ok := a.plugins(path); ok {
			return body, true
		}
	case "kongdev":
		return a.own(path[1:])
	}
	if path[0] == "schemas" {
		return nil, false
	}
	return a.entities(path)
}

// entities serves /kind, /kind/{name or id} and /kind/{name or id}/children.
func (a *admin) entities(path []string) (any, bool) {
	list, ok := a.lists()[path[0]]
	if !ok || len(path) > 3 {
		return nil, false
	}
	if len(path) == 1 {
		return adminPage(list), true
	}
	i := slices.IndexFunc(list, func(e adminEntity) bool { return e.id == path[1] || e.name != "" && e.name == path[1] })
	if i < 0 {
		return nil, false
	}
	if len(path) == 2 {
		return list[i].body, true
	}
	if path[0] == "routes" && path[2] == "service" {
		for _, r := range a.config.Routes {
			if r.ID == list[i].id && r.Service != nil {
				return serviceJSON(r.Service), true
			}
		}
		return nil, false
	}
	children, parent := a.lists()[path[2]], strings.TrimSuffix(path[0], "s")
	if path[0] == "upstreams" && path[2] == "targets" {
		children = a.targets()
	}
	if children == nil || path[2] == path[0] || !slices.Contains(childKinds[path[0]], path[2]) {
		return nil, false
	}
	return adminPage(slices.DeleteFunc(slices.Clone(children), func(e adminEntity) bool { return e.parents[parent] != list[i].id })), true
}

var childKinds = map[string][]string{ // read-only
	"services": {"routes", "plugins"}, "routes": {"plugins"}, "consumers": {"plugins"}, "upstreams": {"targets"},
}

// adminEntity is one object with what it is found by.
type adminEntity struct {
	id, name string
	parents  map[string]string // kind -> id
	body     map[string]any
}

func adminPage(list []adminEntity) map[string]any {
	data := make([]any, 0, len(list))
	for _, e := range list {
		data = append(data, e.body)
	}
	return map[string]any{"data": data, "next": nil}
}

func (a *admin) lists() map[string][]adminEntity {
	out := map[string][]adminEntity{"services": {}, "routes": {}, "consumers": {}, "plugins": {}, "upstreams": {}}
	for _, s := range a.config.Services {
		out["services"] = append(out["services"], adminEntity{id: s.ID, name: s.Name, body: serviceJSON(s)})
	}
	for _, r := range a.config.Routes {
		e := adminEntity{id: r.ID, name: r.Name, body: routeJSON(r), parents: map[string]string{}}
		if r.Service != nil {
			e.parents["service"] = r.Service.ID
		}
		out["routes"] = append(out["routes"], e)
	}
	for _, c := range a.config.Consumers {
		out["consumers"] = append(out["consumers"], adminEntity{id: c.ID, name: c.Username, body: map[string]any{
			"id": c.ID, "username": orNull(c.Username), "custom_id": orNull(c.CustomID), "tags": listOrNull(c.Tags),
			"created_at": c.CreatedAt, "updated_at": c.UpdatedAt,
		}})
	}
	for _, p := range a.config.Plugins {
		out["plugins"] = append(out["plugins"], a.plugin(p))
	}
	for _, u := range a.config.Upstreams {
		out["upstreams"] = append(out["upstreams"], adminEntity{id: u.ID, name: u.Name, body: map[string]any{
			"id": u.ID, "name": u.Name, "algorithm": u.Algorithm, "slots": u.Slots, "host_header": orNull(u.HostHeader), "tags": listOrNull(u.Tags),
			"created_at": u.CreatedAt, "updated_at": u.UpdatedAt,
		}})
	}
	return out
}

func (a *admin) targets() []adminEntity {
	var out []adminEntity
	for _, u := range a.config.Upstreams {
		for _, t := range u.Targets {
			out = append(out, adminEntity{id: t.ID, parents: map[string]string{"upstream": u.ID}, body: map[string]any{
				"id": t.ID, "target": t.Target, "weight": t.Weight, "tags": listOrNull(t.Tags), "upstream": map[string]any{"id": u.ID},
				"created_at": u.CreatedAt, "updated_at": u.UpdatedAt,
			}})
		}
	}
	return out
}

func serviceJSON(s *declarative.Service) map[string]any {
	return map[string]any{
		"id": s.ID, "name": orNull(s.Name), "protocol": s.Protocol, "host": s.Host, "port": s.Port, "path": orNull(s.Path),
		"retries": s.Retries, "connect_timeout": s.ConnectTimeout, "read_timeout": s.ReadTimeout, "write_timeout": s.WriteTimeout,
		"enabled": s.Enabled, "tags": listOrNull(s.Tags), "created_at": s.CreatedAt, "updated_at": s.UpdatedAt,
		"client_certificate": nil, "tls_verify": nil, "tls_verify_depth": nil, "ca_certificates": nil,
	}
}

func routeJSON(r *declarative.Route) map[string]any {
	body := map[string]any{
		"id": r.ID, "name": orNull(r.Name), "protocols": r.Protocols, "methods": listOrNull(r.Methods), "hosts": listOrNull(r.Hosts),
		"paths": listOrNull(r.Paths), "headers": nil, "snis": listOrNull(r.SNIs), "sources": nil, "destinations": nil,
		"strip_path": r.StripPath, "preserve_host": r.PreserveHost, "regex_priority": r.RegexPriority, "path_handling": r.PathHandling,
		"https_redirect_status_code": r.HTTPSRedirectStatusCode, "request_buffering": r.RequestBuffering,
		"response_buffering": r.ResponseBuffering, "tags": listOrNull(r.Tags), "service": nil, "created_at": r.CreatedAt, "updated_at": r.UpdatedAt,
	}
	if len(r.Headers) > 0 {
		body["headers"] = r.Headers
	}
	if r.Service != nil {
		body["service"] = map[string]any{"id": r.Service.ID}
	}
	return body
}

// plugin is a configuration; fields of its schema without a value are null.
func (a *admin) plugin(p *declarative.Plugin) adminEntity {
	config := map[string]any{}
	if s, err := schema.FromDump(a.infos[p.Name].Schema); err == nil {
		for _, f := range s.Fields {
			config[f.Name] = nil
		}
	}
	for k, v := range p.Config {
		config[k] = v
	}
	e := adminEntity{id: p.ID, name: p.InstanceName, parents: map[string]string{}, body: map[string]any{
		"id": p.ID, "name": p.Name, "instance_name": orNull(p.InstanceName), "config": config, "enabled": p.Enabled, "protocols": p.Protocols,
		"tags": listOrNull(p.Tags), "route": nil, "service": nil, "consumer": nil, "created_at": p.CreatedAt, "updated_at": p.UpdatedAt,
	}}
	scope := func(kind, id string) {
		e.parents[kind] = id
		e.body[kind] = map[string]any{"id": id}
	}
	if p.Route != nil {
		scope("route", p.Route.ID)
	}
	if p.Service != nil {
		scope("service", p.Service.ID)
	}
	if p.Consumer != nil {
		scope("consumer", p.Consumer.ID)
	}
	return e
}

// plugins serves what is told of plugins rather than of configurations.
func (a *admin) plugins(path []string) (any, bool) {
	name := ""
	switch {
	case len(path) == 2 && path[0] == "plugins" && path[1] == "enabled":
		return map[string]any{"enabled_plugins": slices.Sorted(maps.Keys(a.infos))}, true
	case len(path) == 3 && path[0] == "plugins" && path[1] == "schema", len(path) == 3 && path[0] == "schemas" && path[1] == "plugins":
		name = path[2]
	default:
		return nil, false
	}
	info, ok := a.infos[name]
	if !ok {
		return nil, false
	}
	var whole struct {
		Fields       json.RawMessage `json:"fields"`
		EntityChecks json.RawMessage `json:"entity_checks,omitempty"`
	}
	if err := json.Unmarshal(info.Schema, &whole); err != nil {
		return nil, false
	}
	return whole, true
}

func (a *admin) root() map[string]any {
	available := map[string]any{}
	for name, info := range a.infos {
		available[name] = map[string]any{"version": info.Version, "priority": info.Priority}
	}
	hostname, _ := os.Hostname()
	return map[string]any{
		"tagline":  "This is kongdev, a development gateway in the place of Kong; not for production",
		"version":  Version,
		"edition":  "kongdev",
		"hostname": hostname,
		"node_id":  a.nodeID,
		"plugins": map[string]any{
			"available_on_server": available, "disabled_on_server": map[string]any{}, "enabled_in_cluster": a.config.PluginNames(),
		},
		"configuration": map[string]any{"database": "off", "proxy_listen": []string{a.proxy}, "router_flavor": "traditional_compatible"},
		"pids":          map[string]any{"master": os.Getpid(), "plugin_servers": a.stats().PluginPIDs},
	}
}

func (a *admin) status() map[string]any {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return map[string]any{
		"database": map[string]any{"reachable": true},
		"server":   map[string]any{"total_requests": a.stats().Requests},
		"memory":   map[string]any{"kongdev": map[string]any{"heap": fmt.Sprintf("%.2f MiB", float64(mem.HeapAlloc)/(1<<20))}},
	}
}

// own serves what Kong has not.
func (a *admin) own(path []string) (any, bool) {
	if len(path) != 1 {
		return nil, false
	}
	switch {
	case path[0] == "stats":
		return a.stats(), true
	case path[0] == "events" && a.collector != nil:
		accepted, refused := a.collector.Total()
		ids, repeats := a.collector.Distinct()
		return map[string]any{
			"accepted": accepted, "refused_requests": refused, "distinct_transactions": ids, "repeated_transactions": repeats, "events": a.collector.Events(),
		}, true
	}
	return nil, false
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func listOrNull(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return list
}
