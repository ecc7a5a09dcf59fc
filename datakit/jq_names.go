package datakit

import (
	"reflect"
	"strings"

	"github.com/itchyny/gojq"
)

// headerAliases finds header names that programs look up in lower case only, and which received headers therefore have.
func headerAliases(programs []*gojq.Query) map[string]string {
	names := map[string]bool{}
	for _, q := range programs {
		collectNames(reflect.ValueOf(q), names)
	}
	aliases := map[string]string{}
	for name := range names {
		if c := canonical(name); c != name && strings.ToLower(name) == name && !names[c] && isToken(name) {
			aliases[c] = name
		}
	}
	return aliases
}

// collectNames gathers the names that a part of a program looks up: .name, ."name", {name}, has("name"). Every string counts,
// since one may reach a look-up in many ways. A key that is made, as in {name: 1}, counts in lower case only: what is
// meant to replace a received header has its name then, and one in another case keeps nobody from looking up.
func collectNames(v reflect.Value, names map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		switch part := v.Interface().(type) {
		case *gojq.Index:
			names[part.Name] = true
		case *gojq.PatternObject:
			names[strings.TrimPrefix(part.Key, "$")] = true
		case *gojq.String:
			if part.Queries == nil {
				names[part.Str] = true
			}
		case *gojq.ObjectKeyVal:
			made := part.Key
			if part.KeyString != nil && part.KeyString.Queries == nil {
				made = part.KeyString.Str
			}
			if part.Val == nil || made == strings.ToLower(made) {
				names[made] = true
			}
			for _, inner := range []any{part.KeyQuery, part.Val} {
				collectNames(reflect.ValueOf(inner), names)
			}
			if part.KeyString != nil {
				collectNames(reflect.ValueOf(part.KeyString.Queries), names)
			}
			return
		}
		collectNames(v.Elem(), names)
	case reflect.Struct:
		for i := range v.NumField() {
			collectNames(v.Field(i), names)
		}
	case reflect.Slice:
		for i := range v.Len() {
			collectNames(v.Index(i), names)
		}
	}
}
