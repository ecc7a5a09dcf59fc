package kv

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"
)

// An entry as text. JSON has no strings that are not UTF-8, so those are written as {bytesMember: base64}. An object that has
// a member of that name, as any client may send, is written as {bytesMember: the object}.
type text struct {
	Value any   `json:"value"`
	Fresh int64 `json:"fresh_until,omitempty"` // milliseconds since 1970
}

const bytesMember = "\x00bytes"

func encodeEntry(e Entry) ([]byte, error) {
	if _, err := sizeOf(e.Value); err != nil {
		return nil, err
	}
	t := text{Value: e.Value}
	if !isText(e.Value) {
		t.Value = asText(e.Value)
	}
	if !e.Fresh.IsZero() {
		t.Fresh = e.Fresh.UnixMilli()
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(t); err != nil {
		return nil, errors.New("the value cannot be written as JSON")
	}
	return b.Bytes(), nil
}

func decodeEntry(b []byte) (Entry, error) {
	var t text
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&t); err != nil {
		return Entry{}, errors.New("redis: what stands under this key is not an entry of this cache; remove it")
	}
	e := Entry{Value: t.Value}
	if bytes.Contains(b, []byte(`\u0000bytes`)) {
		e.Value = fromText(t.Value)
	}
	if t.Fresh != 0 {
		e.Fresh = time.UnixMilli(t.Fresh)
	}
	return e, nil
}

// isText reports whether JSON can say all strings of a value.
func isText(v any) bool {
	switch v := v.(type) {
	case string:
		return utf8.ValidString(v)
	case []any:
		for _, e := range v {
			if !isText(e) {
				return false
			}
		}
	case map[string]any:
		for key, e := range v {
			if key == bytesMember || !utf8.ValidString(key) || !isText(e) {
				return false
			}
		}
	}
	return true
}

// asText copies a value with what isText refuses as objects.
func asText(v any) any {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return map[string]any{bytesMember: base64.StdEncoding.EncodeToString([]byte(v))}
		}
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = asText(e)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, e := range v {
			m[key] = asText(e)
		}
		if _, looksCoded := v[bytesMember]; looksCoded {
			return map[string]any{bytesMember: m}
		}
		return m
	}
	return v
}

// fromText undoes asText, in place: nobody else has seen the value.
func fromText(v any) any {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			v[i] = fromText(e)
		}
	case map[string]any:
		if coded, ok := v[bytesMember].(string); ok && len(v) == 1 {
			if b, err := base64.StdEncoding.DecodeString(coded); err == nil {
				return string(b)
			}
		}
		if object, ok := v[bytesMember].(map[string]any); ok && len(v) == 1 {
			v = object
		}
		for key, e := range v {
			v[key] = fromText(e)
		}
		return v
	}
	return v
}
