package token

import (
	"encoding/json"
	"math"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSign(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands at 946684800
		var keys Keys
		claims := map[string]any{"sub": "me", "iss": "dynamic", "exp": 1, "iat": "x", "id": json.Number("12345678901234567890"), "url": "a&b"}
		static := map[string]any{"iss": "kong", "nbf": "x", "scope": "read"}
		signed, err := keys.Sign(claims, secret, SignOptions{Algorithm: "HS256", ExpiresIn: 300, NotBefore: -5, KeyID: "k1", Type: "JWT", StaticClaims: static})
		require.NoError(t, err)
		assert.Equal(t, map[string]any{"sub": "me", "iss": "dynamic", "scope": "read", "url": "a&b", "id": json.Number("12345678901234567890"),
			"iat": 946684800, "exp": 946685100, "nbf": 946684795}, signed.Claims)
		assert.Equal(t, map[string]any{"alg": "HS256", "typ": "JWT", "kid": "k1"}, signed.Header)
		assert.Equal(t, 1, claims["exp"], "what came in stays as it is")
		assert.Len(t, static, 3)

		decoded, err := Decode(signed.Token)
		require.NoError(t, err)
		assert.JSONEq(t, `{"alg":"HS256","typ":"JWT","kid":"k1"}`, text(decoded.Header))
		assert.Equal(t, json.Number("12345678901234567890"), decoded.Payload["id"])
		assert.Equal(t, json.Number("946685100"), decoded.Payload["exp"])

		bare, err := keys.Sign(nil, secret, SignOptions{Algorithm: "HS256"})
		require.NoError(t, err)
		assert.Equal(t, map[string]any{"alg": "HS256"}, bare.Header)
		assert.Equal(t, map[string]any{"iat": 946684800, "exp": 946684800, "nbf": 946684800}, bare.Claims)
	})
}

func TestSignChoosesTheKey(t *testing.T) {
	t.Parallel()
	var keys Keys
	set := map[string]any{"keys": []any{with(jwkOf("rsa", true), "kid", "r"), with(jwkOf("p256", true), "kid", "e", "use", "sig")}}
	for alg, kid := range map[string]string{"ES256": "e", "RS256": "r"} {
		for _, chosen := range []string{kid, ""} {
			signed, err := keys.Sign(nil, set, SignOptions{Algorithm: alg, KeyID: chosen})
			require.NoError(t, err)
			_, err = keys.Verify(signed.Token, publicPEM(keyOf(alg)), VerifyOptions{})
			assert.NoError(t, err)
		}
	}
	_, err := keys.Sign(nil, set, SignOptions{Algorithm: "ES256", KeyID: "r"})
	assert.ErrorContains(t, err, "no key is for algorithm ES256")
	_, err = keys.Sign(nil, set, SignOptions{Algorithm: "ES256", KeyID: "x"})
	assert.ErrorContains(t, err, "no key has the kid")
	mixed := map[string]any{"keys": []any{with(jwkOf("p256", false), "kid", "theirs"), with(jwkOf("p256", true), "kid", "ours")}}
	_, err = keys.Sign(nil, mixed, SignOptions{Algorithm: "ES256"})
	assert.NoError(t, err, "the one that can sign")
	_, err = keys.Sign(nil, mixed, SignOptions{Algorithm: "ES256", KeyID: "theirs"})
	assert.ErrorContains(t, err, "the public half of an EC key on P-256 cannot sign")
	signed, err := keys.Sign(nil, with(jwkOf("p256", true), "kid", "e"), SignOptions{Algorithm: "ES256", KeyID: "what verifiers call it"})
	require.NoError(t, err)
	assert.Equal(t, "what verifiers call it", signed.Header["kid"])
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	var keys Keys
	for _, c := range []struct {
		claims map[string]any
		key    any
		alg    string
		want   string
	}{
		{nil, secret, "none", "algorithm: none of HS256"},
		{nil, secret, "", "algorithm: none of HS256"},
		{nil, nil, "HS256", "key: is null"},
		{nil, secret, "RS256", "algorithm RS256 does not fit the key, which is an HMAC secret"},
		{nil, publicPEM("rsa"), "RS256", "key: the public half of an RSA key cannot sign; give the private key"},
		{nil, privatePEM("rsa"), "ES256", "algorithm ES256 does not fit the key, which is an RSA key"},
		{nil, privatePEM("p256"), "ES384", "algorithm ES384 does not fit the key, which is an EC key on P-256"},
		{map[string]any{"x": math.NaN()}, secret, "HS256", "claims: hold a value that JSON has not"},
	} {
		_, err := keys.Sign(c.claims, c.key, SignOptions{Algorithm: c.alg})
		assert.ErrorContains(t, err, c.want)
	}
}
