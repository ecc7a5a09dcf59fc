package kongdev

import (
	"encoding/json"
	"fmt"
	"slices"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/schema"
)

// A standIn is a plugin inside kongdev that takes the place of one of Kong's own
// where a test needs another plugin beside the external ones. Its name says
// that it is kongdev's; its priority is that of the plugin it stands for.
type standIn struct {
	priority int
	phases   []string // access, header_filter
	schema   func() schema.Plugin
	build    func(config json.RawMessage, d *declarative.Config) (standInHandlers, error)
}

// standInHandlers are a configured stand-in; a nil one is not there. access
// answers the request by returning an *exitSignal.
type standInHandlers struct {
	access       func(q *request) error
	headerFilter func(q *request)
}

const standInVersion = "1.0.0"

var standIns = map[string]standIn{ // read-only
	"kongdev-acl":       aclStandIn,
	"kongdev-auth":      authStandIn,
	"kongdev-headers":   headersStandIn,
	"kongdev-terminate": terminateStandIn,
}

// IsStandIn reports whether the name is that of a plugin inside kongdev, which
// has no binary and no process.
func IsStandIn(name string) bool {
	_, ok := standIns[name]
	return ok
}

// WithoutStandIns are the names less those of plugins inside kongdev: the plugins
// that need a binary.
func WithoutStandIns(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), IsStandIn)
}

// StandIns are the descriptions of the plugins inside kongdev by name.
func StandIns() map[string]external.Info {
	infos := map[string]external.Info{}
	for name, s := range standIns {
		infos[name] = external.Info{Name: name, Version: standInVersion, Priority: s.priority, Phases: s.phases, Schema: s.schema().DumpSchema(name)}
	}
	return infos
}

// standInSchemas are the schemas of the plugins inside kongdev by name.
func standInSchemas() map[string]schema.Plugin {
	schemas := map[string]schema.Plugin{}
	for name, s := range standIns {
		schemas[name] = s.schema()
	}
	return schemas
}

// buildStandIn makes the handlers of an entity whose plugin is a stand-in.
func buildStandIn(e *declarative.Plugin, d *declarative.Config) (h standInHandlers, err error) {
	s, ok := standIns[e.Name]
	if !ok {
		return h, nil
	}
	config, err := s.schema().Complete(e.Config) // done already for a loaded file; entities made in Go may lack defaults
	if err == nil {
		h, err = s.build(lua.AppendJSON(nil, config), d)
	}
	if err != nil {
		return h, fmt.Errorf("%s:%d: plugin %q: %w", e.File, e.Line, e.Name, err)
	}
	return h, nil
}

// runStandIn is handleEvent for a plugin that lives here.
func (q *request) runStandIn(conf *pluginConfig, phase string) error {
	if conf.builtIn.access == nil || phase != "access" {
		return nil
	}
	trace := q.trace.event(conf, phase)
	err := conf.builtIn.access(q)
	trace.ended(err, true)
	return err
}

// headerFilters runs the header filters of the collected configurations, of the
// global ones when none were collected.
func (q *request) headerFilters() {
	confs := q.collected.headers
	if !q.collected.done {
		confs = q.gen.filters
	}
	if len(confs) == 0 {
		return
	}
	before := q.phase
	q.phase = phaseHeader
	for _, conf := range confs {
		if conf.builtIn.headerFilter != nil {
			trace := q.trace.event(conf, "header_filter")
			conf.builtIn.headerFilter(q)
			trace.ended(nil, true)
		}
	}
	q.phase = before
}
