package schema

import "fmt"

// checkJSONSchema reports what is wrong with an inline schema, and what of draft 4 is not supported here. Kong refuses
// to start with one that is wrong.
func checkJSONSchema(s map[string]any, path string, depth int) []*FieldError {
	var errs []*FieldError
	fail := func(at, format string, args ...any) {
		errs = append(errs, &FieldError{Field: at, Text: fmt.Sprintf(format, args...)})
	}
	if depth > maxSchemaDepth {
		fail(path, "nested deeper than %d levels", maxSchemaDepth)
		return errs
	}
	sub := func(at string, v any) {
		m, ok := plain(v).(map[string]any)
		if !ok {
			fail(at, "wrong type: expected object, got %s", jsonType(plain(v)))
			return
		}
		errs = append(errs, checkJSONSchema(m, at, depth+1)...)
	}
	for _, key := range sortedKeys(s) {
		at, v := under(path, shown(key)), plain(s[key])
		switch key {
		case "id", "$id", "$schema", "$comment", "title", "description", "format", "pattern":
			if _, ok := v.(string); !ok {
				fail(at, "wrong type: expected string, got %s", jsonType(v))
			}
		case "default", "examples":
		case "type":
			names := typeNames(v)
			if len(names) == 0 {
				fail(at, "wrong type: expected a type or a list of types")
			}
			for _, name := range names {
				switch name {
				case "array", "boolean", "integer", "null", "number", "object", "string":
				default:
					fail(at, "matches none of the enum values: %s", shown(name))
				}
			}
		case "enum", "required":
			if list, ok := v.([]any); !ok || len(list) == 0 || key == "required" && len(stringsOf(list)) < len(list) {
				fail(at, "expect array to have at least 1 items")
			}
		case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties":
			if n, ok := number(v); !ok || !isWhole(n) || n < 0 {
				fail(at, "wrong type: expected integer, got %s", jsonType(v))
			}
		case "minimum", "maximum", "multipleOf":
			if n, ok := number(v); !ok || key == "multipleOf" && n <= 0 {
				fail(at, "wrong type: expected number, got %s", jsonType(v))
			}
		case "exclusiveMinimum", "exclusiveMaximum", "uniqueItems":
			if _, ok := v.(bool); !ok {
				fail(at, "wrong type: expected boolean, got %s", jsonType(v))
			}
		case "additionalProperties":
			if _, ok := v.(bool); !ok {
				sub(at, v)
			}
		case "items", "not":
			sub(at, v)
		case "properties", "patternProperties":
			m, ok := v.(map[string]any)
			if !ok {
				fail(at, "wrong type: expected object, got %s", jsonType(v))
			}
			for _, name := range sortedKeys(m) {
				sub(under(at, shown(name)), m[name])
			}
		case "allOf", "anyOf", "oneOf":
			list, ok := v.([]any)
			if !ok || len(list) == 0 {
				fail(at, "expect array to have at least 1 items")
			}
			for i, e := range list {
				sub(fmt.Sprintf("%s[%d]", at, i), e)
			}
		default:
			fail(at, "this keyword is not supported here")
		}
	}
	return errs
}
