package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// A target is a struct whose members are found by json tag.
type target struct{ v reflect.Value }

// structOf returns the struct that into points to.
func structOf(into any) (target, error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return target{}, fmt.Errorf("%T is not a pointer to a struct", into)
	}
	return target{v.Elem()}, nil
}

// member returns the member with a json tag; it is not valid when there is none.
func (t target) member(name string) reflect.Value {
	for i := range t.v.NumField() {
		f := t.v.Type().Field(i)
		if f.IsExported() && tagName(f) == name {
			return t.v.Field(i)
		}
	}
	return reflect.Value{}
}

// tagName returns the name in the json tag, or "".
func tagName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// fill stores a filled record and returns what did not fit.
func (t target) fill(fields []Field, values map[string]any, path string) []*FieldError {
	var errs []*FieldError
	for i := range fields {
		f := &fields[i]
		v, ok := values[f.Name]
		if !ok {
			continue
		}
		at := under(path, f.Name)
		m := t.member(f.Name)
		if !m.IsValid() {
			errs = append(errs, &FieldError{Field: at, Text: fmt.Sprintf("%s has no member for it", t.v.Type())})
			continue
		}
		wrong := store(m, f, v, at)
		if len(wrong) > 0 && f.Default != nil {
			store(m, f, plain(f.Default), at)
		}
		errs = append(errs, wrong...)
	}
	return errs
}

var rawMessage = reflect.TypeFor[json.RawMessage]()

