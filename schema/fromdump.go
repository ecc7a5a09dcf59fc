package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// FromDump reads the `Schema` object of any plugin's dump. It refuses, with every reason at once, what stops Kong from
// starting, and what Kong would take and then stumble over: null where Kong reads it as true, nesting without end.
func FromDump(schemaJSON []byte) (Plugin, error) {
	d := json.NewDecoder(bytes.NewReader(schemaJSON))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return Plugin{}, fmt.Errorf("schema is not JSON: %w", jsonError(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Plugin{}, errors.New("schema is not JSON: more than one value")
	}
	top, ok := v.(map[string]any)
	if !ok {
		return Plugin{}, errors.New("schema: " + textRecord)
	}
	r := &reader{}
	p := r.plugin(top)
	if err := join(r.errs); err != nil {
		return Plugin{}, err
	}
	return p, nil
}

// maxSchemaDepth bounds the nesting of declarations.
const maxSchemaDepth = 50

// A reader builds declarations from Kong's form of them and notes what Kong's metaschema refuses.
type reader struct{ errs []*FieldError }

func (r *reader) fail(path, format string, args ...any) {
	r.errs = append(r.errs, &FieldError{Field: path, Text: fmt.Sprintf(format, args...)})
}

// entityFields are the fields of a plugin entity, with their types; a schema can narrow these and no others.
func entityFields() map[string]Type {
	return map[string]Type{
		"id": String, "name": String, "instance_name": String, "created_at": Integer, "updated_at": Integer,
		"route": Foreign, "service": Foreign, "consumer": Foreign, "config": Record, "protocols": Set,
		"enabled": Boolean, "tags": Set,
	}
}

func (r *reader) plugin(top map[string]any) Plugin {
	p := Plugin{Protocols: allProtocols(), DefaultProtocols: httpProtocols()}
	for _, key := range sortedKeys(top) {
		switch v := top[key]; key {
		case "name":
			p.Name = r.text("name", v)
		case "fields", "entity_checks":
		case "shorthand_fields", "transformations":
			if list, ok := v.([]any); !ok || len(list) > 0 {
				r.fail(key, "needs functions, which JSON cannot carry")
			}
		case "check":
			r.fail(key, "expected a function")
		default:
			r.fail(shown(key), textUnknown)
		}
	}
	if _, ok := top["name"]; !ok {
		r.fail("name", textRequired)
	}
	fields, ok := top["fields"]
	if !ok {
		r.fail("fields", "'fields' must be a table")
	}
	known := entityFields()
	for _, f := range r.fields("", fields, 0) {
		switch want, exists := known[f.Name]; {
		case !exists:
			r.fail(f.Name, "cannot create a new field")
			continue
		case f.Type == JSON && want == Record:
			r.fail(f.Name, "a config of type json is not supported here")
			continue
		case f.Type != want:
			r.fail(f.Name, "cannot change type in a specialized field")
			continue
		}
		r.specialize(&p, f)
	}
	p.TopChecks = r.checks("entity_checks", top["entity_checks"], 0)
	return p
}

// specialize takes over one field of the entity.
func (r *reader) specialize(p *Plugin, f Field) {
	switch f.Name {
	case "config":
		p.Fields, p.Checks = f.Fields, f.Checks
	case "protocols":
		if f.Elements.Type != String {
			r.fail("protocols", "cannot change type in a specialized field")
			return
		}
		if f.Elements.OneOf != nil {
			p.Protocols = stringsOf(f.Elements.OneOf)
		}
		p.DefaultProtocols = nil
		if list, ok := f.Default.([]any); ok && !slices.Equal(stringsOf(list), p.Protocols) {
			p.DefaultProtocols = stringsOf(list)
		}
	case "route", "service", "consumer":
		if _, isNull := f.Eq.(Null); isNull {
			p.Forbidden = append(p.Forbidden, f.Name)
		}
	}
}

func stringsOf(list []any) []string {
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// fields reads a list of objects with one key each.
func (r *reader) fields(path string, v any, depth int) []Field {
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if m, isMap := v.(map[string]any); isMap && len(m) == 0 {
		ok = true
	}
	if !ok {
		r.fail(under(path, "fields"), "expected an array")
		return nil
	}
	fields := make([]Field, 0, len(list))
	for i, e := range list {
		entry, ok := e.(map[string]any)
		at := under(path, fmt.Sprintf("fields[%d]", i))
		if !ok {
			r.fail(at, "each entry in fields must be a sub-table")
			continue
		}
		if len(entry) != 1 {
			r.fail(at, "length must be 1: an entry of fields has exactly one key")
			continue
		}
		for name, v := range entry {
			at := under(path, shown(name))
			if name == "" {
				r.fail(at, "length must be at least 1")
				continue
			}
			m, ok := v.(map[string]any)
			if !ok {
				r.fail(at, "'%s' must be a table", shown(name))
				continue
			}
			f := r.field(at, m, true, depth+1)
			f.Name = name
			fields = append(fields, f)
		}
	}
	return fields
}

// field reads a declaration. The match of a conditional check is one, too, but not whole.
func (r *reader) field(path string, m map[string]any, whole bool, depth int) Field {
	var f Field
	if depth > maxSchemaDepth {
		r.fail(path, "nested deeper than %d levels", maxSchemaDepth)
		return f
	}
	before := len(r.errs)
	for _, key := range sortedKeys(m) {
		at, v := under(path, shown(key)), m[key]
		if v == nil && key != "eq" && key != "ne" && key != "default" {
			r.fail(at, "must not be null: leave it out")
			continue
		}
		if !whole && !inMatch(key) {
			r.fail(at, textUnknown)
			continue
		}
		r.attribute(&f, at, key, v, depth)
	}
	if !whole {
		return f
	}
	r.consistent(path, &f, m)
	if f.Default != nil && len(r.errs) == before && f.Type != JSON {
		w := walker{}
		w.value(under(path, "default"), &f, f.Default, false)
		r.errs = append(r.errs, w.errs...)
	}
	return f
}

// consistent checks the attributes of a field against its type.
func (r *reader) consistent(path string, f *Field, m map[string]any) {
	if _, ok := m["type"]; !ok {
		r.fail(under(path, "type"), textRequired)
		return
	}
	for _, want := range map[Type][]string{
		Array: {"elements"}, Set: {"elements"}, Map: {"keys", "values"}, Record: {"fields"}, JSON: {"json_schema"},
	}[f.Type] {
		if _, ok := m[want]; !ok && (f.Type != Record || f.Extra["abstract"] != true) {
			r.fail(path, "field of type '%s' must declare '%s'", f.Type, want)
		}
	}
	for _, key := range sortedKeys(m) {
		if types := attributeTypes(key); types != nil && !slices.Contains(types, f.Type) {
			r.fail(path, "field of type '%s' cannot have attribute '%s'", f.Type, key)
		}
	}
	if f.Type == Foreign && !slices.Contains(foreignEntities(), f.Reference) {
		r.fail(path, "schema refers to an invalid foreign entity: %s", shown(f.Reference))
	}
	if f.Extra["unique_across_ws"] == true && f.Extra["unique"] != true {
		r.fail(under(path, "unique"), "value must be true")
	}
	if f.Extra["auto"] == true {
		r.fail(under(path, "auto"), "values that Kong makes itself are not supported here")
	}
}

func foreignEntities() []string {
	return []string{"ca_certificates", "certificates", "consumers", "filter_chains", "key_sets", "keys", "plugins",
		"routes", "services", "snis", "targets", "upstreams", "vaults", "workspaces"}
}

// attributeTypes returns the types that can have an attribute; nil stands for all.
func attributeTypes(attribute string) []Type {
	switch attribute {
	case "between", "timestamp":
		return []Type{Integer, Number}
	case "len_eq":
		return []Type{Array, Set, String, Map}
	case "match", "is_regex", "uuid":
		return []Type{String}
	case "one_of":
		return []Type{String, Number, Integer}
	case "contains":
		return []Type{Array, Set}
	case "unique", "unique_across_ws":
		return []Type{String, Number, Integer, Foreign}
	case "abstract":
		return []Type{String, Number, Integer, Record, Array, Set, Map}
	case "json_schema":
		return []Type{JSON}
	case "transient":
		return []Type{String, Number, Integer, Array, Set, Boolean}
	}
	return nil
}
