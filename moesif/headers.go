package moesif

import (
	"slices"
	"strconv"
	"strings"

	"kong-go-plugins/moesif/mask"
	"kong-go-plugins/moesif/rawjson"
)

// headers are the headers of one message as Kong serializes them: lower-case names in Kong's order, at most 100.
type headers []headerField

type headerField struct {
	name   string
	values []string
}

// redacted is what Kong writes for the values of authorization and proxy-authorization.
const redacted = "REDACTED"

// A headerReader reads the headers objects of one log entry into few pieces of memory.
type headerReader struct {
	fields []headerField
	values []string
}

// reset makes the memory ready for the next entry, and keeps nothing of this one.
func (r *headerReader) reset() {
	clear(r.fields)
	clear(r.values)
	r.fields, r.values = r.fields[:0], r.values[:0]
}

// read reads the headers object of Kong's serialized log. A value is a text, a list of texts, or true.
func (r *headerReader) read(log *rawjson.Reader[string]) headers {
	first := len(r.fields)
	log.Members(func(name string) {
		start := len(r.values)
		if log.Next() == '[' {
			log.Elements(func() { r.value(log) })
		} else {
			r.value(log)
		}
		r.fields = append(r.fields, headerField{strings.ToLower(name), slices.Clip(r.values[start:])})
	})
	return slices.Clip(r.fields[first:])
}

func (r *headerReader) value(log *rawjson.Reader[string]) {
	if log.Next() == '"' {
		r.values = append(r.values, log.Text())
	} else {
		r.values = append(r.values, strings.ToValidUTF8(log.Value(), "\ufffd"))
	}
}

// values returns what the message has under a lower-case name.
func (h headers) values(name string) []string {
	for _, f := range h {
		if f.name == name {
			return f.values
		}
	}
	return nil
}

// first returns the first value that is not blank.
func (h headers) first(name string) string {
	for _, v := range h.values(name) {
		if v = strings.TrimSpace(v); v != "" {
			return v
		}
	}
	return ""
}

// joined returns the values as one, as the collector wants a repeated header.
func (h headers) joined(name string) string { return strings.Join(h.values(name), ", ") }

// appendTo appends the headers as a JSON object, masked. Credentials are never sent, whether or not Kong has redacted
// them.
func (h headers) appendTo(dst []byte, masks *mask.Masks) []byte {
	dst = append(dst, '{')
	first := true
	for _, f := range h {
		value, ok := f.shown(masks)
		if !ok {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = rawjson.AppendString(dst, f.name)
		dst = append(dst, ':')
		dst = rawjson.AppendString(dst, value)
	}
	return append(dst, '}')
}

// shown returns the field's value as the event has it, or false for none: a repeated header becomes one, as the collector
// wants it.
func (f headerField) shown(masks *mask.Masks) (value string, ok bool) {
	if isRedacted(f.name) {
		_, ok = masks.Header(f.name, "")
		return redacted, ok
	}
	for i, v := range f.values {
		if v, ok = masks.Header(f.name, v); !ok {
			return "", false
		}
		if i > 0 {
			v = value + ", " + v
		}
		value = v
	}
	return value, true
}

// contentLength returns the Content-Length, 0 when there is none that can be read.
func contentLength(h headers) int64 {
	n, err := strconv.ParseInt(h.first("content-length"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
