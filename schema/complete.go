package schema

import (
	"fmt"
	"strings"
)

// Complete checks a configuration as Kong's control plane does and fills the defaults in. config is what a user wrote:
// the result of decoding JSON or YAML, in which null is nil; it is not changed.
//
// In the result numbers are float64, sets hold no duplicates, nested records are filled, and fields without a value are
// absent. Every mistake is returned, as [FieldError] values joined; see [Errors] and [Violation].
func (p Plugin) Complete(config map[string]any) (map[string]any, error) {
	w := walker{}
	out := w.config(p, config)
	if len(w.errs) > 0 {
		return nil, join(w.errs)
	}
	return out, nil
}

// A walker fills and checks a configuration.
type walker struct {
	// received is set for what Kong sends: completed, resolved, with bookkeeping keys, and with empty tables in
	// either form.
	received bool
	// later reports values that will only be known later, which are not checked; it may be nil.
	later func(any) bool
	errs  []*FieldError
}

func (w *walker) fail(path, format string, args ...any) {
	w.errs = append(w.errs, &FieldError{Field: path, Text: fmt.Sprintf(format, args...)})
}

// replace adds what rules over several fields say. Of one field they say it in place of what has been said since before.
func (w *walker) replace(before int, errs []*FieldError) {
	for _, e := range errs {
		kept := w.errs[:before:before]
		for _, old := range w.errs[before:] {
			if e.Entity || old.Field != e.Field {
				kept = append(kept, old)
			}
		}
		w.errs = append(kept, e)
	}
}

func (w *walker) config(p Plugin, config map[string]any) map[string]any {
	c := p.config()
	out := w.record("", c, config, true)
	if len(p.TopChecks) > 0 {
		top := &Field{Type: Record, Fields: []Field{*c}, Checks: p.TopChecks}
		errs := w.entityChecks("", top, map[string]any{"config": out}, nil)
		for _, e := range errs {
			e.Field = strings.TrimPrefix(strings.TrimPrefix(e.Field, "config"), ".")
		}
		w.replace(0, errs)
	}
	c.dropNulls(out)
	return out
}

// record fills and checks the fields of f. In its result a nil value is Kong's null, and an absent key a value that
// could not be had. With implied set nested records are required unless they say otherwise.
func (w *walker) record(path string, f *Field, in map[string]any, implied bool) map[string]any {
	before := len(w.errs)
	out := make(map[string]any, len(f.Fields))
	refs, _ := in["$refs"].(map[string]any)
	known := make(map[string]bool, len(f.Fields))
	for i := range f.Fields {
		sub := &f.Fields[i]
		known[sub.Name] = true
		v, present := in[sub.Name]
		if w.received {
			present = present && w.isPresent(sub, v, refs)
		}
		if v, ok := w.member(under(path, sub.Name), sub, v, present, implied, refs[sub.Name]); ok {
			out[sub.Name] = v
		}
	}
	if !w.received {
		for _, key := range sortedKeys(in) {
			if !known[key] {
				w.errs = append(w.errs, &FieldError{Field: under(path, shown(key)), Text: textUnknown, Hint: didYouMean(key, f.Fields)})
			}
		}
	}
	w.replace(before, w.entityChecks(path, f, out, w.errs[before:]))
	return out
}

// isPresent reports whether a value that Kong sent is one: null is none, and neither is the empty string, which Kong
// never sends unless a vault reference could not be resolved.
func (w *walker) isPresent(f *Field, v any, refs map[string]any) bool {
	s, isString := v.(string)
	_, resolved := refs[f.Name]
	return v != nil && (!isString || s != "" || f.Type != String || resolved || f.LenMin != nil && *f.LenMin != 1)
}

// member fills and checks one field of a record; ok is false when it has neither a value nor null.
func (w *walker) member(path string, f *Field, v any, present, implied bool, ref any) (out any, ok bool) {
	required := f.Required || implied && f.Type == Record && !f.Optional
	if f.Type == Record && v == false {
		present = false // Kong takes it for a record that is not given
	}
	if !present {
		switch {
		case f.Default != nil:
			v = plain(deepCopy(plain(f.Default)))
		case !required:
			v = nil
		case f.Type == Record:
			v = map[string]any{}
		default:
			w.fail(path, textRequired)
			return nil, false
		}
	}
	if v == nil && present && required {
		w.fail(path, textRequired)
		return nil, true
	}
	if ref, ok := ref.(string); ok && w.received && v == "" {
		w.fail(path, "vault reference %s could not be resolved; look in Kong's log for the cause", shown(ref))
		return nil, true
	}
	if v == nil && f.Type == JSON && f.JSONSchema != nil && !w.received {
		w.json(path, f, nil) // Kong checks null, too
		return nil, true
	}
	before := len(w.errs)
	out = w.value(path, f, v, implied)
	if w.received && len(w.errs) > before && f.Type != Record {
		return plain(deepCopy(plain(f.Default))), true // what is wrong is not used
	}
	return out, true
}

// aTypeName returns the name of a type with its article.
func aTypeName(t Type) string {
	if t == Array || t == Integer {
		return "an " + string(t)
	}
	return "a " + string(t)
}

