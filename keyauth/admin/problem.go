package admin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kong-go-plugins/keyauth/store"
)

// A problem is an answer that says what is wrong, in the form of Kong's errors. Only code 0 has nothing but a message.
type problem struct {
	status  int
	code    int
	name    string
	message string
	fields  map[string]any // by field: a text, a list by position, or a map by member
	options map[string]any
}

func (p *problem) Error() string { return p.message }

// Kong's codes.
const (
	schemaViolation     = 2
	primaryKeyViolation = 3
	foreignKeyViolation = 4
	uniqueViolation     = 5
	notFoundCode        = 6
	invalidOffset       = 7
	invalidSize         = 9
	invalidOptions      = 11
	foreignUnresolved   = 13
)

// hidden stands where Kong repeats a key.
const hidden = "<hidden>"

func message(status int, format string, args ...any) *problem {
	return &problem{status: status, message: fmt.Sprintf(format, args...)}
}

func notFound() *problem { return message(404, "Not found") }

// pair is how Kong writes a field and its value in a message.
func pair(field, value string) string {
	return "{" + field + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", "\\\n", "\r", `\r`, "\x00", `\0`).Replace(value) + `"}`
}

// notFoundBy is what PATCH answers for an entity that is not there.
func notFoundBy(field, value string) *problem {
	with := "with"
	if field == "id" {
		with = "with primary key"
	}
	return &problem{
		status: 404, code: notFoundCode, name: "not found",
		message: fmt.Sprintf("could not find the entity %s '%s'", with, pair(field, value)), fields: map[string]any{field: value},
	}
}

func unique(field, value string) *problem {
	return &problem{
		status: 409, code: uniqueViolation, name: "unique constraint violation",
		message: fmt.Sprintf("UNIQUE violation detected on '%s'", pair(field, value)), fields: map[string]any{field: value},
	}
}

func idTaken(id string) *problem {
	return &problem{
		status: 400, code: primaryKeyViolation, name: "primary key violation",
		message: fmt.Sprintf("primary key violation on key '%s'", pair("id", id)), fields: map[string]any{"id": id},
	}
}

func noSuchConsumer(id string) *problem {
	return &problem{
		status: 400, code: foreignKeyViolation, name: "foreign key violation",
		message: fmt.Sprintf("the foreign key '%s' does not reference an existing 'consumers' entity.", pair("id", id)),
		fields:  map[string]any{"consumer": map[string]any{"id": id}},
	}
}

func unresolved(username string) *problem {
	text := fmt.Sprintf("the foreign key cannot be resolved with '%s' for an existing 'consumers' entity", pair("username", username))
	return &problem{
		status: 400, code: foreignUnresolved, name: "foreign keys unresolved",
		message: fmt.Sprintf("foreign key unresolved (consumer.username: %s)", text),
		fields:  map[string]any{"consumer": map[string]any{"username": text}},
	}
}

func badOption(name, text string) *problem {
	return &problem{
		status: 400, code: invalidOptions, name: "invalid options",
		message: fmt.Sprintf("invalid option (%s: %s)", name, text), options: map[string]any{name: text},
	}
}

func badSize(text string) *problem {
	return &problem{status: 400, code: invalidSize, name: "invalid size", message: text}
}

func badOffset(offset, why string) *problem {
	return &problem{
		status: 400, code: invalidOffset, name: "invalid offset",
		message: fmt.Sprintf("'%s' is not a valid offset: %s", strings.ToValidUTF8(offset, "?"), why),
	}
}

// violations says which fields are wrong; wrong is not empty.
func violations(wrong map[string]any) *problem {
	var texts []string
	if list, is := wrong["@entity"].([]any); is {
		for _, text := range list {
			texts = append(texts, fmt.Sprint(text))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		switch w := wrong[name].(type) {
		case string:
			texts = append(texts, name+": "+w)
		case map[string]any:
			for _, member := range slices.Sorted(maps.Keys(w)) {
				texts = append(texts, fmt.Sprintf("%s.%s: %s", name, member, w[member]))
			}
		case []any:
			for i, text := range w {
				if text != nil && name != "@entity" {
					texts = append(texts, fmt.Sprintf("%s.%d: %s", name, i+1, text))
				}
			}
		}
	}
	p := &problem{status: 400, code: schemaViolation, name: "schema violation", fields: wrong}
	if len(texts) == 1 {
		p.message = fmt.Sprintf("schema violation (%s)", texts[0])
	} else {
		p.message = fmt.Sprintf("%d schema violations (%s)", len(texts), strings.Join(texts, "; "))
	}
	return p
}

// explain turns an error of the store into an answer, or returns nil for one that is no fault of the request. creating
// is for POST, which Kong answers in its own way when an id is taken.
func explain(err error, creating bool) *problem {
	var p *problem
	var conflict *store.ConflictError
	var reference *store.ReferenceError
	var offset *store.OffsetError
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	case errors.As(err, &conflict) && conflict.Entity == "consumer" && conflict.Field == "id" && creating:
		return idTaken(conflict.Value)
	case errors.As(err, &conflict) && conflict.Value == "":
		return unique(conflict.Field, hidden)
	case errors.As(err, &conflict):
		return unique(conflict.Field, conflict.Value)
	case errors.As(err, &reference):
		return noSuchConsumer(reference.ConsumerID)
	case errors.As(err, &offset):
		return badOffset(offset.Offset, "bad json encoding")
	}
	return nil
}

// body is the problem as JSON in 3.9.
func (p *problem) body() map[string]any {
	b := map[string]any{"message": p.message}
	if p.code != 0 {
		b["code"], b["name"] = p.code, p.name
	}
	if p.fields != nil {
		b["fields"] = p.fields
	}
	if p.options != nil {
		b["options"] = p.options
	}
	return b
}

// seedBody is the problem as Kong 0.x answers it: a text by field.
func (p *problem) seedBody() (status int, body map[string]any) {
	body = map[string]any{}
	switch p.code {
	case uniqueViolation, primaryKeyViolation:
		for field, value := range p.fields {
			body[field] = fmt.Sprintf("already exists with value '%s'", value)
		}
		return 409, body
	case foreignKeyViolation:
		for _, id := range p.fields["consumer"].(map[string]any) {
			body["consumer_id"] = fmt.Sprintf("does not exist with value '%s'", id)
		}
		return 404, body
	case notFoundCode:
		return 404, map[string]any{"message": "Not found"}
	case schemaViolation:
		for field, text := range p.fields {
			if field == "@entity" {
				field, text = "message", text.([]any)[0]
			}
			body[field] = text
		}
		return 400, body
	case invalidOptions:
		return 400, p.options
	}
	return p.status, map[string]any{"message": p.message}
}
