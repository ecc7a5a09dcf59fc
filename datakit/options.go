package datakit

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// options reads the members of an object in the configuration and remembers which ones were asked for. What does not fit
// is a problem, and reads as if it were absent. null is absent.
type options struct {
	path     string // nodes[2]
	node     string // its name, for messages
	members  map[string]any
	asked    map[string]bool
	problems *problems
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
	o.asked[name] = true
	v, ok := o.members[name]
	return v, ok && v != nil
}

// text reads a string of min to max characters.
func (o *options) text(name string, min, max int) (string, bool) {
	v, ok := o.get(name)
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	if !ok {
		o.fail(name, "expected a string, got %s", nameOf(v))
		return "", false
	}
	if n := utf8.RuneCountInString(s); n < min || n > max {
		o.fail(name, "has %d characters; it must have %d to %d", n, min, max)
		return "", false
	}
	return s, true
}

// oneOf reads a string that is one of a few.
func (o *options) oneOf(name string, allowed ...string) (string, bool) {
	s, ok := o.text(name, 0, math.MaxInt)
	if !ok {
		return "", false
	}
	for _, a := range allowed {
		if s == a {
			return s, true
		}
	}
	o.fail(name, "%q is none of %s", shortened(s), strings.Join(allowed, ", "))
	return "", false
}

// whole reads an integer from min to max.
func (o *options) whole(name string, min, max int) (int, bool) {
	v, ok := o.get(name)
	if !ok {
		return 0, false
	}
	f, ok := floatOf(v)
	if !ok {
		o.fail(name, "expected a number, got %s", nameOf(v))
		return 0, false
	}
	if f != math.Trunc(f) || f < float64(min) || f > float64(max) {
		o.fail(name, "%s is not a whole number from %d to %d", strconv.FormatFloat(f, 'g', -1, 64), min, max)
		return 0, false
	}
	return int(f), true
}

// flag reads a boolean.
func (o *options) flag(name string, otherwise bool) bool {
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

// rest reports the members that nobody has asked for.
func (o *options) rest(what string) {
	for _, name := range sortedKeys(o.members) {
		if !o.asked[name] && o.members[name] != nil {
			hint := ""
			if similar := closest(name, sortedKeys(o.asked)); similar != "" {
				hint = "; did you mean " + similar + "?"
			}
			o.fail(shortened(name), "unknown field; %s has no such option%s", what, hint)
		}
	}
}

// under returns the options of an object below.
func (o *options) under(name string, m map[string]any) *options {
	path := strings.TrimPrefix(o.path+"."+name, ".")
	return &options{path: path, node: o.node, members: m, asked: map[string]bool{}, problems: o.problems}
}

// shortened keeps messages readable.
func shortened(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
