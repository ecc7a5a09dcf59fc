package schema

import (
	"fmt"
	"slices"
)

// inMatch reports whether the matches of conditional checks can have an attribute: validators and the shape.
func inMatch(key string) bool {
	switch key {
	case "required", "elements", "keys", "values", "between", "eq", "ne", "gt", "len_eq", "len_min", "len_max", "match",
		"not_match", "match_all", "match_none", "match_any", "starts_with", "one_of", "not_one_of", "contains", "is_regex",
		"timestamp", "uuid", "custom_validator", "mutually_exclusive_subsets":
		return true
	}
	return false
}

// attribute reads one attribute of a field.
func (r *reader) attribute(f *Field, path, key string, v any, depth int) {
	switch key {
	case "type":
		f.Type = Type(r.text(path, v))
		types := []Type{Array, Set, String, Number, Boolean, Integer, Foreign, Map, Record, "function", JSON}
		if f.Type != "" && !slices.Contains(types, f.Type) {
			r.fail(path, "invalid type: %s", shown(string(f.Type)))
		}
	case "description":
		f.Description = r.text(path, v)
		if n := len(f.Description); n > 0 && n < minDescription {
			r.fail(path, "length must be at least %d", minDescription)
		} else if n > maxDescription {
			r.fail(path, "length must be at most %d", maxDescription)
		}
	case "required":
		f.Required = r.flag(path, v)
		f.Optional = !f.Required
	case "default":
		f.Default = r.plainJSON(path, v)
	case "elements", "keys", "values":
		m, ok := v.(map[string]any)
		if !ok {
			r.fail(path, "expected a record")
			return
		}
		sub := r.field(path, m, true, depth+1)
		*map[string]**Field{"elements": &f.Elements, "keys": &f.Keys, "values": &f.Values}[key] = &sub
	case "fields":
		f.Fields = r.fields(path[:max(0, len(path)-len(".fields"))], v, depth)
	case "entity_checks":
		f.Checks = r.checks(path, v, depth+1)
	case "json_schema":
		f.JSONSchema = r.jsonSchema(path, v)
	case "examples":
		f.Examples = r.list(path, v)
	case "deprecation":
		f.Deprecation = r.deprecation(path, v)
	case "reference":
		f.Reference = r.text(path, v)
	case "err":
		f.Err = r.text(path, v)
	case "encrypted":
		f.Encrypted = r.flag(path, v)
	case "referenceable":
		f.Referenceable = r.flag(path, v)
	case "auto", "unique", "unique_across_ws", "abstract", "generate_admin_api", "immutable", "transient", "on_delete":
		if key == "on_delete" {
			if s := r.text(path, v); s != "restrict" && s != "cascade" && s != "null" {
				r.fail(path, "expected one of: restrict, cascade, null")
			}
		} else {
			v = r.flag(path, v)
		}
		if f.Extra == nil {
			f.Extra = make(map[string]any)
		}
		f.Extra[key] = v
	default:
		r.validator(f, path, key, v)
	}
}

// The bounds of descriptions, in bytes.
const (
	minDescription = 10
	maxDescription = 500
)

// validator reads an attribute that checks values.
func (r *reader) validator(f *Field, path, key string, v any) {
	switch key {
	case "between":
		list := r.list(path, v)
		if len(list) != 2 {
			r.fail(path, "length must be 2")
			return
		}
		for i, e := range list {
			f.Between = append(f.Between, r.number(fmt.Sprintf("%s[%d]", path, i), e))
		}
	case "eq":
		f.Eq = r.orNull(path, v)
	case "ne":
		f.Ne = r.orNull(path, v)
	case "gt":
		f.Gt = new(r.number(path, v))
	case "len_eq":
		f.LenEq = r.integer(path, v)
	case "len_min":
		f.LenMin = r.integer(path, v)
	case "len_max":
		f.LenMax = r.integer(path, v)
	case "match":
		f.Match = r.pattern(path, v)
	case "not_match":
		f.NotMatch = r.pattern(path, v)
	case "match_all":
		f.MatchAll = r.patterns(path, v)
	case "match_none":
		f.MatchNone = r.patterns(path, v)
	case "match_any":
		m, ok := v.(map[string]any)
		if !ok {
			r.fail(path, "expected a record")
			return
		}
		f.MatchAny = &Patterns{Err: r.optional(path, m, "err")}
		r.only(path, m, "patterns", "err")
		if _, ok := m["patterns"]; !ok {
			r.fail(under(path, "patterns"), textRequired)
		}
		for i, e := range r.list(under(path, "patterns"), orEmpty(m["patterns"])) {
			f.MatchAny.Patterns = append(f.MatchAny.Patterns, r.pattern(fmt.Sprintf("%s.patterns[%d]", path, i), e))
		}
	case "starts_with":
		f.StartsWith = r.text(path, v)
	case "one_of":
		f.OneOf = r.list(path, v)
	case "not_one_of":
		f.NotOneOf = r.list(path, v)
	case "contains":
		f.Contains = r.plainJSON(path, v)
	case "is_regex":
		f.IsRegex = r.flag(path, v)
	case "timestamp":
		f.Timestamp = r.flag(path, v)
	case "uuid":
		f.UUID = r.flag(path, v)
	case "mutually_exclusive_subsets":
		for i, e := range r.list(path, v) {
			f.MutuallyExclusiveSubsets = append(f.MutuallyExclusiveSubsets, r.names(fmt.Sprintf("%s[%d]", path, i), e))
		}
	case "custom_validator", "shorthand_fields":
		r.fail(path, "expected a function, which JSON cannot carry")
	default:
		r.fail(path, textUnknown)
	}
}

