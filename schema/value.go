package schema

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain turns a Go value of a declaration into the forms that the writers and the checks know: nil, Null, bool, string,
// float64, []any and map[string]any. What is none of these becomes nil, which Plugin.Check reports.
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, string, Null, ordered, role:
		return v
	case float32, float64, json.Number:
		if n, ok := number(v); ok {
			return n
		}
		return nil
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return float64(r.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return float64(r.Uint())
	case reflect.Float32, reflect.Float64:
		return plain(r.Float())
	case reflect.Bool:
		return r.Bool()
	case reflect.String:
		return r.String()
	case reflect.Slice, reflect.Array:
		list := make([]any, r.Len())
		for i := range list {
			list[i] = plain(r.Index(i).Interface())
		}
		return list
	case reflect.Map:
		if r.Type().Key().Kind() != reflect.String {
			return nil
		}
		m := make(map[string]any, r.Len())
		for it := r.MapRange(); it.Next(); {
			m[it.Key().String()] = plain(it.Value().Interface())
		}
		return m
	}
	return nil
}

// number reads any Go or JSON number as Kong does: as a finite double.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case json.Number:
		f, err := strconv.ParseFloat(v.String(), 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return float64(r.Int()), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return float64(r.Uint()), true
	case reflect.Float32:
		f := r.Float()
		return f, !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

// luaNumber writes a number as Lua's tostring does.
func luaNumber(f float64) string { return strconv.FormatFloat(f, 'g', 14, 64) }

// luaString writes a value as Lua's tostring does, as far as texts need it.
func luaString(v any) string {
	switch v := v.(type) {
	case nil, Null:
		return "null"
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return luaNumber(v)
	}
	return "table"
}

// maxShown is how much of a user's value a message shows, in bytes.
const maxShown = 200

// shown makes a user's text fit for a message of one line.
func shown(s string) string {
	cut := false
	if len(s) > maxShown {
		s, cut = s[:maxShown], true
		for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
	}
	clean := strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) < 0
	if !clean {
		s = strings.Trim(strconv.Quote(s), `"`)
	}
	if cut {
		s += "..."
	}
	return s
}

// isReference reports whether s looks like a vault reference to Kong.
func isReference(s string) bool {
	return strings.HasPrefix(s, "{vault://") && strings.HasSuffix(s, "}")
}

// isEmpty is Kong's notion of a field that is not set: absent, null, "", or a table without entries.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil, Null:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// equal is Lua's equality for plain values: tables are never equal to anything else.
func equal(a, b any) bool {
	switch a := a.(type) {
	case string:
		s, ok := b.(string)
		return ok && s == a
	case bool:
		v, ok := b.(bool)
		return ok && v == a
	case float64:
		f, ok := number(b)
		return ok && f == a
	case json.Number:
		f, ok := number(a)
		return ok && equal(f, b)
	}
	return false
}

// contains reports whether list holds v.
func contains(list []any, v any) bool {
	return slices.ContainsFunc(list, func(o any) bool { return equal(v, plain(o)) })
}

// deepCopy copies a plain value, so that nobody can change a declaration's default.
func deepCopy(v any) any {
	switch v := v.(type) {
	case []any:
		c := make([]any, len(v))
		for i := range v {
			c[i] = deepCopy(v[i])
		}
		return c
	case map[string]any:
		c := make(map[string]any, len(v))
		for k, e := range v {
			c[k] = deepCopy(e)
		}
		return c
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
