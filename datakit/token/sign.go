package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SignOptions say what a new token is like.
type SignOptions struct {
	Algorithm string // one of Algorithms
	ExpiresIn int    // seconds from now to exp
	NotBefore int    // seconds from now to nbf
	KeyID     string // kid of the header, and of the key to take from a JWKS; empty is none
	Type      string // typ of the header; empty is none

	StaticClaims map[string]any // under the claims of the call
}

// Signed is a new token and what it says.
type Signed struct {
	Token          string
	Claims, Header map[string]any
}

// Sign makes a token. iat, exp and nbf are always its own, whatever claims say.
func (k *Keys) Sign(claims map[string]any, keyValue any, o SignOptions) (*Signed, error) {
	algorithm, ok := algorithms[o.Algorithm]
	if !ok {
		return nil, fmt.Errorf("algorithm: none of %s", strings.Join(Algorithms(), ", "))
	}
	set, err := k.get(keyValue)
	if err != nil {
		return nil, err
	}
	fitting, err := set.choose(o.Algorithm, set.kidToSign(o.KeyID), "sign")
	if err != nil {
		return nil, err
	}
	signer := slices.IndexFunc(fitting, func(k key) bool { return k.private != nil }) // a set may hold what others verify with
	if signer < 0 {
		return nil, fmt.Errorf("key: the public half of %s cannot sign; give the private key", fitting[0].family)
	}

	now := int(k.now().Unix())
	all := maps.Clone(o.StaticClaims)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, claims)
	maps.Copy(all, map[string]any{"iat": now, "exp": now + o.ExpiresIn, "nbf": now + o.NotBefore})
	header := map[string]any{"alg": o.Algorithm}
	if o.Type != "" {
		header["typ"] = o.Type
	}
	if o.KeyID != "" {
		header["kid"] = o.KeyID
	}

	first, err := encodeObject(header)
	if err != nil {
		return nil, err
	}
	second, err := encodeObject(all)
	if err != nil {
		return nil, err
	}
	signature, err := algorithm.method.Sign(first+"."+second, fitting[signer].private)
	if err != nil {
		return nil, errors.New("key: cannot sign")
	}
	return &Signed{first + "." + second + "." + base64.RawURLEncoding.EncodeToString(signature), all, header}, nil
}

// kidToSign is the name to choose a key by. The kid of the options need not be the one of a single key: it is what
// verifiers call it.
func (s *keySet) kidToSign(kid string) string {
	if s.many {
		return kid
	}
	return ""
}

func encodeObject(object map[string]any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(object); err != nil {
		return "", errors.New("claims: hold a value that JSON has not")
	}
	return base64.RawURLEncoding.EncodeToString(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
