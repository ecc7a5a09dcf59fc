package admin

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"kong-go-plugins/keyauth/store"
)

// Limits of single values. Kong has none; these keep the file's lines short.
const (
	maxText     = 1024 // bytes of a name, a tag, a group
	maxKey      = 4096 // bytes of a key
	maxElements = 256  // of a list
	maxTTL      = 100_000_000
	maxTime     = 253_402_300_799 // the year 9999
)

// fields are what a body says. Taking one checks it; what is wrong is collected, and so is what nobody has taken.
type fields struct {
	values map[string]any
	form   bool // values are texts; an empty one is null
	taken  []string
	wrong  map[string]any
	option *problem
}

func newFields(values map[string]any, form bool) *fields {
	return &fields{values: values, form: form, wrong: map[string]any{}}
}

// An optional is a field that may be absent. Null is present with the zero value.
type optional[T any] struct {
	given bool
	value T
}

// apply sets what was given.
func (o optional[T]) apply(to *T) {
	if o.given {
		*to = o.value
	}
}

// err returns what is wrong with all fields taken so far and with those that nobody has taken.
func (f *fields) err() error {
	for name := range f.values {
		if !slices.Contains(f.taken, name) {
			f.wrong[name] = "unknown field"
		}
	}
	if len(f.wrong) > 0 {
		return violations(f.wrong)
	}
	if f.option != nil {
		return f.option
	}
	return nil
}

// names returns the fields that the body has, sorted, for the audit log.
func (f *fields) names() []string {
	taken := slices.DeleteFunc(slices.Clone(f.taken), func(name string) bool { _, has := f.values[name]; return !has })
	slices.Sort(taken)
	return slices.Compact(taken)
}

// take reads one field. What read returns as wrong is a text, or a list or map of texts.
func take[T any](f *fields, name string, read func(v any) (value T, wrong any)) (o optional[T]) {
	f.taken = append(f.taken, name)
	v, has := f.values[name]
	if !has {
		return o
	}
	o.given = true
	if v == nil || f.form && v == "" {
		return o
	}
	value, wrong := read(v)
	if wrong != nil {
		f.wrong[name] = wrong
		return optional[T]{}
	}
	o.value = value
	return o
}

func (f *fields) text(name string, limit int) optional[string] {
	return take(f, name, func(v any) (string, any) { return readText(v, limit) })
}

func readText(v any, limit int) (string, any) {
	s, is := v.(string)
	switch {
	case !is:
		return "", "expected a string"
	case s == "":
		return "", "length must be at least 1"
	case len(s) > limit:
		return "", fmt.Sprintf("length must be at most %d", limit)
	case !utf8.ValidString(s):
		return "", "expected valid UTF-8"
	case strings.ContainsRune(s, 0):
		return "", "must not contain a zero byte"
	}
	return s, nil
}

func (f *fields) uuid(name string) optional[string] {
	return take(f, name, readUUID)
}

func readUUID(v any) (string, any) {
	s, is := v.(string)
	if !is {
		return "", "expected a string"
	}
	if !store.IsUUID(s) {
		return "", "expected a valid UUID"
	}
	return strings.ToLower(s), nil
}

func (f *fields) boolean(name string) optional[bool] {
	return take(f, name, func(v any) (bool, any) {
		if b, is := v.(bool); is {
			return b, nil
		}
		if f.form && (v == "true" || v == "false") {
			return v == "true", nil
		}
		return false, "expected a boolean"
	})
}

// timestamp reads a time that is given in units per second and returns it in seconds.
func (f *fields) timestamp(name string, units float64) optional[int64] {
	return take(f, name, func(v any) (int64, any) {
		n, is := f.number(v)
		switch {
		case !is || n != math.Floor(n):
			return 0, "expected an integer"
		case n < units || n/units > maxTime:
			return 0, "expected a valid timestamp"
		}
		return int64(n / units), nil
	})
}

// ttl is no field of the entity in Kong but an option, with errors of its own.
func (f *fields) ttl() optional[int64] {
	return take(f, "ttl", func(v any) (int64, any) {
		n, is := f.number(v)
		if !is || n != math.Floor(n) || n < 0 || n > maxTTL {
			f.option = badOption("ttl", fmt.Sprintf("must be an integer between 0 and %d", maxTTL))
			return 0, nil
		}
		return int64(n), nil
	})
}

func (f *fields) number(v any) (float64, bool) {
	text, is := v.(json.Number)
	if s, isText := v.(string); isText && f.form {
		text, is = json.Number(strings.TrimSpace(s)), true
	}
	if !is {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(text), 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// set reads a list of values, each once.
func set[T comparable](f *fields, name string, read func(v any) (T, any)) optional[[]T] {
	return take(f, name, func(v any) ([]T, any) {
		list, is := v.([]any)
		if !is && f.form {
			list, is = []any{v}, true
		}
		switch {
		case !is:
			return nil, "expected a set"
		case len(list) > maxElements:
			return nil, fmt.Sprintf("length must be at most %d", maxElements)
		}
		values, wrong := make([]T, 0, len(list)), []any(nil)
		for i, element := range list {
			value, w := read(element)
			if w != nil {
				wrong = append(append(wrong, make([]any, i-len(wrong))...), w)
			} else if !slices.Contains(values, value) {
				values = append(values, value)
			}
		}
		if wrong != nil {
			return nil, wrong
		}
		return values, nil
	})
}

func readName(v any) (string, any) { return readText(v, maxText) }

// readTag allows what Kong does: printable ASCII but for , and /, and UTF-8.
func readTag(v any) (string, any) {
	s, wrong := readText(v, maxText)
	if wrong == nil && !isTag(s) {
		return "", "invalid tag '" + s + "': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
	}
	return s, wrong
}

func isTag(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == ',' || r == '/' || r == 0x7f })
}

func readScope(v any) (string, any) {
	s, wrong := readText(v, maxText)
	if wrong == nil {
		if _, _, err := store.ParseScope(s); err != nil {
			return "", err.Error()
		}
	}
	return s, wrong
}

func readNetwork(v any) (netip.Prefix, any) {
	s, wrong := readText(v, maxText)
	if wrong != nil {
		return netip.Prefix{}, wrong
	}
	p, err := store.ParseNetwork(s)
	if err != nil {
		return p, err.Error()
	}
	return p, nil
}

// A reference names a credential's consumer.
type reference struct{ id, username string }

// consumer reads what Kong calls a foreign key: an object with the id, or with the username instead.
func (f *fields) consumer() optional[reference] {
	return take(f, "consumer", func(v any) (r reference, wrong any) {
		record, is := v.(map[string]any)
		if !is {
			return r, "expected a record"
		}
		inner := newFields(record, f.form)
		r.id = inner.uuid("id").value
		r.username = inner.text("username", maxText).value
		if r == (reference{}) && len(inner.wrong) == 0 {
			inner.wrong["id"] = "missing primary key"
		}
		if inner.err() != nil {
			return r, inner.wrong
		}
		return r, nil
	})
}
