package kongdev

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/lua"
)

// A plugin is an external plugin as its dump described it.
type plugin struct {
	external.Info
	socket string // "" for a plugin inside kongdev
	phases map[string]bool
}

// A pluginConfig is one plugin entity, ready to be sent to its server.
type pluginConfig struct {
	entity  *declarative.Plugin
	plugin  *plugin
	builtIn standInHandlers // of a plugin inside kongdev
}

// json is the configuration as StartInstance carries it: the entity's config
// with Kong's own keys beside it.
func (c *pluginConfig) json(seq int64) []byte {
	e := c.entity
	config := maps.Clone(e.Config)
	if config == nil {
		config = map[string]any{}
	}
	var route, service, consumer string
	if e.Route != nil {
		route = e.Route.ID
		config["route_id"] = route
	}
	if e.Service != nil {
		service = e.Service.ID
		config["service_id"] = service
	}
	if e.Consumer != nil {
		consumer = e.Consumer.ID
		config["consumer_id"] = consumer
	}
	if e.InstanceName != "" {
		config["plugin_instance_name"] = e.InstanceName
	}
	config["__plugin_id"] = e.ID
	config["__ws_id"] = declarative.WorkspaceID
	config["__key__"] = strings.Join([]string{"plugins", e.Name, route, service, consumer, "", declarative.WorkspaceID}, ":")
	config["__seq__"] = seq
	return lua.AppendJSON(nil, config)
}

// A scope is the part of an entity's key that choosing a configuration looks at.
type scope struct{ route, service, consumer string }

// An iterator is Kong's plugins iterator: the plugins in the order they run in,
// with their configurations by scope.
type iterator struct {
	plugins []*plugin
	configs map[string]map[scope]*pluginConfig // by plugin name
	sorted  []*pluginConfig                    // all, by entity id: the order in which they get their numbers
}

func newIterator(d *declarative.Config, plugins map[string]*plugin) *iterator {
	it := &iterator{configs: map[string]map[scope]*pluginConfig{}}
	for _, e := range d.Plugins {
		p := plugins[e.Name]
		if p == nil || !e.Enabled || !hasHTTP(e.Protocols) {
			continue
		}
		var s scope
		if e.Route != nil {
			s.route = e.Route.ID
		}
		if e.Service != nil {
			s.service = e.Service.ID
		}
		if e.Consumer != nil {
			s.consumer = e.Consumer.ID
		}
		if it.configs[p.Name] == nil {
			it.configs[p.Name] = map[scope]*pluginConfig{}
			it.plugins = append(it.plugins, p)
		}
		c := &pluginConfig{entity: e, plugin: p}
		it.configs[p.Name][s] = c
		it.sorted = append(it.sorted, c)
	}
	slices.SortFunc(it.plugins, func(a, b *plugin) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(b.Name, a.Name))
	})
	slices.SortFunc(it.sorted, func(a, b *pluginConfig) int { return strings.Compare(a.entity.ID, b.entity.ID) })
	return it
}

func hasHTTP(protocols []string) bool {
	return len(protocols) == 0 || slices.ContainsFunc(protocols, func(p string) bool {
		return p == "http" || p == "https" || p == "grpc" || p == "grpcs"
	})
}

// lookup finds a plugin's best configuration, the most specific scope first.
func (it *iterator) lookup(name, route, service, consumer string) *pluginConfig {
	configs := it.configs[name]
	for _, s := range [...]scope{
		{route, service, consumer}, {route, "", consumer}, {"", service, consumer}, {route, service, ""},
		{"", "", consumer}, {route, "", ""}, {"", service, ""}, {},
	} {
		if c := configs[s]; c != nil {
			return c
		}
	}
	return nil
}

// globals are the configurations without a scope of the plugins that have the phase.
func (it *iterator) globals(phase string) []*pluginConfig {
	var out []*pluginConfig
	for _, p := range it.plugins {
		if c := it.configs[p.Name][scope{}]; c != nil && p.phases[phase] {
			out = append(out, c)
		}
	}
	return out
}

// A worker is one of Kong's worker processes with one configuration.
type worker struct {
	id   int
	gen  *generation
	seqs map[*pluginConfig]int64 // __seq__ of this worker's copy of each configuration
	*workerMemory
}

// A workerMemory is what a worker process keeps when its configuration changes:
// connections, instances and counters.
type workerMemory struct {
	pools map[*plugin]*pool
	sent  map[*plugin]*atomic.Int64 // calls so far

	mu        sync.Mutex
	instances map[string]*instance // by plugin entity id
}

// rpc is the worker's line to a plugin server.
func (w *worker) rpc(p *plugin) *rpc { return &rpc{plugin: p, worker: w, pool: w.pools[p]} }

func (w *worker) sequence(p *plugin) int64 { return w.sent[p].Add(1) }