func orEmpty(v any) any {
	if v == nil {
		return []any{}
	}
	return v
}

// text reads a string that is not empty.
func (r *reader) text(path string, v any) string {
	s, ok := v.(string)
	if !ok {
		r.fail(path, "expected a string")
	} else if s == "" {
		r.fail(path, "length must be at least 1")
	}
	return s
}

func (r *reader) optional(path string, m map[string]any, key string) string {
	v, ok := m[key]
	if !ok {
		return ""
	}
	return r.text(under(path, key), v)
}

func (r *reader) flag(path string, v any) bool {
	b, ok := v.(bool)
	if !ok {
		r.fail(path, "expected a boolean")
	}
	return b
}

func (r *reader) number(path string, v any) float64 {
	n, ok := number(v)
	if !ok {
		r.fail(path, "expected a number")
	}
	return n
}

func (r *reader) integer(path string, v any) *int {
	const most = 1 << 31
	n, ok := number(v)
	if !ok || !isWhole(n) || n > most || n < -most {
		r.fail(path, textInteger)
		return nil
	}
	return new(int(n))
}

func (r *reader) list(path string, v any) []any {
	list, ok := v.([]any)
	if m, isMap := v.(map[string]any); isMap && len(m) == 0 {
		return []any{}
	}
	if !ok {
		r.fail(path, "expected an array")
		return nil
	}
	out, _ := r.plainJSON(path, list).([]any)
	return out
}

func (r *reader) names(path string, v any) []string {
	out := []string{}
	for i, e := range r.list(path, v) {
		out = append(out, r.text(fmt.Sprintf("%s[%d]", path, i), e))
	}
	return out
}

// pattern reads a Lua pattern. Kong would take a malformed one and fail with each value.
func (r *reader) pattern(path string, v any) string {
	s := r.text(path, v)
	if err := checkPattern(s); err != nil {
		r.fail(path, "%v", err)
	}
	return s
}

func (r *reader) patterns(path string, v any) []Pattern {
	var out []Pattern
	for i, e := range r.list(path, v) {
		at := fmt.Sprintf("%s[%d]", path, i)
		m, ok := e.(map[string]any)
		if !ok {
			r.fail(at, "expected a record")
			continue
		}
		r.only(at, m, "pattern", "err")
		if _, ok := m["pattern"]; !ok {
			r.fail(under(at, "pattern"), textRequired)
			continue
		}
		out = append(out, Pattern{r.pattern(under(at, "pattern"), m["pattern"]), r.optional(at, m, "err")})
	}
	return out
}

// only refuses other keys.
func (r *reader) only(path string, m map[string]any, keys ...string) {
	for _, key := range sortedKeys(m) {
		if !slices.Contains(keys, key) {
			r.fail(under(path, shown(key)), textUnknown)
		}
	}
}

func (r *reader) orNull(path string, v any) any {
	if v == nil {
		return Null{}
	}
	return r.plainJSON(path, v)
}

// plainJSON reads any value, with its numbers as doubles.
func (r *reader) plainJSON(path string, v any) any {
	if c, ok := copyJSON(v, 0); ok {
		return plain(c)
	}
	r.fail(path, "nested deeper than %d levels", maxJSONDepth)
	return nil
}

func (r *reader) jsonSchema(path string, v any) map[string]any {
	m, ok := v.(map[string]any)
	if !ok {
		r.fail(path, "expected a record")
		return nil
	}
	r.only(path, m, "inline", "namespace", "parent_subschema_key", "optional", "default")
	inline, ok := m["inline"]
	if !ok {
		r.fail(path, "only inline schemas are supported here")
		return nil
	}
	if len(m) > 1 {
		r.fail(path, "these sets are mutually exclusive: ('inline'), ('namespace', 'parent_subschema_key', 'optional')")
	}
	s, ok := r.plainJSON(path, inline).(map[string]any)
	if !ok {
		r.fail(under(path, "inline"), "schema must be a table")
		return nil
	}
	r.errs = append(r.errs, checkJSONSchema(s, under(path, "inline"), 0)...)
	return s
}

