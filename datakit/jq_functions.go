package datakit

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/itchyny/gojq"
)

// jqFunctions are those of jq that the library does not have.
func jqFunctions() []gojq.CompilerOption {
	same := func(v any, _ []any) any { return v }
	return []gojq.CompilerOption{
		gojq.WithFunction("debug", 0, 1, same),
		gojq.WithFunction("stderr", 0, 0, same),
		gojq.WithFunction("keys_unsorted", 0, 0, func(v any, _ []any) any {
			switch v := v.(type) {
			case map[string]any:
				return anyList(sortedKeys(v))
			case []any:
				keys := make([]any, len(v))
				for i := range keys {
					keys[i] = i
				}
				return keys
			}
			return fmt.Errorf("keys_unsorted cannot be applied to: %s", nameOf(v))
		}),
		gojq.WithFunction("toarray", 0, 0, func(v any, _ []any) any {
			if _, is := v.([]any); is {
				return v
			}
			return []any{v}
		}),
		gojq.WithFunction("ascii", 0, 0, func(v any, _ []any) any {
			f, ok := floatOf(v)
			if !ok || f < 0 || f > 127 || f != math.Trunc(f) {
				return errors.New("ascii takes a number from 0 to 127")
			}
			return string(rune(f))
		}),
		gojq.WithFunction("have_literal_numbers", 0, 0, func(any, []any) any { return true }),
		gojq.WithFunction("_short", 0, 0, func(v any, _ []any) any {
			if text, ok := v.(string); ok && len(text) > maxNumber {
				return errLongNumber
			}
			return v
		}),
		gojq.WithFunction("_fromjson", 0, 0, func(v any, _ []any) any {
			text, ok := v.(string)
			if !ok {
				return fmt.Errorf("fromjson cannot be applied to: %s", nameOf(v))
			}
			out, err := decodeJSON([]byte(text))
			if err != nil {
				return fmt.Errorf("fromjson: %w", err)
			}
			return out
		}),
	}
}

// limited are functions of jq's own that know no limit, defined anew with one. They stand in the program: the library lets
// nothing replace its own.
var limited = []struct{ name, definition string }{ // read-only
	{"fromjson", "def fromjson: _fromjson; ."},
	{"tonumber", "def _tonumber: tonumber; def tonumber: _short | _tonumber; ."},
}

// limitedFunctions are those of them that a program may call.
func limitedFunctions(program string) (list []*gojq.FuncDef) {
	for _, l := range limited {
		if !strings.Contains(program, l.name) {
			continue
		}
		if query, err := gojq.Parse(l.definition); err == nil {
			list = append(list, query.FuncDefs...)
		}
	}
	return list
}
