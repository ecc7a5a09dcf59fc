package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ValidateFile checks the configurations of the plugin pluginName in a file: Kong's declarative format (kong.yml, also
// as decK writes it), KongPlugin and KongClusterPlugin manifests, one plugin entity, or its bare config; YAML with any
// number of documents, or JSON. It returns every problem, by line. A file without such a plugin is a problem.
//
// Values that are known only later count as right: vault references in referenceable fields, decK's ${{ env "X" }},
// and what a manifest takes from a Secret.
//
// check, which may be nil, is the plugin's own opinion of a configuration that the schema finds nothing wrong with: it
// is given the configuration as JSON, without what is known only later, and its error holds FieldErrors, or texts that
// begin with a field's name and a colon. A mistake of it that depends on what is known only later is a warning.
func (p Plugin) ValidateFile(pluginName, fileName string, data []byte, check func(config []byte) error) []Problem {
	v := validator{plugin: p, name: pluginName, check: check, yamlFile: yamlFile{name: fileName}}
	roots := v.documents(data)
	broken := len(v.problems) > 0
	for _, root := range roots {
		v.document(root, 0)
	}
	switch {
	case broken || v.found > 0 || len(v.problems) > 0:
	case len(v.others) > 0:
		text := fmt.Sprintf("no plugin %s in this file; it has %s", pluginName, strings.Join(v.others, ", "))
		if like := closest(pluginName, v.others); like != "" {
			text += fmt.Sprintf("; did you write %s for %s?", like, pluginName)
		}
		v.fail(1, "", "%s", text)
	default:
		v.fail(1, "", "no plugin %s in this file", pluginName)
	}
	return sorted(v.problems)
}

// A validator checks one file.
type validator struct {
	yamlFile
	plugin Plugin
	name   string
	check  func(config []byte) error
	found  int
	others []string // names of other plugins

	consumer int // line of what says that the configuration at hand is for one consumer, 0 when nothing does
}

// A laterValue stands for a value that a manifest takes from a Secret.
type laterValue struct{}

// isLater reports whether a value is known only when the file is used.
func isLater(v any) bool {
	if _, ok := v.(laterValue); ok {
		return true
	}
	s, ok := v.(string)
	return ok && strings.HasPrefix(s, "${{") && strings.HasSuffix(s, "}}")
}

// document finds out what a document is.
func (v *validator) document(root *yaml.Node, depth int) {
	root = resolve(root)
	if root == nil || depth > maxYAMLDepth || root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return
	}
	if root.Kind != yaml.MappingNode {
		v.fail(root.Line, "", "expected a kong.yml, a KongPlugin manifest or the config of a plugin")
		return
	}
	keys := make(map[string]*entry)
	for _, e := range v.entries(root, "", 0) {
		keys[e.key] = &e
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return keys[name] != nil && v.plugin.config().field([]string{name}) == nil
		})
	}
	switch {
	case has("_format_version", "_transform", "services", "routes", "plugins", "consumers", "consumer_groups"):
		v.kongYAML(keys, root)
	case has("apiVersion", "kind"):
		v.manifest(keys, root, depth)
	case has("config"):
		name := keys["name"]
		if name == nil || v.isOurs(name) {
			v.entity(root)
		}
	default:
		v.found++
		v.config(&entry{node: root, value: root}, "", nil, false)
	}
}

// isOurs reports whether a name is that of the plugin, and remembers others.
func (v *validator) isOurs(name *entry) bool {
	if name.value == nil || name.value.Kind != yaml.ScalarNode {
		return false
	}
	if name.value.Value == v.name {
		return true
	}
	const enough = 20
	if other := shown(name.value.Value); len(v.others) < enough && !slices.Contains(v.others, other) {
		v.others = append(v.others, other)
	}
	return false
}

// kongYAML checks a file in Kong's declarative format.
func (v *validator) kongYAML(keys map[string]*entry, root *yaml.Node) {
	switch version := keys["_format_version"]; {
	case version == nil:
		v.fail(root.Line, "_format_version", `%s; write _format_version: "3.0"`, textRequired)
	case version.value == nil || version.value.Kind != yaml.ScalarNode || version.value.ShortTag() != "!!str":
		v.fail(version.node.Line, "_format_version", `expected a string; write _format_version: "3.0"`)
	case !slices.Contains([]string{"1.1", "2.1", "3.0"}, version.value.Value):
		v.fail(version.node.Line, "_format_version", "expected one of: 1.1, 2.1, 3.0")
	}
	v.plugins(root, 0)
}