// value checks a value by the declaration f and returns it in Kong's form. nil stands for null.
func (w *walker) value(path string, f *Field, v any, implied bool) any {
	if v == nil {
		if text := nullText(f); text != "" {
			w.fail(path, "%s", text)
		}
		return nil
	}
	if w.later != nil && w.later(v) {
		return v
	}
	if _, isNull := f.Eq.(Null); isNull {
		w.fail(path, "%s", orErr(f, "value must be null"))
		return nil
	}
	if f.Extra["abstract"] == true {
		w.fail(path, "error in schema definition: abstract field was not specialized")
		return nil
	}
	if f.Type == Record {
		m, ok := w.table(v)
		if !ok {
			w.fail(path, "expected %s", aTypeName(f.Type))
			return nil
		}
		return w.record(path, f, m, implied)
	}
	before := len(w.errs)
	out := w.typed(path, f, v)
	if len(w.errs) > before {
		return v // something is set, as far as the rules over several fields go
	}
	if s, ok := out.(string); ok && f.Type == String && f.Referenceable && isReference(s) {
		if w.received {
			w.fail(path, "vault reference %s arrived unresolved; Kong resolves it when the vault exists on the data plane", shown(s))
		}
		return out
	}
	if text := f.check(out); text != "" {
		w.fail(path, "%s", text)
	}
	return out
}

// nullText is what Kong says of null for an optional field, or "".
func nullText(f *Field) string {
	if _, isNull := f.Ne.(Null); isNull {
		return orErr(f, "value must not be null")
	}
	if f.Eq != nil {
		if _, isNull := f.Eq.(Null); !isNull {
			return "value must be " + luaString(plain(f.Eq))
		}
	}
	return ""
}

// table returns a value as a map; the list that Kong may send for an empty table is one.
func (w *walker) table(v any) (map[string]any, bool) {
	if m, ok := v.(map[string]any); ok {
		return m, true
	}
	if list, ok := v.([]any); ok && len(list) == 0 {
		return map[string]any{}, true
	}
	return nil, false
}

// typed checks the type of a value and what it consists of.
func (w *walker) typed(path string, f *Field, v any) any {
	switch f.Type {
	case String:
		if s, ok := v.(string); ok {
			return s
		}
		w.fail(path, "expected %s", aTypeName(f.Type))
	case Boolean:
		if b, ok := v.(bool); ok {
			return b
		}
		w.fail(path, "expected %s", aTypeName(f.Type))
	case Number, Integer:
		n, ok := number(v)
		if !ok {
			w.fail(path, "expected %s", aTypeName(f.Type))
			return nil
		}
		if f.Type == Integer && !isWhole(n) {
			w.fail(path, "expected %s", aTypeName(f.Type))
		}
		return n
	case Array, Set:
		return w.list(path, f, v)
	case Map:
		return w.mapping(path, f, v)
	case JSON:
		return w.json(path, f, v)
	case Foreign:
		return v
	case "function":
		w.fail(path, "expected a function")
	default:
		w.fail(path, "invalid type: %s", shown(string(f.Type)))
	}
	return nil
}

func (w *walker) list(path string, f *Field, v any) any {
	list, ok := v.([]any)
	if m, isMap := v.(map[string]any); isMap && len(m) == 0 {
		list, ok = []any{}, true // Lua knows no difference
	}
	if !ok {
		w.fail(path, "expected %s", aTypeName(f.Type))
		return nil
	}
	out := make([]any, 0, len(list))
	seen := make(map[any]bool)
	for i, e := range list {
		if key, ok := hashable(e); ok && f.Type == Set {
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		if e == nil {
			w.fail(at, textRequired)
			continue
		}
		out = append(out, w.value(at, f.Elements, e, false))
	}
	return out
}

// hashable returns what a value is compared by in a set; tables are all different.
func hashable(v any) (any, bool) {
	if n, ok := number(v); ok {
		return n, true
	}
	switch v.(type) {
	case nil, string, bool:
		return v, true
	}
	return nil, false
}

func (w *walker) mapping(path string, f *Field, v any) any {
	m, ok := w.table(v)
	if !ok {
		w.fail(path, "expected %s", aTypeName(f.Type))
		return nil
	}
	before := len(w.errs)
	out := make(map[string]any, len(m))
	for _, key := range sortedKeys(m) {
		at := under(path, shown(key))
		w.value(at, f.Keys, key, false)
		if m[key] == nil {
			if !w.received {
				w.fail(at, textRequired)
			}
			continue
		}
		out[key] = w.value(at, f.Values, m[key], false)
	}
	for _, e := range w.errs[before:] {
		e.inMap = path // Kong does not say which entry is wrong
	}
	return out
}

// dropNulls removes the null members of records that have been filled; what a json field holds stays as it is.
func (f *Field) dropNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		if f.Type == Map {
			for _, e := range v {
				f.Values.dropNulls(e)
			}
			return
		}
		if f.Type != Record {
			return
		}
		for i := range f.Fields {
			name := f.Fields[i].Name
			if e, ok := v[name]; ok && e == nil {
				delete(v, name)
			} else {
				f.Fields[i].dropNulls(e)
			}
		}
	case []any:
		if f.Type == Array || f.Type == Set {
			for _, e := range v {
				f.Elements.dropNulls(e)
			}
		}
	}
}
