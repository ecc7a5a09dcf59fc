package datakit

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
)

// A typ is the type of a port, by its name in messages.
type typ string

const (
	anyType     typ = "any"
	stringType  typ = "string"
	numberType  typ = "number"
	booleanType typ = "boolean"
	objectType  typ = "object" // fixed fields
	mapType     typ = "map"    // any keys
)

// mayFlow reports whether a value of type from can go into a port of type to: always, or depending on the value.
func mayFlow(from, to typ) bool {
	switch {
	case from == to, from == anyType, to == anyType:
		return true
	case from == stringType && to == numberType, from == numberType && to == stringType, from == booleanType && to == stringType:
		return true
	}
	return false
}

// typeOf is the type of a literal. A list has none of its own.
func typeOf(v any) typ {
	switch v.(type) {
	case string:
		return stringType
	case bool:
		return booleanType
	case map[string]any:
		return mapType
	case nil, []any:
		return anyType
	}
	return numberType
}

// nameOf is the name of a value's type, for messages.
func nameOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return string(typeOf(v))
}

// convert makes v fit into a port. null fits everywhere.
func convert(v any, to typ) (any, error) {
	if v == nil || to == anyType {
		return v, nil
	}
	switch to {
	case stringType:
		if s, ok := textOf(v); ok {
			return s, nil
		}
	case numberType:
		if n, ok := numberOf(v); ok {
			return n, nil
		}
		if s, ok := v.(string); ok {
			return nil, fmt.Errorf("expected number, got a string that is none (%d bytes)", len(s))
		}
	case booleanType:
		if _, ok := v.(bool); ok {
			return v, nil
		}
	case mapType, objectType:
		if _, ok := v.(map[string]any); ok {
			return v, nil
		}
	}
	return nil, fmt.Errorf("expected %s, got %s", to, nameOf(v))
}

// textOf is the text of a scalar: what a header or a query argument says of it.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case float64:
		b, err := json.Marshal(v)
		return string(b), err == nil
	case json.Number:
		return v.String(), true
	case *big.Int:
		return v.String(), true
	}
	return "", false
}

// numberOf is the number that v is, or that a string is.
func numberOf(v any) (any, bool) {
	switch v := v.(type) {
	case int, float64, json.Number, *big.Int:
		return v, true
	case string:
		if !json.Valid([]byte(v)) || v == "" || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
			return nil, false
		}
		return json.Number(v), true
	}
	return nil, false
}

// floatOf is a number as a float64.
func floatOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	}
	return 0, false
}