// plugins walks the entities that can hold plugins.
func (v *validator) plugins(n *yaml.Node, depth int) {
	const deepest = 4 // consumer groups or services, routes, plugins
	if depth > deepest {
		return
	}
	for _, e := range v.entries(n, "", depth) {
		if e.value == nil || e.value.Kind != yaml.SequenceNode {
			if e.key == "plugins" && e.value != nil && e.value.ShortTag() == "!!str" {
				v.fail(e.node.Line, e.key, "expected an array")
			}
			continue
		}
		switch e.key {
		case "plugins":
			for _, item := range e.value.Content {
				if name := v.member(item, "name"); name != nil && v.isOurs(name) {
					v.entity(resolve(item))
				}
			}
		case "services", "routes", "consumers", "consumer_groups":
			for _, item := range e.value.Content {
				outside := v.consumer
				if e.key == "consumers" {
					v.consumer = item.Line
				}
				v.plugins(item, depth+1)
				v.consumer = outside
			}
		}
	}
}

// entityKeys are the keys of a plugin entity: Kong's own, Enterprise's, and decK's.
func entityKeys() []Field {
	var fields []Field
	for _, name := range []string{"config", "consumer", "consumer_group", "created_at", "enabled", "id", "instance_name", "name",
		"ordering", "partials", "protocols", "route", "service", "tags", "updated_at", "run_on", "condition", "_config", "_comment", "_ignore"} {
		fields = append(fields, Field{Name: name})
	}
	return fields
}

// entity checks one plugin entity of a kong.yml.
func (v *validator) entity(n *yaml.Node) {
	v.found++
	config := &entry{node: n}
	partial := false
	defer func(outside int) { v.consumer = outside }(v.consumer)
	for _, e := range v.entries(n, "", 0) {
		switch e.key {
		case "config":
			config = &e
		case "protocols":
			v.protocols(e)
		case "enabled":
			v.boolean(e)
		case "_config":
			partial = true // decK adds a shared part
		case "consumer":
			if e.value != nil && e.value.ShortTag() != "!!null" {
				v.consumer = e.node.Line
			}
		default:
			v.unknown(e, entityKeys())
		}
		if slices.Contains(v.plugin.Forbidden, e.key) && e.value != nil && e.value.ShortTag() != "!!null" {
			v.fail(e.node.Line, e.key, "value must be null")
		}
	}
	v.config(config, "config", nil, partial)
}

// unknown reports a key that is none of those known.
func (v *validator) unknown(e entry, known []Field) {
	if slices.ContainsFunc(known, func(f Field) bool { return f.Name == e.key }) {
		return
	}
	text := textUnknown
	if hint := didYouMean(e.key, known); hint != "" {
		text += "; " + hint
	}
	v.fail(e.node.Line, shown(e.key), "%s", text)
}

func (v *validator) boolean(e entry) {
	if value := v.value(e.value, e.key, at{}, 0); value != nil && !isLater(value) {
		if _, ok := value.(bool); !ok {
			v.fail(e.node.Line, e.key, "expected a boolean")
		}
	}
}

func (v *validator) protocols(e entry) {
	places := at{"protocols": e.node.Line}
	value := v.value(e.value, "protocols", places, 0)
	if value == nil || isLater(value) {
		return
	}
	allowed, _ := v.plugin.protocols()
	f := &Field{Type: Set, Elements: &Field{Type: String, OneOf: plain(allowed).([]any)}}
	w := walker{later: isLater}
	w.value("protocols", f, value, false)
	v.report(w.errs, places, "")
}

