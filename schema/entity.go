package schema

import "strings"

// entityChecks runs the rules over several fields of a filled record. errs are the mistakes found in its fields.
func (w *walker) entityChecks(path string, f *Field, out map[string]any, errs []*FieldError) []*FieldError {
	var found []*FieldError
	for _, c := range f.Checks {
		found = append(found, entityCheck{path, f, out, errs, w.later}.run(c)...)
	}
	return found
}

// An entityCheck is one rule at work.
type entityCheck struct {
	path  string
	f     *Field
	out   map[string]any
	errs  []*FieldError
	later func(any) bool
}

func (e entityCheck) run(c Check) []*FieldError {
	switch {
	case c.Conditional != nil:
		return e.conditional(c.Conditional)
	case c.ConditionalAtLeastOneOf != nil:
		return e.conditionalAtLeastOneOf(c.ConditionalAtLeastOneOf)
	case c.MutuallyExclusiveSets != nil:
		return e.exclusiveSets(c.MutuallyExclusiveSets)
	}
	name, fields := c.list()
	if e.skip(fields) || strings.HasPrefix(name, "mutually_") && e.anyWrong(fields) {
		return nil
	}
	if name == "only_one_of" || name == "distinct" {
		if missing := e.missing(fields); len(missing) > 0 {
			return missing
		}
	}
	set := e.nonEmpty(fields)
	switch name {
	case "at_least_one_of":
		if len(set) == 0 {
			return e.fail("at least one of these fields must be non-empty: " + quotedList(fields))
		}
	case "only_one_of":
		if len(set) != 1 {
			return e.fail("exactly one of these fields must be non-empty: " + quotedList(fields))
		}
	case "distinct":
		seen := make(map[any]bool)
		for _, field := range set {
			key, ok := hashable(e.get(field))
			if ok && seen[key] {
				return e.fail("values of these fields must be distinct: " + quotedList(fields))
			}
			seen[key] = ok
		}
	case "mutually_required":
		if len(set) > 0 && len(set) < len(fields) {
			return e.fail("all or none of these fields must be set: " + quotedList(fields))
		}
	case "mutually_exclusive":
		if len(set) > 1 {
			return e.fail("only one or none of these fields must be set: " + quotedList(fields))
		}
	}
	return nil
}

func (e entityCheck) exclusiveSets(s *ExclusiveSets) []*FieldError {
	all := append(append([]string{}, s.Set1...), s.Set2...)
	if e.skip(all) || e.anyWrong(all) {
		return nil
	}
	one, two := e.nonEmpty(s.Set1), e.nonEmpty(s.Set2)
	if len(one) > 0 && len(two) > 0 {
		return e.fail("these sets are mutually exclusive: (" + quotedList(one) + "), (" + quotedList(two) + ")")
	}
	return nil
}

func (e entityCheck) conditional(c *Conditional) []*FieldError {
	if e.skip([]string{c.IfField, c.ThenField}) {
		return nil
	}
	if missing := e.missing([]string{c.IfField}); len(missing) > 0 {
		return missing
	}
	if e.matches(c.IfField, &c.IfMatch) != nil {
		return nil
	}
	text := orDefault(strings.ReplaceAll(c.ThenErr, "%s", c.IfField),
		"failed conditional validation given value of field '"+c.IfField+"'")
	errs := e.matches(c.ThenField, &c.ThenMatch)
	if errs == nil {
		return nil
	}
	return append(errs, e.fail(text)...)
}

func (e entityCheck) conditionalAtLeastOneOf(c *ConditionalAtLeastOneOf) []*FieldError {
	if e.skip(append(append([]string{c.IfField}, c.ThenAtLeastOneOf...), c.ElseThenAtLeastOneOf...)) {
		return nil
	}
	if _, known := e.lookup(c.IfField); !known {
		return nil
	}
	fields, own := c.ThenAtLeastOneOf, c.ThenErr
	if e.matches(c.IfField, &c.IfMatch) != nil {
		if c.ElseMatch == nil || e.matches(c.IfField, c.ElseMatch) != nil {
			return nil
		}
		fields, own = c.ElseThenAtLeastOneOf, c.ElseThenErr
	}
	if len(e.nonEmpty(fields)) > 0 {
		return nil
	}
	list := quotedList(fields)
	return e.fail(orDefault(strings.ReplaceAll(own, "%s", list), "at least one of these fields must be non-empty: "+list))
}

