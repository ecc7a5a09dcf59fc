package datakit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// decodeJSON reads one JSON value. Numbers keep their digits. Errors do not show the text, which may hold secrets.
func decodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("not JSON: wrong at byte %d", syntax.Offset)
		}
		return nil, errors.New("not JSON: it ends too early")
	}
	if rest := bytes.TrimLeft(b[d.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return nil, fmt.Errorf("not JSON: more than one value, the second at byte %d", len(b)-len(rest))
	}
	if hasLongNumber(b, v) {
		return nil, errLongNumber
	}
	return v, nil
}

// encodeJSON writes a value that flows, or one made of such. Keys are sorted, and nothing is escaped that need not be. A
// number that is not finite is written as jq does it.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	if _, notFinite := errors.AsType[*json.UnsupportedValueError](err); notFinite {
		b.Reset()
		err = e.Encode(finite(v))
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// finite copies a value with null for what is no number, and with the largest numbers in place of the infinite ones.
func finite(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) {
			return nil
		}
		return max(-math.MaxFloat64, min(math.MaxFloat64, v))
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = finite(e)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, e := range v {
			m[key] = finite(e)
		}
		return m
	}
	return v
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
