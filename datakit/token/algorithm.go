package token

import (
	_ "crypto/sha256" // HS256, RS256, PS256, ES256
	_ "crypto/sha512" // the 384 and 512 of them

	"github.com/golang-jwt/jwt/v5"
)

// A family is a sort of key, by its name in messages. A key has one, and so has an algorithm.
type family string

const (
	secretFamily  family = "an HMAC secret"
	rsaFamily     family = "an RSA key"
	p256Family    family = "an EC key on P-256"
	p384Family    family = "an EC key on P-384"
	p521Family    family = "an EC key on P-521"
	ed25519Family family = "an Ed25519 key"
)

type algorithm struct {
	method jwt.SigningMethod
	family family
}

// Algorithms are the names of all algorithms, in the order of the documentation.
func Algorithms() []string {
	return []string{
		"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
}

// algorithms by name; read-only. The table is ours, not the library's registry: that one has "none".
var algorithms = map[string]algorithm{
	"HS256": {jwt.SigningMethodHS256, secretFamily},
	"HS384": {jwt.SigningMethodHS384, secretFamily},
	"HS512": {jwt.SigningMethodHS512, secretFamily},
	"RS256": {jwt.SigningMethodRS256, rsaFamily},
	"RS384": {jwt.SigningMethodRS384, rsaFamily},
	"RS512": {jwt.SigningMethodRS512, rsaFamily},
	"PS256": {jwt.SigningMethodPS256, rsaFamily},
	"PS384": {jwt.SigningMethodPS384, rsaFamily},
	"PS512": {jwt.SigningMethodPS512, rsaFamily},
	"ES256": {jwt.SigningMethodES256, p256Family},
	"ES384": {jwt.SigningMethodES384, p384Family},
	"ES512": {jwt.SigningMethodES512, p521Family},
	"EdDSA": {jwt.SigningMethodEdDSA, ed25519Family},
}
