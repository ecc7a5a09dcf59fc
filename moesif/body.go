package moesif

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"kong-go-plugins/moesif/rawjson"
)

// gunzipFactor times the size limit is the most that a gzip body may unfold to.
const gunzipFactor = 10

// A wireBody is a body as it crossed the wire, with what its headers say of it.
type wireBody struct {
	bytes       []byte
	contentType string
	encoding    string // Content-Encoding
}

// bodyRules say how one direction's bodies are put into an event.
type bodyRules struct {
	limit  int64
	gunzip bool
	mask   *bodyMask
}

// A capturedBody is a body in the form of the event: json holds raw JSON, else base64 holds bytes. The zero value is a
// body that the event leaves out.
type capturedBody struct {
	json   []byte
	base64 []byte
}

// captureBody decides what of a body goes into the event.
//
// JSON is sent as JSON when it is valid, everything else as base64 of its bytes, nothing ever cut. With masks, a body
// that they cannot be applied to is left out: what could hold a masked value is not sent.
func captureBody(b wireBody, r bodyRules) capturedBody {
	if len(b.bytes) == 0 || int64(len(b.bytes)) > r.limit {
		return capturedBody{}
	}
	bytes := b.bytes
	typed := isJSONType(b.contentType)
	compact, isJSON := []byte(nil), false
	if typed {
		compact, isJSON = rawjson.Compact(bytes) // also when it claims to be compressed and is not
	}
	if coding := contentCoding(b.encoding); !isJSON && coding == "gzip" && r.gunzip {
		if plain, err := gunzip(bytes, r.limit*gunzipFactor); err == nil {
			bytes = plain
			if compact, isJSON = rawjson.Compact(plain); isJSON && !typed {
				isJSON = compact[0] == '{' || compact[0] == '['
			}
		}
	}
	switch {
	case isJSON && r.mask != nil:
		return capturedBody{json: r.mask.apply(compact)}
	case isJSON:
		return capturedBody{json: compact}
	case r.mask != nil || len(bytes) == 0:
		return capturedBody{}
	}
	return capturedBody{base64: bytes}
}

// appendTo appends the members `body` and `transfer_encoding`, each with a comma before it, or nothing.
func (c capturedBody) appendTo(dst []byte) []byte {
	switch {
	case c.json != nil:
		dst = append(dst, `,"body":`...)
		dst = append(dst, c.json...)
		dst = append(dst, `,"transfer_encoding":"json"`...)
	case c.base64 != nil:
		dst = append(dst, `,"body":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, c.base64)
		dst = append(dst, `","transfer_encoding":"base64"`...)
	}
	return dst
}

func (c capturedBody) empty() bool { return c.json == nil && c.base64 == nil }

// size is the room that appendTo needs at most.
func (c capturedBody) size() int {
	return len(c.json) + base64.StdEncoding.EncodedLen(len(c.base64)) + 48
}

// isJSONType reports whether a Content-Type names JSON in any of its spellings; the body itself must be valid besides.
func isJSONType(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.Contains(strings.ToLower(media), "json")
}

// contentCoding returns gzip, "" for none, or some other word for what we do not decode, several codings included.
func contentCoding(header string) string {
	var codings []string
	for c := range strings.SplitSeq(header, ",") {
		if c = lowerName(c); c != "" && c != "identity" {
			codings = append(codings, c)
		}
	}
	switch {
	case len(codings) == 0:
		return ""
	case len(codings) > 1:
		return "several"
	case codings[0] == "x-gzip":
		return "gzip"
	}
	return codings[0]
}

var errTooLong = errors.New("unfolds to more than is captured")

// gunzip decompresses to at most limit bytes.
func gunzip(b []byte, limit int64) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	n, err := io.Copy(&plain, io.LimitReader(z, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, errTooLong
	}
	return plain.Bytes(), nil
}
