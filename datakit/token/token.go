// Package token reads, signs and verifies JSON Web Tokens in compact form.
//
// A key is text or a decoded JSON object: PEM (public key, certificate, private key), a JWK, a JWKS, or else the text is
// an HMAC secret. Every key belongs to one family of algorithms, and a token whose algorithm is of another is refused
// before anything is computed: who has a public key cannot pass it off as a secret. "none" is no algorithm here.
//
// Claims and headers are JSON values with numbers as json.Number, every digit kept. Errors never show a token, a claim
// or a key.
package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxBytes is the longest token that is read. Gateways take header lines of 32 KiB at most.
const maxBytes = 128 << 10

// Decoded is what a token says. Nothing of it has been checked.
type Decoded struct {
	Header, Payload map[string]any
	Signature       string // as written, in base64url
}

// Decode reads a token without verifying it. "Bearer " may stand before it, in any case.
func Decode(text string) (*Decoded, error) {
	c, err := split(text)
	if err != nil {
		return nil, err
	}
	payload, err := c.decodePayload()
	if err != nil {
		return nil, err
	}
	return &Decoded{c.header, payload, c.signature}, nil
}

// compact is a token in its three parts.
type compact struct {
	header    map[string]any
	signed    string // header and payload as written, with the dot: what the signature is for
	payload   string // as written
	signature string // as written
}

func split(text string) (*compact, error) {
	text = strings.Trim(text, " \t\r\n")
	if scheme := len("Bearer "); len(text) >= scheme && strings.EqualFold(text[:scheme], "Bearer ") {
		text = strings.TrimLeft(text[scheme:], " ")
	}
	switch {
	case text == "":
		return nil, errors.New("token: is empty")
	case len(text) > maxBytes:
		return nil, fmt.Errorf("token: has %d bytes, more than %d", len(text), maxBytes)
	}
	switch strings.Count(text, ".") {
	case 2:
	case 4:
		return nil, errors.New("token: has five parts, so it is encrypted (JWE); only signed tokens (JWS) are read")
	default:
		return nil, errors.New("token: does not have three parts with dots between them")
	}
	end := strings.LastIndexByte(text, '.')
	c := &compact{signed: text[:end], signature: text[end+1:]}
	header, payload, _ := strings.Cut(c.signed, ".")
	c.payload = payload
	var err error
	c.header, err = decodeObject("header", header)
	return c, err
}

func (c *compact) decodePayload() (map[string]any, error) { return decodeObject("payload", c.payload) }

func decodeObject(part, text string) (map[string]any, error) {
	b, err := decodeBase64(text)
	if err != nil {
		return nil, fmt.Errorf("token: the %s is not base64url", part)
	}
	object, err := parseObject(string(b))
	if err != nil {
		return nil, fmt.Errorf("token: the %s is not a JSON object", part)
	}
	return object, nil
}

// decodeBase64 reads base64url as tokens have it: without padding, line ends, or bits that say nothing. So one value
// has one text.
func decodeBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder leaves out
		return nil, errors.New("line ends")
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

// parseObject reads one JSON object and nothing behind it.
func parseObject(text string) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	if object == nil || strings.Trim(text[d.InputOffset():], " \t\r\n") != "" {
		return nil, errors.New("not one object")
	}
	return object, nil
}