// matches checks a field by its own declaration with the attributes of match over it, and returns nil when it passes.
func (e entityCheck) matches(field string, match *Field) []*FieldError {
	v, _ := e.lookup(field)
	base := e.f.field(splitPath(field))
	if base == nil {
		base = &Field{}
	}
	f := base.with(match)
	at := under(e.path, field)
	if v == nil {
		text := nullText(f)
		if text == "" && match.Required {
			text = textRequired
		}
		if text == "" {
			return nil
		}
		return []*FieldError{{Field: at, Text: text}}
	}
	sub := walker{}
	sub.value(at, f, v, false)
	return sub.errs
}

// with returns f with the attributes that match declares instead of its own.
func (f *Field) with(match *Field) *Field {
	c := *f
	set := func(ok bool, change func()) {
		if ok {
			change()
		}
	}
	set(match.Eq != nil, func() { c.Eq = match.Eq })
	set(match.Ne != nil, func() { c.Ne = match.Ne })
	set(match.Gt != nil, func() { c.Gt = match.Gt })
	set(match.Between != nil, func() { c.Between = match.Between })
	set(match.OneOf != nil, func() { c.OneOf = match.OneOf })
	set(match.NotOneOf != nil, func() { c.NotOneOf = match.NotOneOf })
	set(match.LenEq != nil, func() { c.LenEq = match.LenEq })
	set(match.LenMin != nil, func() { c.LenMin = match.LenMin })
	set(match.LenMax != nil, func() { c.LenMax = match.LenMax })
	set(match.Match != "", func() { c.Match = match.Match })
	set(match.NotMatch != "", func() { c.NotMatch = match.NotMatch })
	set(match.MatchAll != nil, func() { c.MatchAll = match.MatchAll })
	set(match.MatchNone != nil, func() { c.MatchNone = match.MatchNone })
	set(match.MatchAny != nil, func() { c.MatchAny = match.MatchAny })
	set(match.StartsWith != "", func() { c.StartsWith = match.StartsWith })
	set(match.Contains != nil, func() { c.Contains = match.Contains })
	set(match.IsRegex, func() { c.IsRegex = true })
	set(match.UUID, func() { c.UUID = true })
	set(match.Timestamp, func() { c.Timestamp = true })
	set(match.MutuallyExclusiveSubsets != nil, func() { c.MutuallyExclusiveSubsets = match.MutuallyExclusiveSubsets })
	set(match.Elements != nil, func() { c.Elements = match.Elements })
	set(match.Keys != nil, func() { c.Keys = match.Keys })
	set(match.Values != nil, func() { c.Values = match.Values })
	return &c
}

func (e entityCheck) fail(text string) []*FieldError {
	return []*FieldError{{Field: e.path, Entity: true, Text: text}}
}

// lookup returns the value of a path with dots; known is false when it could not be had.
func (e entityCheck) lookup(field string) (v any, known bool) {
	v = e.out
	for name := range strings.SplitSeq(field, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

func (e entityCheck) get(field string) any {
	v, _ := e.lookup(field)
	return v
}

// skip reports whether a rule does not apply: a vault reference, or a value known only later, may be anything.
func (e entityCheck) skip(fields []string) bool {
	for _, field := range fields {
		v := e.get(field)
		if v != nil && e.later != nil && e.later(v) {
			return true
		}
		s, isString := v.(string)
		if isString && isReference(s) {
			if f := e.f.field(splitPath(field)); f != nil && f.Referenceable {
				return true
			}
		}
	}
	return false
}

func splitPath(field string) []string { return strings.Split(field, ".") }

func (e entityCheck) anyWrong(fields []string) bool {
	for _, field := range fields {
		for _, err := range e.errs {
			if err.Field == under(e.path, field) {
				return true
			}
		}
	}
	return false
}

func (e entityCheck) missing(fields []string) []*FieldError {
	var errs []*FieldError
	for _, field := range fields {
		if _, known := e.lookup(field); !known {
			errs = append(errs, &FieldError{Field: under(e.path, field), Text: textRequiredForCheck})
		}
	}
	return errs
}

func (e entityCheck) nonEmpty(fields []string) []string {
	var set []string
	for _, field := range fields {
		if !isEmpty(e.get(field)) {
			set = append(set, field)
		}
	}
	return set
}
