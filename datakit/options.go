package datakit

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An option is a member of a node's configuration. Its check, its part of the schema and its line in the reference of nodes
// come from here.
type option struct {
	name      string
	typ       typ      // string, number (a whole one), boolean, map or list
	min, max  int      // characters of a string, or the value of a number; both 0: no bounds
	oneOf     []string // the strings that are allowed
	pattern   string   // of a string, for the schema; who reads it says what is wrong
	required  bool
	otherwise any // what holds where it is absent; for lists, what an absent one means
	unit      string
	since     string // the version of Kong's Datakit that has it; "" for options of this plugin
	doc       string
	fields    []option // members of a map
}

// listType is the type of options that are lists.
const listType typ = "list"

// commonOptions are those of every node.
var commonOptions = []option{ // read-only
	{name: "name", typ: stringType, pattern: "^[A-Za-z_][A-Za-z0-9_-]{0,254}$", required: true, since: "3.11",
		doc: "Names the node in links: a letter or `_`, then letters, digits, `_` and `-`, 255 at most."},
	{name: "type", typ: stringType, required: true, since: "3.11", doc: "What the node does; one of the types below."},
	{name: "input", typ: stringType, min: 1, max: maxLabel, since: "3.11", doc: "Where the node's whole value comes from: `NODE`, `NODE.FIELD` or `NODE.FIELD.NAME`."},
	{name: "inputs", typ: mapType, since: "3.11", doc: "Where its inputs come from, by name; not beside `input`."},
	{name: "output", typ: stringType, min: 1, max: maxLabel, since: "3.11", doc: "Where the node's whole value goes: `NODE` or `NODE.FIELD`."},
	{name: "outputs", typ: mapType, since: "3.11", doc: "Where its outputs go, by name; not beside `output`."},
}

// options reads the members of an object in the configuration, as they are declared. What does not fit is a problem, and
// reads as if it were absent. null is absent.
type options struct {
	path     string // nodes[2]
	node     string // its name, for messages
	members  map[string]any
	declared []option
	problems *problems
}

// option returns a declaration. To read what is not declared is a defect.
func (o *options) option(name string) *option {
	for i := range o.declared {
		if o.declared[i].name == name {
			return &o.declared[i]
		}
	}
	panic("the option " + name + " is not declared")
}

func (o *options) declares(name string) bool {
	return slices.ContainsFunc(o.declared, func(d option) bool { return d.name == name })
}

func (o *options) fail(member, format string, args ...any) {
	path := o.path
	if member != "" {
		path = strings.TrimPrefix(path+"."+member, ".")
	}
	o.problems.add(path, o.node, format, args...)
}

// get returns a member that is not null.
func (o *options) get(name string) (any, bool) {
	v, ok := o.members[name]
	return v, ok && v != nil
}

// text reads a string. ok is false for the one that holds where there is none.
func (o *options) text(name string) (s string, ok bool) {
	d := o.option(name)
	otherwise, _ := d.otherwise.(string)
	v, ok := o.get(name)
	if !ok {
		return otherwise, false
	}
	if s, ok = v.(string); !ok {
		o.fail(name, "expected a string, got %s", nameOf(v))
		return otherwise, false
	}
	if n := utf8.RuneCountInString(s); d.max > 0 && (n < d.min || n > d.max) {
		o.fail(name, "has %d characters; it must have %d to %d", n, d.min, d.max)
		return otherwise, false
	}
	if d.oneOf != nil && !slices.Contains(d.oneOf, s) {
		o.fail(name, "%q is none of %s", shortened(s), strings.Join(d.oneOf, ", "))
		return otherwise, false
	}
	return s, true
}

// whole reads an integer. ok is false for the one that holds where there is none.
func (o *options) whole(name string) (n int, ok bool) {
	d := o.option(name)
	otherwise, _ := d.otherwise.(int)
	v, ok := o.get(name)
	if !ok {
		return otherwise, false
	}
	f, ok := floatOf(v)
	if !ok {
		o.fail(name, "expected a number, got %s", nameOf(v))
		return otherwise, false
	}
	if f != math.Trunc(f) || f < float64(d.min) || f > float64(d.max) {
		o.fail(name, "%s is not a whole number from %d to %d", strconv.FormatFloat(f, 'g', -1, 64), d.min, d.max)
		return otherwise, false
	}
	return int(f), true
}

// flag reads a boolean.
func (o *options) flag(name string) bool {
	otherwise, _ := o.option(name).otherwise.(bool)
	v, ok := o.get(name)
	if !ok {
		return otherwise
	}
	b, ok := v.(bool)
	if !ok {
		o.fail(name, "expected true or false, got %s", nameOf(v))
		return otherwise
	}
	return b
}

// texts reads a list of strings. An empty object is an empty list: Lua has one table for both.
func (o *options) texts(name string) ([]string, bool) {
	_ = o.option(name)
	v, ok := o.get(name)
	if !ok {
		return nil, false
	}
	if m, isMap := v.(map[string]any); isMap && len(m) == 0 {
		return []string{}, true
	}
	list, ok := v.([]any)
	if !ok {
		o.fail(name, "expected a list of strings, got %s", nameOf(v))
		return nil, false
	}
	texts := make([]string, 0, len(list))
	for i, e := range list {
		s, ok := e.(string)
		if !ok {
			o.fail(name+"["+strconv.Itoa(i)+"]", "expected a string, got %s", nameOf(e))
			continue
		}
		texts = append(texts, s)
	}
	return texts, true
}

// object reads an object. An empty list is an empty object.
func (o *options) object(name string) (map[string]any, bool) {
	_ = o.option(name)
	v, ok := o.get(name)
	if !ok {
		return nil, false
	}
	if list, isList := v.([]any); isList && len(list) == 0 {
		return map[string]any{}, true
	}
	m, ok := v.(map[string]any)
	if !ok {
		o.fail(name, "expected an object, got %s", nameOf(v))
		return nil, false
	}
	return m, true
}

// rest reports the members that are not declared.
func (o *options) rest(what string) {
	for _, name := range sortedKeys(o.members) {
		if !o.declares(name) && o.members[name] != nil {
			known := make([]string, len(o.declared))
			for i, d := range o.declared {
				known[i] = d.name
			}
			hint := ""
			if similar := closest(name, known); similar != "" {
				hint = "; did you mean " + similar + "?"
			}
			o.fail(shortened(name), "unknown field; %s has no such option%s", what, hint)
		}
	}
}

// under returns the options of an object below.
func (o *options) under(name string, m map[string]any) *options {
	path := strings.TrimPrefix(o.path+"."+name, ".")
	return &options{path: path, node: o.node, members: m, declared: o.option(name).fields, problems: o.problems}
}

// shortened keeps messages readable.
func shortened(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
