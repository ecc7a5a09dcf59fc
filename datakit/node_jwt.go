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
	in:    []port{{name: self, typ: stringType, required: true}},
	out:   []port{{name: "header", typ: mapType}, {name: "payload", typ: mapType}, {name: "signature", typ: stringType}},
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

// jwtSignKind makes a token.
var jwtSignKind = kind{
	in:    []port{{name: "claims", typ: mapType}, {name: "key", typ: anyType, required: true}},
	out:   []port{{name: "token", typ: stringType}, {name: "claims", typ: mapType}, {name: "header", typ: mapType}},
	masks: map[string]bool{"key": true, "token": true},
	build: func(c *NodeConfig, b *builder) (node, error) {
		o := token.SignOptions{ExpiresIn: 300, Type: "JWT", StaticClaims: map[string]any{}}
		var ok bool
		if o.Algorithm, ok = c.oneOf("algorithm", token.Algorithms()...); !ok && c.members["algorithm"] == nil {
			c.fail("algorithm", "required: one of %s", strings.Join(token.Algorithms(), ", "))
		}
		const century = 100 * 366 * 24 * 3600
		if s, ok := c.whole("expires_in", -century, century); ok {
			o.ExpiresIn = s
		}
		o.NotBefore, _ = c.whole("not_before", -century, century)
		o.KeyID, _ = c.text("kid", 0, 1024)
		if text, ok := c.text("typ", 0, 255); ok {
			o.Type = text
		}
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
	in:    []port{{name: "token", typ: stringType, required: true}, {name: "key", typ: anyType, required: true}},
	out:   []port{{name: "claims", typ: mapType}, {name: "header", typ: mapType}},
	masks: map[string]bool{"token": true, "key": true},
	build: func(c *NodeConfig, b *builder) (node, error) {
		o := token.VerifyOptions{CheckExpiry: c.flag("validate_exp", true), CheckNotBefore: c.flag("validate_nbf", true)}
		o.Algorithms, _ = c.texts("allowed_algorithms")
		for i, name := range o.Algorithms {
			if !slices.Contains(token.Algorithms(), name) {
				c.fail(fmt.Sprintf("allowed_algorithms[%d]", i), "%q is none of %s", shortened(name), strings.Join(token.Algorithms(), ", "))
			}
		}
		o.Issuers, _ = c.texts("issuers")
		o.Audiences, _ = c.texts("audiences")
		o.RequiredClaims, _ = c.texts("required_claims")
		o.Leeway, _ = c.whole("leeway", 0, maxTimeout)
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