// store puts v, a value in Kong's form, into m.
func store(m reflect.Value, f *Field, v any, path string) []*FieldError {
	wrong := func(text string) []*FieldError { return []*FieldError{{Field: path, Text: text}} }
	misfit := func() []*FieldError { return wrong(fmt.Sprintf("%s does not fit into %s", f.Type, m.Type())) }
	if f.Type == JSON {
		return storeJSON(m, v, path)
	}
	switch m.Kind() {
	case reflect.Pointer:
		p := reflect.New(m.Type().Elem())
		errs := store(p.Elem(), f, v, path)
		if len(errs) == 0 {
			m.Set(p)
		}
		return errs
	case reflect.Interface:
		if m.NumMethod() > 0 {
			return misfit()
		}
		m.Set(reflect.ValueOf(deepCopy(v)))
		return nil
	}
	switch v := v.(type) {
	case bool:
		if m.Kind() != reflect.Bool {
			return misfit()
		}
		m.SetBool(v)
	case string:
		if m.Kind() != reflect.String {
			return misfit()
		}
		m.SetString(v)
	case float64:
		return storeNumber(m, f, v, path)
	case []any:
		if m.Kind() != reflect.Slice || f.Elements == nil {
			return misfit()
		}
		list := reflect.MakeSlice(m.Type(), len(v), len(v))
		var errs []*FieldError
		for i := range v {
			if v[i] != nil {
				errs = append(errs, store(list.Index(i), f.Elements, v[i], fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
		if len(errs) == 0 {
			m.Set(list)
		}
		return errs
	case map[string]any:
		return storeTable(m, f, v, path)
	}
	return nil
}

func storeTable(m reflect.Value, f *Field, v map[string]any, path string) []*FieldError {
	switch {
	case m.Kind() == reflect.Struct && f.Type == Record:
		return target{m}.fill(f.Fields, v, path)
	case m.Kind() == reflect.Map && m.Type().Key().Kind() == reflect.String && f.Type == Map && f.Values != nil:
		table := reflect.MakeMapWithSize(m.Type(), len(v))
		var errs []*FieldError
		for _, key := range sortedKeys(v) {
			if v[key] == nil {
				continue
			}
			e := reflect.New(m.Type().Elem()).Elem()
			errs = append(errs, store(e, f.Values, v[key], under(path, shown(key)))...)
			table.SetMapIndex(reflect.ValueOf(key).Convert(m.Type().Key()), e)
		}
		if len(errs) == 0 {
			m.Set(table)
		}
		return errs
	}
	return []*FieldError{{Field: path, Text: fmt.Sprintf("%s does not fit into %s", f.Type, m.Type())}}
}

// storeNumber stores a number in an integer only when it is one: Kong's numbers are doubles.
func storeNumber(m reflect.Value, f *Field, n float64, path string) []*FieldError {
	const exact = 1 << 53 // above, doubles skip integers
	switch m.Kind() {
	case reflect.Float64, reflect.Float32:
		m.SetFloat(n)
		return nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if !isWhole(n) || math.Abs(n) > exact || m.OverflowInt(int64(n)) {
			return []*FieldError{{Field: path, Text: textInteger}}
		}
		m.SetInt(int64(n))
		return nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if !isWhole(n) || n < 0 || n > exact || m.OverflowUint(uint64(n)) {
			return []*FieldError{{Field: path, Text: textInteger}}
		}
		m.SetUint(uint64(n))
		return nil
	}
	return []*FieldError{{Field: path, Text: fmt.Sprintf("%s does not fit into %s", f.Type, m.Type())}}
}

// storeJSON stores the value of a json field: as JSON text, or by the rules of encoding/json.
func storeJSON(m reflect.Value, v any, path string) []*FieldError {
	b, err := marshal(v)
	if err == nil && m.Type() == rawMessage {
		m.SetBytes(b)
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, m.Addr().Interface())
	}
	if err == nil {
		return nil
	}
	text := "does not have the form of this field"
	var typeErr *json.UnmarshalTypeError
	if errors.As(err, &typeErr) && typeErr.Field != "" {
		text = fmt.Sprintf("%s: a %s does not fit", shown(typeErr.Field), shown(typeErr.Value))
	}
	return []*FieldError{{Field: path, Text: text}}
}

// CheckStruct reports whether the struct that into points to agrees with the declaration: each field has a member with
// its json tag and a type that holds its values, and each tagged member is a field. It is meant for tests.
func (p Plugin) CheckStruct(into any) error {
	s, err := structOf(into)
	if err != nil {
		return err
	}
	return errors.Join(compareStruct(s.v.Type(), p.Fields, "")...)
}

func compareStruct(t reflect.Type, fields []Field, path string) []error {
	var errs []error
	known := make(map[string]*Field)
	for i := range fields {
		known[fields[i].Name] = &fields[i]
	}
	members := make(map[string]bool)
	for i := range t.NumField() {
		m := t.Field(i)
		name := tagName(m)
		if name == "" {
			continue
		}
		at := under(path, name)
		f := known[name]
		switch {
		case members[name]:
			errs = append(errs, fmt.Errorf("%s: two members of %s have this tag", at, t))
		case !m.IsExported():
			errs = append(errs, fmt.Errorf("%s: member %s is not exported", at, m.Name))
		case f == nil:
			errs = append(errs, fmt.Errorf("%s: member %s has no field in the schema", at, m.Name))
		default:
			errs = append(errs, fits(m.Type, f, at)...)
		}
		members[name] = true
	}
	for i := range fields {
		if !members[fields[i].Name] {
			errs = append(errs, fmt.Errorf("%s: %s has no member with this json tag", under(path, fields[i].Name), t))
		}
	}
	return errs
}

// fits reports why values of f cannot be stored in t.
func fits(t reflect.Type, f *Field, path string) []error {
	if f.Type == JSON {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		return fits(t.Elem(), f, path)
	}
	if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
		return nil
	}
	var ok bool
	switch k := t.Kind(); f.Type {
	case String:
		ok = k == reflect.String
	case Boolean:
		ok = k == reflect.Bool
	case Number, Integer:
		ok = k >= reflect.Int && k <= reflect.Uint64 || k == reflect.Float32 || k == reflect.Float64
	case Array, Set:
		if k == reflect.Slice && f.Elements != nil {
			return fits(t.Elem(), f.Elements, path+"[]")
		}
	case Map:
		if k == reflect.Map && t.Key().Kind() == reflect.String && f.Values != nil {
			return fits(t.Elem(), f.Values, path+"[]")
		}
	case Record:
		if k == reflect.Struct {
			return compareStruct(t, f.Fields, path)
		}
	}
	if ok {
		return nil
	}
	return []error{fmt.Errorf("%s: %s does not fit into %s", path, f.Type, t)}
}
