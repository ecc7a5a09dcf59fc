package schema

// Roles of tables in a schema. Kong changes the tables it is given (elements become required, for instance), so only
// tables of the same role may be shared.
const (
	roleField    = "field"
	roleElement  = "element"
	roleFields   = "fields"
	roleData     = "data"
	roleMatch    = "match"
	roleChecks   = "checks"
	roleTopLevel = "top"
)

// attributes returns what f declares, in Kong's names and a fixed order. With texts it includes those that control
// planes of Kong 2.8 refuse: description, examples and deprecation.
func (f *Field) attributes(texts bool) ordered {
	var o ordered
	add := func(ok bool, key string, value any) {
		if ok {
			o = append(o, member{key, value})
		}
	}
	data := func(v any) any { return role{roleData, v} }

	add(f.Type != "", "type", string(f.Type))
	if texts {
		add(f.Description != "", "description", f.Description)
	}
	add(f.Reference != "", "reference", f.Reference)
	add(f.Required, "required", true)
	add(f.Optional && !f.Required, "required", false)
	add(f.Default != nil, "default", data(plain(f.Default)))
	add(f.Eq != nil, "eq", plain(f.Eq))
	add(f.Ne != nil, "ne", plain(f.Ne))
	add(f.NotOneOf != nil, "not_one_of", data(plain(f.NotOneOf)))
	add(f.OneOf != nil, "one_of", data(plain(f.OneOf)))
	if f.Gt != nil {
		add(true, "gt", *f.Gt)
	}
	add(f.Timestamp, "timestamp", true)
	add(f.UUID, "uuid", true)
	add(f.IsRegex, "is_regex", true)
	add(f.Between != nil, "between", data(plain(f.Between)))
	for _, l := range []struct {
		key string
		n   *int
	}{{"len_eq", f.LenEq}, {"len_min", f.LenMin}, {"len_max", f.LenMax}} {
		if l.n != nil {
			add(true, l.key, float64(*l.n))
		}
	}
	add(f.StartsWith != "", "starts_with", f.StartsWith)
	add(f.NotMatch != "", "not_match", f.NotMatch)
	add(f.MatchNone != nil, "match_none", data(patternList(f.MatchNone)))
	add(f.Match != "", "match", f.Match)
	add(f.MatchAll != nil, "match_all", data(patternList(f.MatchAll)))
	if f.MatchAny != nil {
		any := ordered{{"patterns", plain(f.MatchAny.Patterns)}}
		if f.MatchAny.Err != "" {
			any = append(any, member{"err", f.MatchAny.Err})
		}
		add(true, "match_any", data(any))
	}
	add(f.Contains != nil, "contains", plain(f.Contains))
	add(f.MutuallyExclusiveSubsets != nil, "mutually_exclusive_subsets", data(plain(f.MutuallyExclusiveSubsets)))
	add(f.Err != "", "err", f.Err)
	add(f.Referenceable, "referenceable", true)
	add(f.Encrypted, "encrypted", true)
	if f.JSONSchema != nil {
		add(true, "json_schema", data(ordered{{"inline", plain(f.JSONSchema)}}))
	}
	if texts {
		add(f.Examples != nil, "examples", plain(f.Examples))
		add(f.Deprecation != nil, "deprecation", f.Deprecation.table())
	}
	for _, key := range sortedKeys(f.Extra) {
		add(true, key, plain(f.Extra[key]))
	}
	for _, s := range []struct {
		key string
		sub *Field
	}{{"keys", f.Keys}, {"values", f.Values}, {"elements", f.Elements}} {
		if s.sub != nil {
			add(true, s.key, role{roleElement, s.sub.attributes(texts)})
		}
	}
	if f.Type == Record {
		add(true, "fields", fieldList(f.Fields, texts))
	}
	add(len(f.Checks) > 0, "entity_checks", checkList(f.Checks, texts))
	return o
}

// fieldList is the value of `fields`: objects with one key each.
func fieldList(fields []Field, texts bool) any {
	list := make([]any, 0, len(fields))
	for i := range fields {
		list = append(list, ordered{{fields[i].Name, role{roleField, fields[i].attributes(texts)}}})
	}
	return role{roleFields, list}
}

func patternList(patterns []Pattern) any {
	list := make([]any, 0, len(patterns))
	for _, p := range patterns {
		o := ordered{{"pattern", p.Pattern}}
		if p.Err != "" {
			o = append(o, member{"err", p.Err})
		}
		list = append(list, o)
	}
	return list
}

func (d *Deprecation) table() any {
	if d == nil {
		return nil
	}
	o := ordered{{"message", d.Message}, {"removal_in_version", d.RemovalInVersion}}
	if d.OldDefault != nil {
		o = append(o, member{"old_default", plain(d.OldDefault)})
	}
	if d.ReplacedWith != nil {
		list := make([]any, 0, len(d.ReplacedWith))
		for _, path := range d.ReplacedWith {
			list = append(list, ordered{{"path", plain(path)}})
		}
		o = append(o, member{"replaced_with", list})
	}
	return o
}

// checkList is the value of `entity_checks`: objects with one key each.
func checkList(checks []Check, texts bool) any {
	list := make([]any, 0, len(checks))
	for _, c := range checks {
		list = append(list, ordered{c.member(texts)})
	}
	return role{roleChecks, list}
}

// member returns the check under Kong's name.
func (c Check) member(texts bool) member {
	match := func(f *Field) any { return role{roleMatch, f.attributes(texts)} }
	var o ordered
	add := func(ok bool, key string, value any) {
		if ok {
			o = append(o, member{key, value})
		}
	}
	switch {
	case c.MutuallyExclusiveSets != nil:
		s := c.MutuallyExclusiveSets
		return member{"mutually_exclusive_sets", ordered{{"set1", plain(s.Set1)}, {"set2", plain(s.Set2)}}}
	case c.Conditional != nil:
		a := c.Conditional
		add(true, "if_field", a.IfField)
		add(true, "if_match", match(&a.IfMatch))
		add(true, "then_field", a.ThenField)
		add(true, "then_match", match(&a.ThenMatch))
		add(a.ThenErr != "", "then_err", a.ThenErr)
		return member{"conditional", o}
	case c.ConditionalAtLeastOneOf != nil:
		a := c.ConditionalAtLeastOneOf
		add(true, "if_field", a.IfField)
		add(true, "if_match", match(&a.IfMatch))
		add(true, "then_at_least_one_of", plain(a.ThenAtLeastOneOf))
		add(a.ThenErr != "", "then_err", a.ThenErr)
		if a.ElseMatch != nil {
			add(true, "else_match", match(a.ElseMatch))
			add(true, "else_then_at_least_one_of", plain(a.ElseThenAtLeastOneOf))
			add(a.ElseThenErr != "", "else_then_err", a.ElseThenErr)
		}
		return member{"conditional_at_least_one_of", o}
	}
	name, fields := c.list()
	return member{name, plain(fields)}
}

// list returns the name and the fields of a check that has nothing else.
func (c Check) list() (name string, fields []string) {
	switch {
	case c.AtLeastOneOf != nil:
		return "at_least_one_of", c.AtLeastOneOf
	case c.OnlyOneOf != nil:
		return "only_one_of", c.OnlyOneOf
	case c.Distinct != nil:
		return "distinct", c.Distinct
	case c.MutuallyRequired != nil:
		return "mutually_required", c.MutuallyRequired
	default:
		return "mutually_exclusive", c.MutuallyExclusive
	}
}
