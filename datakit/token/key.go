package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A key verifies, or signs as well.
type key struct {
	family  family
	id      string   // kid of a JWK
	alg     string   // of a JWK; empty is any of the family
	use     string   // of a JWK: sig, enc
	ops     []string // key_ops of a JWK; none is any
	public  any      // what the library verifies with: []byte or a public key
	private any      // what it signs with; nil when this is the public half only
}

// A keySet is what one key text holds: one key, or the usable ones of a JWKS.
type keySet struct {
	keys []key
	many bool // a JWKS
}

// maxKeys bounds the keys of a set: a token without kid is tried with each that fits.
const maxKeys = 100

// maxKeyBytes bounds the text of a key or a set.
const maxKeyBytes = 1 << 20

// parseText reads a key as text.
func parseText(text string) (*keySet, error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return nil, errors.New("key: is empty")
	case len(text) > maxKeyBytes:
		return nil, fmt.Errorf("key: has %d bytes, more than %d", len(text), maxKeyBytes)
	case strings.Contains(text, "-----BEGIN "):
		return one(parsePEM(trimmed))
	case trimmed[0] == '{':
		object, err := parseObject(trimmed)
		if err != nil {
			return nil, errors.New("key: begins like a JSON object and is none")
		}
		return parseJSON(object)
	case !isSecret(trimmed):
		return nil, errors.New("key: is a public or private key without the lines around it, or a JSON text that is no object; " +
			"as a secret everybody who knows the public key could sign with it. Give it as PEM, JWK or JWKS")
	}
	return one(&key{family: secretFamily, public: []byte(text), private: []byte(text)}, nil)
}

// isSecret reports whether a text can be meant as an HMAC secret. Keys in other forms than are read here are often
// public, so they must not become secrets by mistake.
func isSecret(text string) bool {
	if strings.HasPrefix(text, "ssh-") || strings.HasPrefix(text, "ecdsa-sha2-") {
		return false
	}
	if (text[0] == '[' || text[0] == '"') && json.Valid([]byte(text)) {
		return false
	}
	bare := strings.NewReplacer("\r", "", "\n", "", " ", "", `\n`, "", "=", "", "-", "+", "_", "/").Replace(text)
	der, err := base64.RawStdEncoding.DecodeString(bare)
	return err != nil || !isDER(der)
}

// isDER reports whether b is a key or a certificate in binary form.
func isDER(b []byte) bool {
	const sequence = 0x30
	if len(b) < 32 || b[0] != sequence {
		return false
	}
	for _, form := range []func([]byte) error{
		func(b []byte) error { _, err := x509.ParsePKIXPublicKey(b); return err },
		func(b []byte) error { _, err := x509.ParsePKCS1PublicKey(b); return err },
		func(b []byte) error { _, err := x509.ParseCertificate(b); return err },
		func(b []byte) error { _, err := x509.ParsePKCS8PrivateKey(b); return err },
		func(b []byte) error { _, err := x509.ParsePKCS1PrivateKey(b); return err },
		func(b []byte) error { _, err := x509.ParseECPrivateKey(b); return err },
	} {
		if form(b) == nil {
			return true
		}
	}
	return false
}

func one(k *key, err error) (*keySet, error) {
	if err != nil {
		return nil, err
	}
	return &keySet{keys: []key{*k}}, nil
}

// parsePEM reads the first private key of a PEM text, or else its first public key or certificate.
func parsePEM(text string) (*key, error) {
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n") // as environment variables often have it
	}
	var found *key
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		k, err := parseBlock(block)
		switch {
		case err != nil:
			return nil, err
		case k != nil && (found == nil || found.private == nil && k.private != nil):
			found = k
		}
	}
	if found == nil {
		return nil, errors.New("key: is PEM without a readable public key, certificate or private key; are its line ends there?")
	}
	return found, nil
}

func parseBlock(block *pem.Block) (*key, error) {
	var k any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		k, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		k, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			k = certificate.PublicKey
		}
	case "PRIVATE KEY":
		k, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("key: is encrypted; give it without a passphrase")
		}
		k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		if block.Headers["DEK-Info"] != "" {
			return nil, errors.New("key: is encrypted; give it without a passphrase")
		}
		k, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("key: is encrypted; give it without a passphrase")
	default: // EC PARAMETERS and the like
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("key: the PEM block %s cannot be read", block.Type)
	}
	return newKey(k)
}

// newKey makes a key of one of crypto's keys, public or private.
func newKey(k any) (*key, error) {
	if private, ok := k.(crypto.Signer); ok {
		made, err := newKey(private.Public())
		if err == nil {
			made.private = k
		}
		return made, err
	}
	switch k := k.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 16384 {
			return nil, fmt.Errorf("key: an RSA key of %d bits; 2048 to 16384 are taken", bits) // RFC 7518, 3.3
		}
		return &key{family: rsaFamily, public: k}, nil
	case *ecdsa.PublicKey:
		for f, curve := range curves {
			if k.Curve == curve {
				return &key{family: f, public: k}, nil
			}
		}
	case ed25519.PublicKey:
		return &key{family: ed25519Family, public: k}, nil
	}
	return nil, errors.New("key: of a sort that signs no tokens; RSA, EC on P-256, P-384 or P-521, and Ed25519 do")
}

// curves of the EC families; read-only.
var curves = map[family]elliptic.Curve{
	p256Family: elliptic.P256(),
	p384Family: elliptic.P384(),
	p521Family: elliptic.P521(),
}

// fits reports whether the key may be used for an algorithm and an operation of key_ops.
func (k *key) fits(alg, operation string) bool {
	return k.family == algorithms[alg].family &&
		(k.alg == "" || k.alg == alg) &&
		(k.use == "" || k.use == "sig") &&
		(len(k.ops) == 0 || slices.Contains(k.ops, operation))
}

// choose returns the keys that a token of this algorithm and kid may be checked with, or an error why there is none. An
// empty kid is none.
func (s *keySet) choose(alg, kid, operation string) ([]key, error) {
	if !s.many && s.keys[0].family != algorithms[alg].family {
		return nil, fmt.Errorf("algorithm %s does not fit the key, which is %s", alg, s.keys[0].family)
	}
	keys := s.keys
	if kid != "" {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return k.id != kid })
		if len(keys) == 0 { // keys without a name may still be the right ones
			keys = slices.DeleteFunc(slices.Clone(s.keys), func(k key) bool { return k.id != "" })
		}
		if len(keys) == 0 {
			return nil, errors.New("no key has the kid of the token")
		}
	}
	fitting := slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return !k.fits(alg, operation) })
	if len(fitting) == 0 {
		return nil, fmt.Errorf("no key is for algorithm %s (kty, crv, alg, use and key_ops of the keys count)", alg)
	}
	return fitting, nil
}