func (r *reader) deprecation(path string, v any) *Deprecation {
	m, ok := v.(map[string]any)
	if !ok {
		r.fail(path, "expected a record")
		return nil
	}
	r.only(path, m, "message", "removal_in_version", "old_default", "replaced_with")
	d := &Deprecation{OldDefault: r.plainJSON(path, m["old_default"])}
	for key, text := range map[string]*string{"message": &d.Message, "removal_in_version": &d.RemovalInVersion} {
		if e, ok := m[key]; ok {
			*text = r.text(under(path, key), e)
		} else {
			r.fail(under(path, key), textRequired)
		}
	}
	if replaced, ok := m["replaced_with"]; ok {
		for i, e := range r.list(under(path, "replaced_with"), replaced) {
			at := fmt.Sprintf("%s.replaced_with[%d]", path, i)
			to, ok := e.(map[string]any)
			if !ok {
				r.fail(at, "expected a record")
				continue
			}
			r.only(at, to, "path")
			names := r.names(under(at, "path"), orEmpty(to["path"]))
			if len(names) == 0 {
				r.fail(under(at, "path"), "length must be at least 1")
			}
			d.ReplacedWith = append(d.ReplacedWith, names)
		}
	}
	return d
}

// checks reads a list of entity checks, each an object with one key.
func (r *reader) checks(path string, v any, depth int) []Check {
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if m, isMap := v.(map[string]any); !ok && (!isMap || len(m) > 0) {
		r.fail(path, "expected an array")
		return nil
	}
	var out []Check
	for i, e := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		m, ok := e.(map[string]any)
		if !ok {
			r.fail(at, "expected a record")
			continue
		}
		if len(m) != 1 {
			r.fail(at, "exactly one of these fields must be non-empty: 'at_least_one_of', 'conditional' and so on")
			continue
		}
		for name, arg := range m {
			out = append(out, r.check(under(at, shown(name)), name, arg, depth))
		}
	}
	return out
}

func (r *reader) check(path, name string, arg any, depth int) Check {
	var c Check
	if simple := map[string]*[]string{
		"at_least_one_of": &c.AtLeastOneOf, "only_one_of": &c.OnlyOneOf, "distinct": &c.Distinct,
		"mutually_required": &c.MutuallyRequired, "mutually_exclusive": &c.MutuallyExclusive,
	}[name]; simple != nil {
		*simple = r.names(path, arg)
		return c
	}
	m, ok := arg.(map[string]any)
	if !ok {
		m = map[string]any{}
		r.fail(path, "expected a record")
	}
	text := func(key string) string {
		if _, ok := m[key]; !ok {
			r.fail(under(path, key), textRequired)
		}
		return r.optional(path, m, key)
	}
	list := func(key string) []string { return r.names(under(path, key), orEmpty(m[key])) }
	match := func(key string) *Field {
		e, ok := m[key].(map[string]any)
		if !ok {
			r.fail(under(path, key), "expected a record")
		}
		f := r.field(under(path, key), e, false, depth+1)
		f.Optional = false
		return &f
	}
	switch name {
	case "mutually_exclusive_sets":
		r.only(path, m, "set1", "set2")
		c.MutuallyExclusiveSets = &ExclusiveSets{list("set1"), list("set2")}
	case "conditional":
		r.only(path, m, "if_field", "if_match", "then_field", "then_match", "then_err")
		c.Conditional = &Conditional{text("if_field"), *match("if_match"), text("then_field"), *match("then_match"), r.optional(path, m, "then_err")}
	case "conditional_at_least_one_of":
		r.only(path, m, "if_field", "if_match", "then_at_least_one_of", "then_err", "else_match", "else_then_at_least_one_of", "else_then_err")
		a := &ConditionalAtLeastOneOf{
			IfField: text("if_field"), IfMatch: *match("if_match"), ThenAtLeastOneOf: list("then_at_least_one_of"),
			ThenErr: r.optional(path, m, "then_err"), ElseThenErr: r.optional(path, m, "else_then_err"),
		}
		if _, ok := m["else_match"]; ok {
			a.ElseMatch, a.ElseThenAtLeastOneOf = match("else_match"), list("else_then_at_least_one_of")
		}
		c.ConditionalAtLeastOneOf = a
	case "custom_entity_check":
		r.fail(path, "needs a function, which JSON cannot carry")
	default:
		r.fail(path, textUnknown)
	}
	return c
}