// config checks a config. patches are paths that get their values elsewhere; a partial config may lack anything.
func (v *validator) config(e *entry, path string, patches [][]string, partial bool) {
	places := at{path: e.node.Line, "": e.node.Line}
	var value any
	if e.value != nil {
		value = v.value(e.value, path, places, 0)
	}
	m, ok := value.(map[string]any)
	switch list, isList := value.([]any); {
	case ok:
	case value == nil || isList && len(list) == 0:
		m = map[string]any{}
	default:
		v.fail(e.node.Line, path, textRecord)
		return
	}
	for _, patch := range patches {
		set(m, patch)
	}
	w := walker{later: isLater}
	w.config(v.plugin, m)
	if partial {
		w.errs = slices.DeleteFunc(w.errs, func(e *FieldError) bool { return e.Entity || e.Text == textRequired })
	}
	v.report(w.errs, places, path)
	if len(w.errs) == 0 && v.check != nil && !partial {
		v.ask(m, places, path)
	}
}

// ask reports what the plugin's own check finds.
func (v *validator) ask(m map[string]any, places at, path string) {
	later := map[string]bool{} // fields of the first level that are not known yet, or only in part
	known := map[string]any{}
	for name, value := range m {
		later[name] = knownLater(value, 0)
		if part, ok := knownPart(v.plugin.config().field([]string{name}), value); ok {
			known[name] = part
		}
	}
	if v.consumer > 0 {
		known["consumer_id"] = "a consumer" // beside the fields, as Kong tells a plugin
	}
	config, err := json.Marshal(known)
	if err != nil {
		return // the schema has let nothing pass that is not JSON
	}
	var errs, unsure []*FieldError
	for _, e := range Errors(v.check(config)) {
		if name, text, ok := strings.Cut(e.Text, ": "); ok && e.Field == "" && v.plugin.config().field([]string{name}) != nil {
			e = &FieldError{Field: name, Text: text, Hint: e.Hint}
		}
		name, _, _ := strings.Cut(e.Field, ".")
		name, _, _ = strings.Cut(name, "[")
		unknown := slices.DeleteFunc(slices.Clone(e.Beside), func(name string) bool { return !later[name] })
		switch {
		case v.consumer > 0 && e.Field == "consumer":
			v.fail(v.consumer, e.Field, "%s", e.Text)
		case later[name]:
		case e.Entity: // the schema's, which knows that a field is given and finds nothing
		case len(unknown) > 0:
			e.Text += fmt.Sprintf("; that is not certain, because %s is known only when the configuration is used", strings.Join(unknown, ", "))
			unsure = append(unsure, e)
		default:
			errs = append(errs, e)
		}
	}
	v.report(errs, places, path)
	reported := len(v.problems)
	v.report(unsure, places, path)
	for i := range v.problems[reported:] {
		v.problems[reported+i].Warning = true
	}
}

// laterText stands in a map of texts for one that is known later: other fields may name its key.
const laterText = "known only when the configuration is used"

// knownPart returns what is known of a field's value: of records and maps without the members that are known later.
func knownPart(f *Field, value any) (part any, ok bool) {
	m, isMap := value.(map[string]any)
	if !isMap || f == nil || f.Type != Record && f.Type != Map {
		return value, !knownLater(value, 0)
	}
	known := make(map[string]any, len(m))
	for name, value := range m {
		member := f.Values
		if f.Type == Record {
			member = f.field([]string{name})
		}
		if part, ok := knownPart(member, value); ok {
			known[name] = part
		} else if f.Type == Map && member.Type == String {
			known[name] = laterText
		}
	}
	return known, true
}

// knownLater reports whether a value, or one within it, is known only when the file is used.
func knownLater(v any, depth int) bool {
	if depth > maxYAMLDepth {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if knownLater(e, depth+1) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if knownLater(e, depth+1) {
				return true
			}
		}
	case string:
		return isLater(v) || strings.HasPrefix(v, "{vault://")
	default:
		return isLater(v)
	}
	return false
}

// set puts a value that is known later into m.
func set(m map[string]any, path []string) {
	for ; len(path) > 1; path = path[1:] {
		next, ok := m[path[0]].(map[string]any)
		if !ok {
			next = make(map[string]any)
			m[path[0]] = next
		}
		m = next
	}
	m[path[0]] = laterValue{}
}

// report adds the mistakes of values below path.
func (v *validator) report(errs []*FieldError, places at, path string) {
	for _, e := range errs {
		field := e.Field
		switch {
		case path == "":
		case field == "":
			field = path
		default:
			field = path + "." + field
		}
		text := e.Text
		if e.Hint != "" {
			text += "; " + e.Hint
		}
		v.fail(places.line(field), field, "%s", text)
	}
}
