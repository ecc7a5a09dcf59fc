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
	options := []gojq.CompilerOption{
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
		gojq.WithFunction("_subtract_lists", 2, 2, func(_ any, args []any) any {
			return subtractLists(args[0].([]any), args[1].([]any))
		}),
	}
	for _, name := range costly {
		options = append(options, gojq.WithFunction("_affordable_"+name, 1, 1, func(v any, args []any) any {
			if err := affordable(name, v, args[0]); err != nil {
				return err
			}
			return v
		}))
	}
	return options
}

// limited are functions of jq's own that know no limit, defined anew with one. They stand in the program: the library lets
// nothing replace its own.
var limited = func() map[string]string { // read-only
	definitions := map[string]string{
		"fromjson": "def fromjson: _fromjson; .",
		"tonumber": "def _tonumber: tonumber; def tonumber: _short | _tonumber; .",
		minus:      `def ` + minus + `($b; $a): if ($a | type) == "array" and ($b | type) == "array" then _subtract_lists($a; $b) else _subtract($a; $b) end; .`,
	}
	for _, name := range costly {
		definitions[name] = strings.ReplaceAll("def _NAME($b): NAME($b); def NAME($b): _affordable_NAME($b) | _NAME($b); .", "NAME", name)
	}
	return definitions
}()

// limit has a program use the functions with limits.
func limit(program *gojq.Query) {
	guardMinus(program)
	text := program.String()
	var list []*gojq.FuncDef
	for _, name := range sortedKeys(limited) {
		if !strings.Contains(text, name) {
			continue
		}
		if query, err := gojq.Parse(limited[name]); err == nil {
			list = append(list, query.FuncDefs...)
		}
	}
	program.FuncDefs = append(list, program.FuncDefs...)
}
