package schema

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting in a field of type json.
const maxJSONDepth = 200

// json checks the value of a json field by its inline schema. nil is null, which the schema has to allow, too.
func (w *walker) json(path string, f *Field, v any) any {
	out, ok := copyJSON(v, 0)
	if !ok {
		w.fail(path, "nested deeper than %d levels", maxJSONDepth)
		return nil
	}
	if w.later == nil || !w.later(v) {
		if text := matchJSON(f.JSONSchema, out, 0); text != "" {
			w.fail(path, "%s", text)
		}
	}
	return out
}

// copyJSON copies a JSON value; ok is false when it is nested too deeply. Numbers stay as they are.
func copyJSON(v any, depth int) (c any, ok bool) {
	if depth > maxJSONDepth {
		return nil, false
	}
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			if list[i], ok = copyJSON(v[i], depth+1); !ok {
				return nil, false
			}
		}
		return list, true
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, e := range v {
			if m[key], ok = copyJSON(e, depth+1); !ok {
				return nil, false
			}
		}
		return m, true
	}
	return v, true
}

// matchJSON checks a value by a draft-4 schema that checkJSONSchema has passed, with the texts of the validator in
// Kong, and returns the first mistake or "". As in Lua an empty object is an empty array.
func matchJSON(s map[string]any, v any, depth int) string {
	if depth > maxJSONDepth {
		return fmt.Sprintf("nested deeper than %d levels", maxJSONDepth)
	}
	if types := typeNames(s["type"]); len(types) > 0 && !isOneOf(types, v) {
		expected := types[0]
		if len(types) > 1 {
			expected = "one of " + strings.Join(types, ", ")
		}
		return fmt.Sprintf("wrong type: expected %s, got %s", expected, jsonType(v))
	}
	for _, check := range []func(map[string]any, any, int) string{matchObject, matchList, matchText, matchNumber, matchSchemas} {
		if text := check(s, v, depth); text != "" {
			return text
		}
	}
	if enum, ok := s["enum"].([]any); ok {
		for _, e := range enum {
			if sameJSON(plain(e), v) {
				return ""
			}
		}
		return "matches none of the enum values"
	}
	return ""
}

// sameJSON compares by content.
func sameJSON(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	x, errX := json.Marshal(plain(a))
	y, errY := json.Marshal(plain(b))
	return errX == nil && errY == nil && string(x) == string(y)
}

func typeNames(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	list, _ := plain(v).([]any)
	return stringsOf(list)
}

func isOneOf(types []string, v any) bool {
	got := jsonType(v)
	for _, t := range types {
		n, isNumber := number(v)
		if t == got || t == "integer" && isNumber && isWhole(n) || isEmptyTable(v) && (t == "array" || t == "object") {
			return true
		}
	}
	return false
}

func isEmptyTable(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "number"
}

func subSchema(v any) map[string]any {
	m, _ := plain(v).(map[string]any)
	return m
}

func matchObject(s map[string]any, v any, depth int) string {
	m, ok := v.(map[string]any)
	if !ok {
		if !isEmptyTable(v) {
			return ""
		}
		m = map[string]any{}
	}
	if n, ok := number(s["minProperties"]); ok && float64(len(m)) < n {
		return "expect object to have at least " + luaNumber(n) + " properties"
	}
	if n, ok := number(s["maxProperties"]); ok && float64(len(m)) > n {
		return "expect object to have at most " + luaNumber(n) + " properties"
	}
	properties := subSchema(s["properties"])
	for _, name := range sortedKeys(properties) {
		if e, ok := m[name]; ok {
			if text := matchJSON(subSchema(properties[name]), e, depth+1); text != "" {
				return fmt.Sprintf("property %s validation failed: %s", shown(name), text)
			}
		}
	}
	if required, ok := s["required"]; ok && jsonType(v) == "object" {
		for _, name := range typeNames(required) {
			if _, ok := m[name]; !ok {
				return fmt.Sprintf("property %s is required", name)
			}
		}
	}
	patterns := subSchema(s["patternProperties"])
	for _, name := range sortedKeys(m) {
		_, known := properties[name]
		for _, p := range sortedKeys(patterns) {
			if matchRegex(p, name) {
				known = true
				if text := matchJSON(subSchema(patterns[p]), m[name], depth+1); text != "" {
					return fmt.Sprintf("failed to validate %s (matching %q): %s", shown(name), p, text)
				}
			}
		}
		if known {
			continue
		}
		if s["additionalProperties"] == false {
			return "additional properties forbidden, found " + shown(name)
		}
		if extra, ok := s["additionalProperties"].(map[string]any); ok {
			if text := matchJSON(extra, m[name], depth+1); text != "" {
				return fmt.Sprintf("failed to validate additional property %s: %s", shown(name), text)
			}
		}
	}
	return ""
}

