package datakit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

// encodeJSON writes a value that flows, or one made of such. Keys are sorted, and nothing is escaped that need not be.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
