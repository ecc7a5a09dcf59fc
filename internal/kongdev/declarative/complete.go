package declarative

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"kong-go-plugins/schema"
)

// PluginNames are the names of the configured plugins, each once, sorted.
func (d *Config) PluginNames() []string {
	names := map[string]bool{}
	for _, p := range d.Plugins {
		if IsPluginName(p.Name) || len(d.mistakes) == 0 { // other names are mistakes, or become one
			names[p.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Schemas are the schemas of all plugins that can be configured, by name.
type Schemas struct {
	Running map[string]schema.Plugin // as their servers' query commands print them
	Inside  map[string]schema.Plugin // of plugins inside the gateway, which need no server; a running one of the name goes first
}

// CompletePlugins checks every plugin configuration against the schema that
// its plugin dumped, as Kong's control plane does, and fills the defaults in.
// The error is Problems, those of the file among them; see Draft.
func (d *Config) CompletePlugins(schemas Schemas) error {
	problems := slices.Clone(d.mistakes)
	for _, p := range d.Plugins {
		if slices.ContainsFunc(d.mistakes, func(m Problem) bool {
			return m.Field == p.at+".name" || m.Field == p.at+".config" || m.Field == p.at && strings.HasPrefix(m.Text, "name: ")
		}) {
			continue // there is nothing to check
		}
		problems = append(problems, p.complete(schemas)...)
	}
	return problems.orNil()
}

func (p *Plugin) complete(schemas Schemas) Problems {
	var problems Problems
	fail := func(line int, field, format string, args ...any) {
		problems = append(problems, Problem{File: p.File, Line: line, Field: p.at + field, Text: fmt.Sprintf(format, args...)})
	}
	s, ok := schemas.Running[p.Name]
	if !ok {
		s, ok = schemas.Inside[p.Name]
	}
	if !ok {
		fail(p.Line, ".name", "plugin '%s' not enabled; add it to the 'plugins' configuration property (%s)", Clip(p.Name), p.notEnabled(slices.Sorted(maps.Keys(schemas.Running)), slices.Sorted(maps.Keys(schemas.Inside))))
		return problems
	}
	scopes := map[string]bool{"route": p.Route != nil, "service": p.Service != nil, "consumer": p.Consumer != nil}
	for _, scope := range s.Forbidden {
		if scopes[scope] {
			fail(p.Line, "."+scope, "value must be null (plugin %q takes no %s)", p.Name, scope)
		}
	}
	allowed, fallback := s.Protocols, s.DefaultProtocols
	if allowed == nil {
		allowed = []string{"grpc", "grpcs", "http", "https"}
	}
	if fallback == nil {
		fallback = allowed
	}
	if len(p.Protocols) == 0 {
		p.Protocols = slices.Clone(fallback)
	}
	for _, protocol := range p.Protocols {
		if !slices.Contains(allowed, protocol) {
			fail(p.Line, ".protocols", "expected one of: %s", strings.Join(allowed, ", "))
			break
		}
	}
	config, err := s.Complete(p.Config)
	if err != nil {
		for _, e := range schema.Errors(err) {
			text := e.Text
			if e.Hint != "" {
				text += " (" + e.Hint + ")"
			}
			field := ".config"
			if e.Field != "" {
				field += "." + e.Field
			}
			fail(p.configLine(e.Field), field, "%s", text)
		}
		return problems
	}
	withoutEmptyLists(s.Fields, config)
	p.Config = config
	return problems
}

// notEnabled is the remedy for a plugin that no server offers.
func (p *Plugin) notEnabled(offered, inside []string) string {
	if IsLuaPlugin(p.Name) {
		return "it is written in Lua and part of Kong; kongdev runs external plugins only: remove it from this file"
	}
	if len(offered) == 0 && strings.HasPrefix(p.Name, insidePrefix) {
		return "no plugin server is running" + DidYouMean(p.Name, inside) + notOurs(p.Name, inside)
	}
	if len(offered) == 0 {
		return "no plugin server is running; name the folder with its binary by -plugins"
	}
	return fmt.Sprintf("running are: %s%s; add its binary to the folder named by -plugins",
		strings.Join(offered, ", "), DidYouMean(p.Name, slices.Concat(inside, offered))) + notOurs(p.Name, inside)
}

// configLine finds the line of a path below config, like nodes[0].name: the
// value's, or that of the nearest value around it.
func (p *Plugin) configLine(path string) int {
	line, n := p.Line, p.node
	if n != nil {
		line = n.Line
	}
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		n = followAlias(n)
		if n == nil {
			return line
		}
		var next *yaml.Node
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == part {
					line, next = n.Content[i].Line, n.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.Content) {
				line, next = n.Content[i].Line, n.Content[i]
			}
		}
		if next == nil {
			return line
		}
		n = next
	}
	return line
}

// Substitute replaces the address of a built-in server, like
// http://collector.kongdev, in every string of the plugins' configurations: a
// plugin is a process of its own and needs a real one. addresses maps the one
// to the other.
func (d *Config) Substitute(addresses map[string]string) {
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			for from, to := range addresses {
				rest, ok := strings.CutPrefix(v, from)
				rest = strings.TrimPrefix(rest, ":80")
				if ok && (rest == "" || strings.ContainsRune("/?#", rune(rest[0]))) {
					return strings.TrimSuffix(to, "/") + rest
				}
			}
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = walk(v[k])
			}
		}
		return v
	}
	for _, p := range d.Plugins {
		walk(p.Config)
	}
}