func matchList(s map[string]any, v any, depth int) string {
	list, ok := v.([]any)
	if !ok {
		if !isEmptyTable(v) || jsonType(v) == "object" && s["minItems"] == nil {
			return ""
		}
	}
	if n, ok := number(s["minItems"]); ok && float64(len(list)) < n {
		return "expect array to have at least " + luaNumber(n) + " items"
	}
	if n, ok := number(s["maxItems"]); ok && float64(len(list)) > n {
		return "expect array to have at most " + luaNumber(n) + " items"
	}
	if items, ok := s["items"]; ok {
		for i, e := range list {
			if text := matchJSON(subSchema(items), e, depth+1); text != "" {
				return fmt.Sprintf("failed to validate item %d: %s", i+1, text)
			}
		}
	}
	if s["uniqueItems"] == true {
		seen := make(map[string]int)
		for i, e := range list {
			key, _ := json.Marshal(plain(e))
			if before, ok := seen[string(key)]; ok {
				return fmt.Sprintf("expected unique items but items %d and %d are equal", before, i+1)
			}
			seen[string(key)] = i + 1
		}
	}
	return ""
}

func matchText(s map[string]any, v any, _ int) string {
	text, ok := v.(string)
	if !ok {
		return ""
	}
	length := utf8.RuneCountInString(text)
	if n, ok := number(s["minLength"]); ok && float64(length) < n {
		return fmt.Sprintf("string too short, expected at least %s, got %d", luaNumber(n), length)
	}
	if n, ok := number(s["maxLength"]); ok && float64(length) > n {
		return fmt.Sprintf("string too long, expected at most %s, got %d", luaNumber(n), length)
	}
	if p, ok := s["pattern"].(string); ok && !matchRegex(p, text) {
		return fmt.Sprintf("failed to match pattern %q with %q", p, shown(text))
	}
	return ""
}

// matchRegex believes what a pattern says that only PCRE knows.
func matchRegex(pattern, s string) bool {
	re, err := regexp.Compile(pattern)
	return err != nil || re.MatchString(s)
}

func matchNumber(s map[string]any, v any, _ int) string {
	n, ok := number(v)
	if !ok {
		return ""
	}
	if least, ok := number(s["minimum"]); ok {
		if s["exclusiveMinimum"] == true && n <= least {
			return fmt.Sprintf("expected %s to be strictly greater than %s", luaNumber(n), luaNumber(least))
		}
		if n < least {
			return fmt.Sprintf("expected %s to be greater than %s", luaNumber(n), luaNumber(least))
		}
	}
	if most, ok := number(s["maximum"]); ok {
		if s["exclusiveMaximum"] == true && n >= most {
			return fmt.Sprintf("expected %s to be strictly smaller than %s", luaNumber(n), luaNumber(most))
		}
		if n > most {
			return fmt.Sprintf("expected %s to be smaller than %s", luaNumber(n), luaNumber(most))
		}
	}
	if unit, ok := number(s["multipleOf"]); ok && !isWhole(n/unit) {
		return fmt.Sprintf("expected %s to be a multiple of %s", luaNumber(n), luaNumber(unit))
	}
	return ""
}

func matchSchemas(s map[string]any, v any, depth int) string {
	list := func(key string) []any { l, _ := plain(s[key]).([]any); return l }
	for i, e := range list("allOf") {
		if text := matchJSON(subSchema(e), v, depth+1); text != "" {
			return fmt.Sprintf("allOf %d failed: %s", i+1, text)
		}
	}
	if all := list("anyOf"); len(all) > 0 {
		matched := false
		for _, e := range all {
			matched = matched || matchJSON(subSchema(e), v, depth+1) == ""
		}
		if !matched {
			return "object matches none of the alternatives"
		}
	}
	first := 0
	for i, e := range list("oneOf") {
		if matchJSON(subSchema(e), v, depth+1) != "" {
			continue
		}
		if first > 0 {
			return fmt.Sprintf("value should match only one schema, but matches both schemas %d and %d", first, i+1)
		}
		first = i + 1
	}
	if first == 0 && len(list("oneOf")) > 0 {
		return "value should match only one schema, but matches none"
	}
	if not := subSchema(s["not"]); not != nil && matchJSON(not, v, depth+1) == "" {
		return "value wasn't supposed to match schema"
	}
	return ""
}
