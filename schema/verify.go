package schema

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"
)

// fieldName is what this project calls its fields.
var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// pluginName is what control planes take for a name.
var pluginName = regexp.MustCompile(`^[0-9A-Za-z-]{1,128}$`)

// Check reports what is wrong with a declaration: whatever stops Kong from starting, and what a user would stumble over
// later. It is meant for a test of each plugin.
func (p Plugin) Check() error {
	r := &reader{}
	if !pluginName.MatchString(p.Name) {
		r.fail("name", "%q is no name for a control plane: letters, digits and - only, at most 128", p.Name)
	}
	allowed, defaults := p.protocols()
	for _, name := range slices.Concat(allowed, defaults) {
		if !slices.Contains(allProtocols(), name) {
			r.fail("protocols", "Kong knows no protocol %s", name)
		}
	}
	for _, name := range defaults {
		if !slices.Contains(allowed, name) {
			r.fail("protocols", "the default %s is not allowed", name)
		}
	}
	c := p.config()
	r.verify("config", c, 0)
	r.verifyChecks("config", c)
	r.verifyChecks("", &Field{Type: Record, Fields: []Field{*c}, Checks: p.TopChecks})
	if err := join(r.errs); err != nil {
		return err
	}
	_, err := FromDump(p.DumpSchema(p.Name))
	return err
}

// verify checks one declaration and those below it.
func (r *reader) verify(path string, f *Field, depth int) {
	if depth > maxSchemaDepth {
		r.fail(path, "nested deeper than %d levels", maxSchemaDepth)
		return
	}
	if len(f.Between) == 2 && f.Between[0] > f.Between[1] {
		r.fail(path, "between: %s is above %s", luaNumber(f.Between[0]), luaNumber(f.Between[1]))
	}
	if f.Required && f.Optional {
		r.fail(path, "cannot be required and optional")
	}
	if f.Required && f.Default != nil && f.Type == Record {
		r.fail(path, "a record takes its defaults from its fields")
	}
	for name, v := range map[string]any{"default": f.Default, "eq": f.Eq, "ne": f.Ne, "contains": f.Contains} {
		if v != nil && plain(v) == nil {
			r.fail(path, "%s: a %T is not a value for Kong", name, v)
		}
	}
	for _, s := range []string{f.Description, f.Match, f.Err} {
		if !utf8.ValidString(s) {
			r.fail(path, "holds text that is not UTF-8")
		}
	}
	if f.Type == JSON && (f.Name == "" || f.JSONSchema == nil) {
		r.fail(path, "Kong checks type json only as a field of a record, with a schema")
	}
	if f.Type == Foreign || f.Type == "function" {
		r.fail(path, "a configuration holds no values of type %s", f.Type)
	}
	if f.Type == Map && f.Keys != nil && f.Keys.Type != String {
		r.fail(path, "the keys of a map are strings")
	}
	seen := make(map[string]bool)
	for i := range f.Fields {
		sub := &f.Fields[i]
		at := under(path, sub.Name)
		if !fieldName.MatchString(sub.Name) {
			r.fail(at, "%q is no name for a field", sub.Name)
		}
		if seen[sub.Name] {
			r.fail(at, "is declared twice")
		}
		seen[sub.Name] = true
		r.verify(at, sub, depth+1)
	}
	if depth > 0 {
		r.verifyChecks(path, f)
	}
	for name, sub := range map[string]*Field{"elements": f.Elements, "keys": f.Keys, "values": f.Values} {
		if sub != nil {
			r.verify(under(path, name), sub, depth+1)
		}
	}
}

// verifyChecks reports checks of fields that do not exist: Kong fails with a Lua error when it meets one.
func (r *reader) verifyChecks(path string, f *Field) {
	for i, c := range f.Checks {
		at := under(path, fmt.Sprintf("checks[%d]", i))
		_, fields := c.list()
		switch {
		case c.Conditional != nil:
			fields = []string{c.Conditional.IfField, c.Conditional.ThenField}
		case c.ConditionalAtLeastOneOf != nil:
			a := c.ConditionalAtLeastOneOf
			fields = slices.Concat([]string{a.IfField}, a.ThenAtLeastOneOf, a.ElseThenAtLeastOneOf)
		case c.MutuallyExclusiveSets != nil:
			fields = slices.Concat(c.MutuallyExclusiveSets.Set1, c.MutuallyExclusiveSets.Set2)
		}
		if len(fields) == 0 {
			r.fail(at, "names no fields")
		}
		for _, name := range fields {
			if f.field(splitPath(name)) == nil {
				r.fail(at, "there is no field %s", name)
			}
		}
	}
}
