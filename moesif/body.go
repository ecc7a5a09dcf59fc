package moesif

import (
	"encoding/base64"

	"kong-go-plugins/moesif/content"
	"kong-go-plugins/moesif/mask"
	"kong-go-plugins/moesif/rawjson"
)

// unfoldFactor times the size limit is the most that a compressed body may unfold to.
const unfoldFactor = 10

// A wireBody is a body as it crossed the wire, with what its headers say of it.
type wireBody struct {
	bytes       []byte
	contentType string
	encoding    string // Content-Encoding
}

// bodyRules say how one direction's bodies are put into an event.
type bodyRules struct {
	limit          int64
	decode         bool          // content codings are undone
	skip           content.Types // left out
	masks          *mask.Masks
	sendUnmaskable bool // a body that the masks cannot be applied to is sent as it is
}

// A capturedBody is a body in the form of the event: json holds raw JSON, else base64 holds bytes. The zero value is a
// body that the event leaves out.
type capturedBody struct {
	json   []byte
	base64 []byte
}

// bodyBuffers are what captureBody may write JSON into; its result can point into them.
type bodyBuffers struct{ compact, masked []byte }

func (b *bodyBuffers) cap() int { return cap(b.compact) + cap(b.masked) }

// captureBody decides what of a body goes into the event.
//
// JSON is sent as JSON when it is valid, everything else as base64 of its bytes, nothing ever cut. With masks, a body
// that they cannot be applied to is left out: what could hold a masked value is not sent.
func captureBody(b wireBody, r bodyRules, buffers *bodyBuffers) capturedBody {
	if len(b.bytes) == 0 || int64(len(b.bytes)) > r.limit || r.skip.Has(b.contentType) {
		return capturedBody{}
	}
	bytes := b.bytes
	typed := content.IsJSON(b.contentType)
	isJSON := false
	if typed { // also when it claims to be compressed and is not
		buffers.compact, isJSON = rawjson.AppendCompact(buffers.compact[:0], bytes)
	}
	codings := content.Codings(b.encoding)
	if !isJSON && len(codings) > 0 && r.decode {
		if plain, err := content.Decode(bytes, codings, r.limit*unfoldFactor); err == nil {
			bytes, codings = plain, nil
			if buffers.compact, isJSON = rawjson.AppendCompact(buffers.compact[:0], plain); isJSON && !typed {
				isJSON = buffers.compact[0] == '{' || buffers.compact[0] == '['
			}
		}
	}
	switch {
	case len(bytes) == 0:
		return capturedBody{}
	case isJSON:
		shown, changed := r.masks.JSON(buffers.masked[:0], buffers.compact)
		if changed {
			buffers.masked = shown
		}
		return capturedBody{json: shown}
	case !r.masks.Bodies():
		return capturedBody{base64: bytes}
	}
	if len(codings) == 0 {
		if shown, ok := r.masks.Body(b.contentType, bytes); ok {
			return capturedBody{base64: shown}
		}
	}
	if r.sendUnmaskable {
		return capturedBody{base64: bytes}
	}
	return capturedBody{}
}

// appendTo appends the members `body` and `transfer_encoding`, each with a comma before it, or nothing.
func (c capturedBody) appendTo(dst []byte) []byte {
	switch {
	case len(c.json) > 0:
		dst = append(dst, `,"body":`...)
		dst = append(dst, c.json...)
		dst = append(dst, `,"transfer_encoding":"json"`...)
	case len(c.base64) > 0:
		dst = append(dst, `,"body":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, c.base64)
		dst = append(dst, `","transfer_encoding":"base64"`...)
	}
	return dst
}

func (c capturedBody) empty() bool { return len(c.json) == 0 && len(c.base64) == 0 }

// size is the room that appendTo needs at most.
func (c capturedBody) size() int {
	return len(c.json) + base64.StdEncoding.EncodedLen(len(c.base64)) + 48
}
