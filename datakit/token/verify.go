package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// VerifyOptions say which tokens are good. The zero value asks for a signature only.
type VerifyOptions struct {
	Algorithms     []string // none is all
	Issuers        []string // iss must be one of them; none asks nothing
	Audiences      []string // aud must have one of them; none asks nothing
	RequiredClaims []string // must be there, and not null
	Leeway         int      // seconds by which clocks may differ
	CheckExpiry    bool     // exp, where it is there
	CheckNotBefore bool     // nbf, where it is there
}

// Verified is what a good token says.
type Verified struct{ Claims, Header map[string]any }

// Verify checks a token: algorithm, signature, claims, in this order. "Bearer " may stand before it, in any case. The
// first thing that is wrong is the error; nothing of a bad token is returned.
func (k *Keys) Verify(text string, keyValue any, o VerifyOptions) (*Verified, error) {
	c, err := split(text)
	if err != nil {
		return nil, err
	}
	alg, err := c.algorithm(o.Algorithms)
	if err != nil {
		return nil, err
	}
	kid, err := c.kid()
	if err != nil {
		return nil, err
	}
	set, err := k.get(keyValue)
	if err != nil {
		return nil, err
	}
	keys, err := set.choose(alg, kid, "verify")
	if err != nil {
		return nil, err
	}
	signature, err := decodeBase64(c.signature)
	if err != nil {
		return nil, errors.New("token: the signature is not base64url")
	}
	if !slices.ContainsFunc(keys, func(k key) bool {
		return algorithms[alg].method.Verify(c.signed, signature, k.public) == nil
	}) {
		return nil, errors.New("token: the signature does not fit the key")
	}
	claims, err := c.decodePayload()
	if err != nil {
		return nil, err
	}
	if err := o.checkClaims(claims, k.now()); err != nil {
		return nil, err
	}
	return &Verified{claims, c.header}, nil
}

// algorithm is the one the token names, if it may be used. Headers that change what a signature means are refused.
func (c *compact) algorithm(allowed []string) (string, error) {
	for _, name := range []string{"crit", "b64"} { // RFC 7515, 4.1.11; RFC 7797
		if _, there := c.header[name]; there {
			return "", fmt.Errorf("token: the header has %s, an extension that is not understood here", name)
		}
	}
	alg, _ := c.header["alg"].(string)
	if _, known := algorithms[alg]; !known {
		return "", errors.New("token: the header names no known algorithm")
	}
	if len(allowed) > 0 && !slices.Contains(allowed, alg) {
		return "", fmt.Errorf("token: algorithm %s is not allowed", alg)
	}
	return alg, nil
}

func (c *compact) kid() (string, error) {
	v, there := c.header["kid"]
	kid, ok := v.(string)
	if there && !ok {
		return "", errors.New("token: kid of the header is no string")
	}
	return kid, nil
}

func (o *VerifyOptions) checkClaims(claims map[string]any, at time.Time) error {
	for _, name := range o.RequiredClaims {
		if claims[name] == nil {
			return fmt.Errorf("claims: %s is required and missing", name)
		}
	}
	now, leeway := float64(at.UnixMicro())/1e6, float64(o.Leeway)
	if o.CheckExpiry {
		exp, there, err := date(claims, "exp")
		if err != nil {
			return err
		}
		if there && now >= exp+leeway {
			return errors.New("claims: exp is past: the token has expired")
		}
	}
	if o.CheckNotBefore {
		nbf, there, err := date(claims, "nbf")
		if err != nil {
			return err
		}
		if there && now < nbf-leeway {
			return errors.New("claims: nbf is still to come: the token is not yet valid")
		}
	}
	if len(o.Issuers) > 0 {
		if iss, ok := claims["iss"].(string); !ok || !slices.Contains(o.Issuers, iss) {
			return errors.New("claims: iss is none of the issuers")
		}
	}
	if len(o.Audiences) > 0 && !slices.ContainsFunc(audiences(claims["aud"]), func(a string) bool {
		return slices.Contains(o.Audiences, a)
	}) {
		return errors.New("claims: aud has none of the audiences")
	}
	return nil
}

// audiences reads aud: one string, or a list of them.
func audiences(aud any) (all []string) {
	list, ok := aud.([]any)
	if !ok {
		list = []any{aud}
	}
	for _, v := range list {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// date reads a claim of seconds since 1970. One that is there and is no such number is an error: it may have been meant
// as a limit.
func date(claims map[string]any, name string) (at float64, there bool, err error) {
	v, there := claims[name]
	if !there {
		return 0, false, nil
	}
	n, ok := v.(json.Number)
	if ok {
		at, err = n.Float64()
	}
	if !ok || err != nil {
		return 0, true, fmt.Errorf("claims: %s is no number of seconds", name)
	}
	return at, true, nil
}
