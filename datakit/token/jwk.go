package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// parseJSON reads a JWK, or a JWKS. Keys of a set that are not understood are left out, as RFC 7517, section 5 asks.
func parseJSON(object map[string]any) (*keySet, error) {
	list, isSet := object["keys"]
	if !isSet {
		return one(parseJWK(object))
	}
	items, ok := list.([]any)
	switch {
	case !ok:
		return nil, errors.New("key: a JWKS whose keys are no list")
	case len(items) > maxKeys:
		return nil, fmt.Errorf("key: a JWKS of %d keys, more than %d", len(items), maxKeys)
	}
	set := &keySet{many: true}
	for _, item := range items {
		if jwk, ok := item.(map[string]any); ok {
			if k, err := parseJWK(jwk); err == nil {
				set.keys = append(set.keys, *k)
			}
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("key: a JWKS without a usable key")
	}
	return set, nil
}

// ecNames are the curves' names in a JWK; read-only.
var ecNames = map[string]family{"P-256": p256Family, "P-384": p384Family, "P-521": p521Family}

func parseJWK(jwk map[string]any) (k *key, err error) {
	m := members{jwk, nil}
	switch kty := m.text("kty"); kty {
	case "oct":
		secret := m.bytes("k")
		k = &key{family: secretFamily, public: secret, private: secret}
		if len(secret) == 0 {
			m.fail("k", "is empty")
		}
	case "RSA":
		k, err = m.rsa()
	case "EC":
		k, err = m.ec()
	case "OKP":
		k, err = m.okp()
	case "":
		return nil, errors.New("key: a JSON object without kty, so neither a JWK nor a JWKS")
	default:
		return nil, errors.New("key: a JWK of a kty other than oct, RSA, EC, OKP")
	}
	if err == nil {
		err = m.err
	}
	if err != nil {
		return nil, err
	}
	k.id, k.alg, k.use = m.text("kid"), m.text("alg"), m.text("use")
	if ops, ok := jwk["key_ops"].([]any); ok {
		for _, op := range ops {
			text, _ := op.(string)
			k.ops = append(k.ops, text)
		}
	}
	if m.err != nil {
		return nil, m.err
	}
	return k, nil
}

// members reads the members of a JWK and keeps the first error.
type members struct {
	jwk map[string]any
	err error
}

func (m *members) fail(name, what string) {
	if m.err == nil {
		m.err = fmt.Errorf("key: %s of the JWK %s", name, what)
	}
}

// text is a member that may be absent.
func (m *members) text(name string) string {
	v, ok := m.jwk[name]
	s, isText := v.(string)
	if ok && !isText && v != nil {
		m.fail(name, "is no string")
	}
	return s
}

func (m *members) has(name string) bool { return m.jwk[name] != nil }

// bytes is a member in base64url that must be there.
func (m *members) bytes(name string) []byte {
	text := m.text(name)
	if text == "" {
		m.fail(name, "is missing")
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		m.fail(name, "is not base64url")
	}
	return b
}

func (m *members) number(name string) *big.Int { return new(big.Int).SetBytes(m.bytes(name)) }

// sized is a member of exactly n bytes. Some writers leave out zeros at the front.
func (m *members) sized(name string, n int) []byte {
	b := m.bytes(name)
	if len(b) > n {
		m.fail(name, fmt.Sprintf("has %d bytes, more than %d", len(b), n))
		return make([]byte, n)
	}
	return append(make([]byte, n-len(b), n), b...)
}

func (m *members) rsa() (*key, error) {
	n, e := m.number("n"), m.number("e")
	if m.err == nil && (!e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || e.Bit(0) == 0) {
		m.fail("e", "is no exponent of RSA")
	}
	if m.err == nil && n.Bit(0) == 0 {
		m.fail("n", "is no modulus of RSA")
	}
	if m.err != nil {
		return nil, m.err
	}
	public := rsa.PublicKey{N: n, E: int(e.Int64())}
	k, err := newKey(&public)
	if err != nil || !m.has("d") {
		return k, err
	}
	if m.has("oth") || !m.has("p") || !m.has("q") {
		return nil, errors.New("key: a private RSA JWK needs p and q, and no oth")
	}
	private := &rsa.PrivateKey{PublicKey: public, D: m.number("d"), Primes: []*big.Int{m.number("p"), m.number("q")}}
	if m.err != nil {
		return nil, m.err
	}
	if private.Validate() != nil {
		return nil, errors.New("key: the members of the private RSA JWK do not belong together")
	}
	private.Precompute()
	k.private = private
	return k, nil
}

func (m *members) ec() (*key, error) {
	f, ok := ecNames[m.text("crv")]
	if !ok {
		return nil, errors.New("key: crv of the EC JWK is none of P-256, P-384, P-521")
	}
	curve := curves[f]
	size := (curve.Params().BitSize + 7) / 8
	point := append([]byte{4}, m.sized("x", size)...)
	point = append(point, m.sized("y", size)...)
	if m.err != nil {
		return nil, m.err
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, errors.New("key: x and y of the JWK are no point of its curve")
	}
	k := &key{family: f, public: public}
	if !m.has("d") {
		return k, nil
	}
	private, err := ecdsa.ParseRawPrivateKey(curve, m.sized("d", size))
	if err != nil || !private.PublicKey.Equal(public) {
		return nil, errors.New("key: d of the JWK does not belong to x and y")
	}
	k.private = private
	return k, nil
}

func (m *members) okp() (*key, error) {
	if m.text("crv") != "Ed25519" {
		return nil, errors.New("key: crv of the OKP JWK is not Ed25519")
	}
	public := m.bytes("x")
	if m.err == nil && len(public) != ed25519.PublicKeySize {
		m.fail("x", fmt.Sprintf("has %d bytes, not %d", len(public), ed25519.PublicKeySize))
	}
	k := &key{family: ed25519Family, public: ed25519.PublicKey(public)}
	if m.err != nil || !m.has("d") {
		return k, nil
	}
	seed := m.bytes("d")
	if m.err == nil && len(seed) != ed25519.SeedSize {
		m.fail("d", fmt.Sprintf("has %d bytes, not %d", len(seed), ed25519.SeedSize))
	}
	if m.err != nil {
		return nil, m.err
	}
	private := ed25519.NewKeyFromSeed(seed)
	if !ed25519.PublicKey(public).Equal(private.Public()) {
		return nil, errors.New("key: d of the JWK does not belong to x")
	}
	k.private = private
	return k, nil
}
