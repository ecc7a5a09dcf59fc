package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Decode reads the configuration that Kong sends when it starts an instance and stores it in the struct that into
// points to: each field in the member with its json tag.
//
// It is as tolerant as Kong is careless: bookkeeping keys and other unknown fields are ignored, null counts as absent,
// an empty table is an empty list or an empty map as wanted, 50.0 is the integer 50. Absent fields get their defaults,
// nested records included. It never panics, and what it stores without an error satisfies the declaration.
//
// Every mistake is returned at once, as [FieldError] values joined. The struct then holds the defaults and all that
// could be read, so that a caller can still see settings like a log level; it must not act on them.
func (p Plugin) Decode(config []byte, into any) error {
	s, err := structOf(into)
	if err != nil {
		return err
	}
	in, err := decodeObject(config)
	if err != nil {
		p.SetDefaults(into)
		return &FieldError{Text: err.Error()}
	}
	w := walker{received: true}
	out := w.config(p, in)
	return join(append(w.errs, s.fill(p.Fields, out, "")...))
}

// SetDefaults stores the default of every field that has one in the struct that into points to, and leaves the other
// members alone. Whatever does not fit is left out; [Plugin.CheckStruct] finds it in a test.
func (p Plugin) SetDefaults(into any) {
	s, err := structOf(into)
	if err != nil {
		return
	}
	w := walker{received: true}
	s.fill(p.Fields, w.config(p, nil), "")
}

// decodeObject reads one JSON object. Numbers keep their text.
func decodeObject(config []byte) (map[string]any, error) {
	if !utf8.Valid(config) {
		return nil, errors.New("the configuration is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the configuration is not JSON: %w", jsonError(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the configuration is not JSON: more than one value")
	}
	if list, ok := v.([]any); ok && len(list) == 0 {
		return nil, nil // an empty Lua table
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the configuration is not a JSON object: " + textRecord)
	}
	return m, nil
}

// jsonError says where the text is wrong without showing it: it may hold secrets.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("wrong at byte %d", syntax.Offset)
	}
	return errors.New("it ends too early")
}
