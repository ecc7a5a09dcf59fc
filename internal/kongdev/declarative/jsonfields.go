package declarative

import "kong-go-plugins/schema"

// withoutEmptyLists is a configuration as it comes out of Kong's memory: inside
// a field of type json an empty list is an empty table like any other, and
// prints as {}. Elsewhere the schema tells Kong which one it is.
func withoutEmptyLists(fields []schema.Field, config map[string]any) {
	for i := range fields {
		f := &fields[i]
		if v, ok := config[f.Name]; ok {
			config[f.Name] = loseEmptyLists(f, v)
		}
	}
}

func loseEmptyLists(f *schema.Field, v any) any {
	switch f.Type {
	case schema.JSON:
		return emptyTables(v)
	case schema.Record:
		if m, ok := v.(map[string]any); ok {
			withoutEmptyLists(f.Fields, m)
		}
	case schema.Map:
		if m, ok := v.(map[string]any); ok && f.Values != nil {
			for key := range m {
				m[key] = loseEmptyLists(f.Values, m[key])
			}
		}
	case schema.Array, schema.Set:
		if list, ok := v.([]any); ok && f.Elements != nil {
			for i := range list {
				list[i] = loseEmptyLists(f.Elements, list[i])
			}
		}
	}
	return v
}

// emptyTables makes every empty list below v an empty map.
func emptyTables(v any) any {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return map[string]any{}
		}
		for i := range v {
			v[i] = emptyTables(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = emptyTables(v[key])
		}
	}
	return v
}
