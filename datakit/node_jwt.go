package datakit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kong-go-plugins/datakit/token"
)

// jwtDecodeKind reads a token without checking it.
var jwtDecodeKind = kind{
	since: "3.14",
	doc:   "Reads a token without checking it.",
	in:    []port{{name: self, typ: stringType, required: true, since: "3.14", doc: "The token, also behind `Bearer `."}},
	out: []port{
		{name: "header", typ: mapType, since: "3.14", doc: "The token's header."}, {name: "payload", typ: mapType, since: "3.14", doc: "Its claims."},
		{name: "signature", typ: stringType, since: "3.14", doc: "As it is in the token: base64url."},
	},
	masks: map[string]bool{self: true, "signature": true},
	build: func(*NodeConfig, *builder) (node, error) { return jwtDecodeNode{}, nil },
}

type jwtDecodeNode struct{}

func (jwtDecodeNode) run(_ context.Context, in values) (values, error) {
	text, ok := in.get(self).(string)
	if !ok {
		return nil, errors.New("token: is null")
	}
	d, err := token.Decode(text)
	if err != nil {
		return nil, err
	}
	return values{{"header", d.Header}, {"payload", d.Payload}, {"signature", d.Signature}}, nil
}

// century bounds times of tokens, in seconds, so that none overflows.
const century = 100 * 366 * 24 * 3600

// jwtSignKind makes a token.
var jwtSignKind = kind{
	since: "3.14",
	doc:   "Makes a token.",
	options: []option{
		{name: "algorithm", typ: stringType, oneOf: token.Algorithms(), required: true, since: "3.14", doc: "Of the signature."},
		{name: "expires_in", typ: numberType, min: -century, max: century, unit: "s", otherwise: 300, since: "3.14", doc: "The claim `exp` is this much after `iat`."},
		{name: "not_before", typ: numberType, min: -century, max: century, unit: "s", otherwise: 0, since: "3.14", doc: "The claim `nbf` is this much after `iat`."},
		{name: "kid", typ: stringType, max: 1024, since: "3.14", doc: "The header `kid`."},
		{name: "typ", typ: stringType, max: 255, otherwise: "JWT", since: "3.14", doc: "The header `typ`."},
		{name: "static_claims", typ: mapType, since: "3.14", doc: "Claims, strings by name; those of the input `claims` count more."},
	},
	in: []port{
		{name: "claims", typ: mapType, since: "3.14", doc: "Claims of the token."},
		{name: "key", typ: anyType, required: true, since: "3.14", doc: "PEM, a JWK as text or object, or the text of an HMAC secret."},
	},
	out: []port{
		{name: "token", typ: stringType, since: "3.14", doc: "The signed token."}, {name: "claims", typ: mapType, since: "3.14", doc: "All that are in it."},
		{name: "header", typ: mapType, since: "3.14", doc: "Its header."},
	},
	masks: map[string]bool{"key": true, "token": true},
	build: func(c *NodeConfig, b *builder) (node, error) {
		o := token.SignOptions{StaticClaims: map[string]any{}}
		var ok bool
		if o.Algorithm, ok = c.text("algorithm"); !ok && c.members["algorithm"] == nil {
			c.fail("algorithm", "required: one of %s", strings.Join(token.Algorithms(), ", "))
		}
		o.ExpiresIn, _ = c.whole("expires_in")
		o.NotBefore, _ = c.whole("not_before")
		o.KeyID, _ = c.text("kid")
		o.Type, _ = c.text("typ")
		claims, _ := c.object("static_claims")
		for _, name := range sortedKeys(claims) {
			text, ok := claims[name].(string)
			if !ok {
				c.fail("static_claims."+shortened(name), "expected a string, got %s", nameOf(claims[name]))
			}
			o.StaticClaims[name] = text
		}
		return jwtSignNode{o, &b.engine.keys}, nil
	},
}

type jwtSignNode struct {
	options token.SignOptions
	keys    *token.Keys
}

func (n jwtSignNode) run(_ context.Context, in values) (values, error) {
	claims, _ := in.get("claims").(map[string]any)
	s, err := n.keys.Sign(claims, in.get("key"), n.options)
	if err != nil {
		return nil, err
	}
	return values{{"token", s.Token}, {"claims", s.Claims}, {"header", s.Header}}, nil
}

// jwtVerifyKind checks a token.
var jwtVerifyKind = kind{
	since: "3.14",
	doc:   "Checks a token; one that is not good is an error.",
	options: []option{
		{name: "allowed_algorithms", typ: listType, otherwise: []string{}, since: "3.14", doc: "Algorithms of signatures; none stands for all: " + strings.Join(token.Algorithms(), ", ") + "."},
		{name: "issuers", typ: listType, otherwise: []string{}, since: "3.14", doc: "The claim `iss` is one of these; none stands for any."},
		{name: "audiences", typ: listType, otherwise: []string{}, since: "3.14", doc: "The claim `aud` has one of these; none stands for any."},
		{name: "required_claims", typ: listType, otherwise: []string{}, since: "3.14", doc: "Names of claims that must be there."},
		{name: "leeway", typ: numberType, max: maxTimeout, unit: "s", otherwise: 0, since: "3.14", doc: "How far clocks may differ."},
		{name: "validate_exp", typ: booleanType, otherwise: true, since: "3.14", doc: "Checks `exp`, where it is there."},
		{name: "validate_nbf", typ: booleanType, otherwise: true, since: "3.14", doc: "Checks `nbf`, where it is there."},
	},
	in: []port{
		{name: "token", typ: stringType, required: true, since: "3.14", doc: "The token, also behind `Bearer `."},
		{name: "key", typ: anyType, required: true, since: "3.14", doc: "A JWKS or JWK as text or object, PEM, or the text of an HMAC secret. Its kind must be the algorithm's."},
	},
	out:   []port{{name: "claims", typ: mapType, since: "3.14", doc: "The token's."}, {name: "header", typ: mapType, since: "3.14", doc: "The token's."}},
	masks: map[string]bool{"token": true, "key": true},
	build: func(c *NodeConfig, b *builder) (node, error) {
		o := token.VerifyOptions{CheckExpiry: c.flag("validate_exp"), CheckNotBefore: c.flag("validate_nbf")}
		o.Algorithms, _ = c.texts("allowed_algorithms")
		for i, name := range o.Algorithms {
			if !slices.Contains(token.Algorithms(), name) {
				c.fail(fmt.Sprintf("allowed_algorithms[%d]", i), "%q is none of %s", shortened(name), strings.Join(token.Algorithms(), ", "))
			}
		}
		o.Issuers, _ = c.texts("issuers")
		o.Audiences, _ = c.texts("audiences")
		o.RequiredClaims, _ = c.texts("required_claims")
		o.Leeway, _ = c.whole("leeway")
		return jwtVerifyNode{o, &b.engine.keys}, nil
	},
}

type jwtVerifyNode struct {
	options token.VerifyOptions
	keys    *token.Keys
}

func (n jwtVerifyNode) run(_ context.Context, in values) (values, error) {
	text, ok := in.get("token").(string)
	if !ok {
		return nil, errors.New("token: is null")
	}
	v, err := n.keys.Verify(text, in.get("key"), n.options)
	if err != nil {
		return nil, err
	}
	return values{{"claims", v.Claims}, {"header", v.Header}}, nil
}
