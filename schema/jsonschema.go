package schema

import (
	"bytes"
	"encoding/json"
	"slices"
)

// JSONSchema returns a JSON Schema (draft 7) of the plugin's config for editors, ending in a newline. It takes what Kong
// takes, vault references and null included; rules over several fields and Lua patterns stay with Kong.
func (p Plugin) JSONSchema(name string) []byte {
	o := ordered{
		{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"$comment", "Generated from the plugin's declaration; do not edit."},
		{"title", "config of the Kong plugin " + name},
	}
	var b bytes.Buffer
	if err := json.Indent(&b, must(append(o, p.config().jsonObject(true)...)), "", "  "); err != nil {
		return nil
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// jsonObject describes a record.
func (f *Field) jsonObject(implied bool) ordered {
	var properties ordered
	var required []string
	for i := range f.Fields {
		sub := &f.Fields[i]
		properties = append(properties, member{sub.Name, sub.jsonProperty(implied)})
		if sub.mustGive(implied) {
			required = append(required, sub.Name)
		}
	}
	if properties == nil {
		properties = ordered{}
	}
	o := ordered{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}}
	if required != nil {
		o = append(o, member{"required", required})
	}
	return o
}

// mustGive reports whether a configuration must hold the field. Kong fills a record that it requires from the defaults
// of its fields, as far as these have some.
func (f *Field) mustGive(implied bool) bool {
	if f.Default != nil || !f.Required && (!implied || f.Type != Record || f.Optional) {
		return false
	}
	if f.Type != Record {
		return true
	}
	return slices.ContainsFunc(f.Fields, func(sub Field) bool { return sub.mustGive(implied) })
}

// jsonProperty describes a field of a record, which may be null unless Kong wants it.
func (f *Field) jsonProperty(implied bool) ordered {
	var o ordered
	if text := joinText(f.Description, f.Doc); text != "" {
		o = append(o, member{"description", text})
	}
	if f.Default != nil {
		o = append(o, member{"default", plain(f.Default)})
	}
	if f.Deprecation != nil {
		o = append(o, member{"deprecated", true})
	}
	if f.Examples != nil {
		o = append(o, member{"examples", plain(f.Examples)})
	}
	required := f.Required || implied && f.Type == Record && !f.Optional
	_, notNull := f.Ne.(Null)
	value := f.jsonValue(implied)
	if required || notNull || f.Eq != nil || f.Type == JSON {
		return append(o, value...)
	}
	return append(o, member{"anyOf", []any{value, ordered{{"type", "null"}}}})
}

func joinText(a, b string) string {
	if a != "" && b != "" {
		return a + " " + b
	}
	return a + b
}

// jsonValue describes a value that is not null.
func (f *Field) jsonValue(implied bool) ordered {
	var o ordered
	add := func(ok bool, key string, value any) {
		if ok {
			o = append(o, member{key, value})
		}
	}
	if _, isNull := f.Eq.(Null); isNull {
		return ordered{{"type", "null"}}
	}
	switch f.Type {
	case Record:
		return f.jsonObject(implied)
	case JSON:
		for _, key := range sortedKeys(f.JSONSchema) {
			add(true, key, plain(f.JSONSchema[key]))
		}
		return o
	case Array, Set:
		add(true, "type", "array")
		if f.Elements != nil {
			add(true, "items", f.Elements.jsonValue(false))
		}
		add(f.Contains != nil, "contains", ordered{{"const", plain(f.Contains)}})
	case Map:
		add(true, "type", "object")
		if f.Values != nil {
			add(true, "additionalProperties", f.Values.jsonValue(false))
		}
		if f.Keys != nil && f.Keys.Type == String {
			add(true, "propertyNames", f.Keys.jsonValue(false))
		}
	case Foreign:
		return ordered{{"type", "object"}}
	default:
		add(true, "type", string(f.Type))
	}
	add(f.Eq != nil, "const", plain(f.Eq))
	add(f.OneOf != nil, "enum", plain(f.OneOf))
	if f.Ne != nil || f.NotOneOf != nil {
		not := append([]any{}, f.NotOneOf...)
		if f.Ne != nil {
			not = append(not, f.Ne)
		}
		add(true, "not", ordered{{"enum", plain(not)}})
	}
	f.jsonBounds(add)
	if f.Type == String && f.Referenceable && len(o) > 2 {
		return ordered{{"anyOf", []any{o, ordered{{"type", "string"}, {"pattern", `^\{vault://.*\}$`}}}}}
	}
	return o
}

func (f *Field) jsonBounds(add func(ok bool, key string, value any)) {
	if len(f.Between) == 2 {
		add(true, "minimum", f.Between[0])
		add(true, "maximum", f.Between[1])
	}
	if f.Gt != nil {
		add(true, "exclusiveMinimum", *f.Gt)
	}
	least, most := f.LenMin, f.LenMax
	if f.LenEq != nil {
		least, most = f.LenEq, f.LenEq
	}
	if least == nil && f.Type == String {
		least = new(1)
	}
	suffix := map[Type]string{String: "Length", Array: "Items", Set: "Items", Map: "Properties"}[f.Type]
	if suffix == "" {
		return
	}
	if f.Type == String && most != nil {
		most = nil // Kong counts bytes, JSON Schema counts characters: only the shorter bound is safe to repeat
	}
	if least != nil && (f.Type != String || *least <= 1) {
		add(true, "min"+suffix, float64(*least))
	}
	if most != nil && f.Type != Set {
		add(true, "max"+suffix, float64(*most))
	}
}
