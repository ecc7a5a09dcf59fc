package declarative

import (
	"fmt"
	"slices"
	"strings"
)

// pluginScope is where a plugin is written: in a service, a route, a consumer, or
// nowhere (the top level).
type pluginScope struct {
	service  *Service
	route    *Route
	consumer *Consumer
}

var pluginFields = []string{"name", "instance_name", "config", "enabled", "protocols", "service", "route", "consumer", "ordering"} // read-only

func (l *loader) plugin(o *fileObject, in pluginScope) {
	if o == nil {
		return
	}
	o.known(commonFields, pluginFields)
	p := &Plugin{
		Name:         o.str("name"),
		InstanceName: o.name("instance_name"),
		Enabled:      o.boolean("enabled", true),
		Protocols:    l.protocols(o, nil, false),
		Service:      in.service,
		Route:        in.route,
		Consumer:     in.consumer,
		Tags:         l.tags(o),
		Config:       map[string]any{},
		File:         l.doc.file,
		Line:         o.line,
		at:           o.at,
	}
	if !o.has("name") {
		o.fail("", "name: required field missing")
	}
	if p.node = o.fields["config"]; p.node != nil {
		switch config := o.value("config").(type) {
		case map[string]any:
			p.Config = config
		case []any:
			if len(config) > 0 {
				o.fail("config", "expected a record")
			}
		default:
			o.fail("config", "expected a record")
		}
	}
	o.isRecord("ordering")
	p.CreatedAt, p.UpdatedAt = l.times(o)
	p.ID = l.identify(o, "plugins", l.pluginKey(o, p.Name, in))
	l.unique(o, "plugins", "instance_name", p.InstanceName)

	if in.service != nil {
		l.nested(o, "service")
	} else {
		l.resolveService(o, func(s *Service) { p.Service = s })
	}
	if in.route != nil {
		l.nested(o, "route")
	} else {
		l.resolveRoute(o, func(r *Route) { p.Route = r })
	}
	if in.consumer != nil {
		l.nested(o, "consumer")
	} else {
		l.resolveConsumer(o, func(c *Consumer) { p.Consumer = c })
	}
	l.out.Plugins = append(l.out.Plugins, p)
}

// pluginKey is what Kong names a plugin's id after: its name and scope as they
// are written, with the id of the entity around it.
func (l *loader) pluginKey(o *fileObject, name string, in pluginScope) string {
	parts := []string{"plugins", "*", name}
	add := func(field, parentID string) {
		n := o.fields[field]
		switch s, isString := "", false; {
		case n == nil:
			parts = append(parts, parentID)
		default:
			if s, isString = stringValue(n); isString {
				parts = append(parts, s)
			}
		}
	}
	var route, service, consumer string
	if in.route != nil {
		route = in.route.ID
	}
	if in.service != nil {
		service = in.service.ID
	}
	if in.consumer != nil {
		consumer = in.consumer.ID
	}
	add("route", route)
	add("service", service)
	add("consumer", consumer)
	return strings.Join(parts, ":")
}

// uniquePlugins reports two configurations of one plugin for one scope that
// are written in different ways (ids do not show those).
func (l *loader) uniquePlugins() {
	first := map[string]*Plugin{}
	for _, p := range l.out.Plugins {
		if slices.ContainsFunc(l.doc.problems, func(q Problem) bool { return strings.HasPrefix(q.Field, p.at+".") }) {
			continue // its scope may be what is wrong
		}
		key := fmt.Sprintf("%s|%p|%p|%p", p.Name, p.Route, p.Service, p.Consumer)
		if other, ok := first[key]; ok && other.ID != p.ID {
			l.doc.problem(p.Line, p.at, "plugin %q is configured twice for the same scope (first in line %d); keep one", Clip(p.Name), other.Line)
			continue
		}
		first[key] = p
	}
}
