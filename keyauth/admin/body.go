package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of what is read, per request.
const (
	maxBody = 1 << 20 // bytes
	maxArgs = 1000    // of a form, as in Kong
)

// readBody reads what a POST, PUT or PATCH says, in one of Kong's three formats.
func readBody(w http.ResponseWriter, r *http.Request) (*fields, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, message(413, "the body has more than %d bytes", maxBody)
	case err != nil:
		return nil, message(400, "the body could not be read to its end")
	}
	types := r.Header.Values("Content-Type")
	if len(types) > 1 {
		return nil, message(400, "Multiple Content-Type headers not allowed")
	}
	kind := ""
	if len(types) == 1 {
		kind = strings.ToLower(strings.TrimSpace(types[0]))
	}
	switch {
	case kind == "" && len(body) == 0:
		return newFields(nil, false), nil
	case strings.HasPrefix(kind, "application/json"):
		return readJSON(body)
	case strings.HasPrefix(kind, "application/x-www-form-urlencoded"):
		return readForm(body)
	case strings.HasPrefix(kind, "multipart/form-data"):
		return readMultipart(body, types[0])
	}
	return nil, message(415, "the body's Content-Type must be application/json, application/x-www-form-urlencoded or multipart/form-data")
}

func readJSON(body []byte) (*fields, error) {
	wrong := message(400, "Cannot parse JSON body")
	if !utf8.Valid(body) {
		return nil, wrong
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil || values == nil {
		return nil, wrong
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, wrong
	}
	return newFields(values, false), nil
}

func readForm(body []byte) (*fields, error) {
	if strings.Count(string(body), "&") >= maxArgs {
		return nil, message(400, "the form has more than %d arguments", maxArgs)
	}
	args, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, message(400, "Cannot parse form body")
	}
	return nested(args)
}

func readMultipart(body []byte, contentType string) (*fields, error) {
	if len(body) == 0 {
		return newFields(nil, true), nil
	}
	wrong := message(400, "Cannot parse multipart body")
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, wrong
	}
	args, parts := url.Values{}, multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nested(args)
		}
		if err != nil {
			return nil, wrong
		}
		if n == maxArgs {
			return nil, message(400, "the form has more than %d parts", maxArgs)
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, wrong
		}
		if name := part.FormName(); name != "" {
			args.Add(name, string(value))
		}
	}
}

// nested turns the arguments of a form into what the same body in JSON would be: consumer.id is a member of consumer,
// tags[] and tags[2] are elements of tags, and so are several arguments of one name.
func nested(args url.Values) (*fields, error) {
	values := map[string]any{}
	for _, name := range sortedNames(args) {
		for _, value := range args[name] {
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				return nil, message(400, "the form is not UTF-8")
			}
		}
		var value any = args.Get(name)
		if len(args[name]) > 1 {
			value = anyList(args[name])
		}
		base, isElement := cutIndex(name)
		outer, member, isMember := strings.Cut(base, ".")
		switch {
		case isElement:
			before, isList := values[base].([]any)
			if values[base] != nil && !isList {
				return nil, message(400, "the form has %s as a list and as a value", printable(base))
			}
			values[base] = append(before, anyList(args[name])...)
		case isMember && outer != "" && member != "":
			record, isRecord := values[outer].(map[string]any)
			if values[outer] != nil && !isRecord {
				return nil, message(400, "the form has %s as a record and as a value", printable(outer))
			}
			if record == nil {
				record = map[string]any{}
				values[outer] = record
			}
			record[member] = value
		default:
			values[name] = value
		}
	}
	return newFields(values, true), nil
}

// sortedNames puts the elements of a list in their order.
func sortedNames(args url.Values) []string {
	names := make([]string, 0, len(args))
	for name := range args {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		baseA, _ := cutIndex(a)
		baseB, _ := cutIndex(b)
		if baseA == baseB && len(a) != len(b) {
			return len(a) - len(b) // [2] before [10]
		}
		return strings.Compare(a, b)
	})
	return names
}

// cutIndex reads the name of an element: tags[] or tags[3].
func cutIndex(name string) (base string, isElement bool) {
	at := strings.LastIndexByte(name, '[')
	if at < 1 || !strings.HasSuffix(name, "]") {
		return name, false
	}
	index := name[at+1 : len(name)-1]
	if _, err := strconv.ParseUint(index, 10, 16); err != nil && index != "" {
		return name, false
	}
	return name[:at], true
}

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}

// printable is a field's name in a message; who puts a key in the place of a name sees it nowhere.
func printable(name string) string {
	if len(name) > 32 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_@.") != "" {
		return "a field"
	}
	return name
}
