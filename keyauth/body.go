package keyauth

import (
	"mime"
	"strings"
)

// A body is a request's body by its media type; the zero value has no members. Texts in it are parts of the request.
type body struct {
	kind  bodyKind
	text  string
	bound string // of multipart

	undecodable bool // it should have members and cannot be read
}

type bodyKind uint8

const (
	noBody bodyKind = iota
	formBody
	jsonBody
	multipartBody
)

// kindOfBody tells by a Content-Type what a body is, as Kong does: by prefix, whatever the case.
func kindOfBody(contentType string) bodyKind {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	switch {
	case strings.HasPrefix(media, "application/x-www-form-urlencoded"):
		return formBody
	case strings.HasPrefix(media, "application/json"):
		return jsonBody
	case strings.HasPrefix(media, "multipart/form-data"):
		return multipartBody
	}
	return noBody
}

// newBody reads a body of a kind that has members. One that cannot be read has none.
func newBody(contentType string, text string) body {
	b := body{kind: kindOfBody(contentType), text: text}
	switch b.kind {
	case jsonBody:
		if !isJSON(text) {
			return body{undecodable: text != ""}
		}
	case multipartBody:
		_, parameters, err := mime.ParseMediaType(contentType)
		if b.bound = parameters["boundary"]; err != nil || b.bound == "" {
			return body{undecodable: text != ""}
		}
	}
	return b
}

// value finds a member.
func (b *body) value(name string) value {
	switch b.kind {
	case formBody:
		return argValue(b.text, name)
	case jsonBody:
		return jsonValue(b.text, name)
	case multipartBody:
		return partValue(b.text, b.bound, name)
	}
	return value{}
}

// without returns the text of the body without the members of a name, every other byte as it was; ok is false when
// there is none.
func (b *body) without(name string) (text string, ok bool) {
	switch b.kind {
	case formBody:
		return withoutArg(b.text, name)
	case jsonBody:
		return withoutMember(b.text, name)
	case multipartBody:
		return withoutPart(b.text, b.bound, name)
	}
	return "", false
}
