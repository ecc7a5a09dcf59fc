package schema

// maxJSONDepth bounds the nesting in a field of type json.
const maxJSONDepth = 200

// json checks the value of a json field by its inline schema. nil is null.
func (w *walker) json(path string, f *Field, v any) any {
	out, ok := copyJSON(v, 0)
	if !ok {
		w.fail(path, "nested deeper than %d levels", maxJSONDepth)
		return nil
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
