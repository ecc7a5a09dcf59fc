package schema

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// check runs the validators of f, in Kong's order, on a value of its type, and returns what is wrong, or "".
func (f *Field) check(v any) string {
	for _, text := range []func(any) string{
		f.checkEquality, f.checkNumber, f.checkLength, f.checkString, f.checkList,
	} {
		if t := text(v); t != "" {
			return orErr(f, t)
		}
	}
	return ""
}

// orErr returns the declaration's own text instead, if it has one.
func orErr(f *Field, text string) string {
	if f.Err != "" {
		return f.Err
	}
	return text
}

func (f *Field) checkEquality(v any) string {
	if f.Eq != nil && !equal(plain(f.Eq), v) {
		return "value must be " + luaString(plain(f.Eq))
	}
	if f.Ne != nil && equal(plain(f.Ne), v) {
		return "value must not be " + f.show(v)
	}
	if f.NotOneOf != nil && contains(f.NotOneOf, v) {
		return "must not be one of: " + concat(f.NotOneOf)
	}
	if f.OneOf != nil && !contains(f.OneOf, v) {
		return "expected one of: " + concat(f.OneOf)
	}
	return ""
}

// concat writes a list as Lua's table.concat does.
func concat(list []any) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = luaString(plain(v))
	}
	return strings.Join(texts, ", ")
}

// show returns a value for a message; a secret is not shown.
func (f *Field) show(v any) string {
	if f.Encrypted {
		return "(not shown)"
	}
	return shown(luaString(v))
}

func (f *Field) checkNumber(v any) string {
	if n, ok := v.(float64); ok {
		if f.Gt != nil && n <= *f.Gt {
			return "value must be greater than " + luaNumber(*f.Gt)
		}
		if f.Timestamp && n <= 0 {
			return "expected a valid timestamp"
		}
	}
	if s, ok := v.(string); ok {
		if f.UUID && !uuidPattern.MatchString(s) {
			return "expected a valid UUID"
		}
		if f.IsRegex && !isRegex(s) {
			return "not a valid regex: " + f.show(s)
		}
	}
	if n, ok := v.(float64); ok && len(f.Between) == 2 && (n < f.Between[0] || n > f.Between[1]) {
		return fmt.Sprintf("value should be between %d and %d", int64(f.Between[0]), int64(f.Between[1]))
	}
	return ""
}

var uuidPattern = regexp.MustCompile(`^(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`)

// isRegex reports whether Kong would take s as a PCRE. What only PCRE knows (look-around, back-references and the like)
// is believed.
func isRegex(s string) bool {
	_, err := syntax.Parse(s, syntax.Perl)
	var e *syntax.Error
	if !errors.As(err, &e) {
		return true
	}
	switch e.Code {
	case syntax.ErrInvalidPerlOp, syntax.ErrInvalidEscape, syntax.ErrInvalidNamedCapture, syntax.ErrInvalidRepeatOp:
		return e.Code != syntax.ErrInvalidRepeatOp || strings.HasSuffix(e.Expr, "+") // possessive: a++
	case syntax.ErrLarge, syntax.ErrNestingDepth, syntax.ErrInvalidRepeatSize:
		return true
	}
	return false
}

func (f *Field) checkLength(v any) string {
	var n int
	switch v := v.(type) {
	case string:
		n = len(v)
	case []any:
		n = len(v)
	case map[string]any:
		n = len(v)
	default:
		return ""
	}
	if f.LenEq != nil && n != *f.LenEq {
		return fmt.Sprintf("length must be %d", *f.LenEq)
	}
	least := f.LenMin
	if least == nil && f.Type == String {
		least = new(1) // Kong's default for strings
	}
	if least != nil && n < *least {
		return fmt.Sprintf("length must be at least %d", *least)
	}
	if f.LenMax != nil && n > *f.LenMax {
		return fmt.Sprintf("length must be at most %d", *f.LenMax)
	}
	return ""
}

func (f *Field) checkString(v any) string {
	s, ok := v.(string)
	if !ok {
		return ""
	}
	if !strings.HasPrefix(s, f.StartsWith) {
		return "should start with: " + f.StartsWith
	}
	invalid := func() string { return "invalid value: " + f.show(s) }
	if f.NotMatch != "" {
		if ok, err := matchLua(f.NotMatch, s); ok || err != nil {
			return orText(err, invalid)
		}
	}
	for _, p := range f.MatchNone {
		if ok, err := matchLua(p.Pattern, s); ok || err != nil {
			return orText(err, func() string { return orDefault(p.Err, invalid()) })
		}
	}
	if f.Match != "" {
		if ok, err := matchLua(f.Match, s); !ok {
			return orText(err, invalid)
		}
	}
	for _, p := range f.MatchAll {
		if ok, err := matchLua(p.Pattern, s); !ok {
			return orText(err, func() string { return orDefault(p.Err, invalid()) })
		}
	}
	if f.MatchAny != nil {
		matches := func(p string) bool { ok, _ := matchLua(p, s); return ok }
		if !slices.ContainsFunc(f.MatchAny.Patterns, matches) {
			return orDefault(f.MatchAny.Err, invalid())
		}
	}
	return ""
}

func orText(err error, text func() string) string {
	if err != nil {
		return err.Error()
	}
	return text()
}

func orDefault(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

func (f *Field) checkList(v any) string {
	list, ok := v.([]any)
	if !ok {
		return ""
	}
	if f.Contains != nil && !contains(list, plain(f.Contains)) {
		return "expected to contain: " + luaString(plain(f.Contains))
	}
	var used []string
	for _, subset := range f.MutuallyExclusiveSubsets {
		for _, e := range list {
			if s, ok := e.(string); ok && slices.Contains(subset, s) {
				used = append(used, "("+quotedList(subset)+")")
				break
			}
		}
	}
	if len(used) > 1 {
		return "these sets are mutually exclusive: " + strings.Join(used, ", ")
	}
	return ""
}

// isWhole reports whether n is a whole number.
func isWhole(n float64) bool { return n == math.Trunc(n) && !math.IsInf(n, 0) }
