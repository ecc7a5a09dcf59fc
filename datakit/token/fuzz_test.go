package token

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzVerify asserts that no text verifies but tokens that were signed with the key.
func FuzzVerify(f *testing.F) {
	good := map[string]bool{}
	for _, alg := range []string{"HS256", "ES256", "EdDSA"} {
		token := made(f, alg, `{"alg":"`+alg+`","kid":"k"}`, `{"sub":"x"}`)
		good[token] = true
		f.Add("Bearer " + token)
		f.Add(token[:len(token)-1])
	}
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("e30.e30.e30.e30.e30")
	keys := new(Keys)
	set := map[string]any{"keys": []any{
		map[string]any{"kty": "oct", "k": "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSwgbG9uZ2VyIHRoYW4gYSBoYXNo"}, jwkOf("p256", false), jwkOf("ed25519", false),
	}}
	for token := range good {
		_, err := keys.Verify(token, set, VerifyOptions{})
		require.NoError(f, err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := keys.Verify(text, set, VerifyOptions{}); err == nil {
			token := strings.Trim(text, " \t\r\n")
			if len(token) > 7 && strings.EqualFold(token[:7], "Bearer ") {
				token = strings.TrimLeft(token[7:], " ")
			}
			assert.True(t, good[token], "%q was never signed", text)
		}
		decoded, err := Decode(text)
		if err == nil {
			assert.NotNil(t, decoded.Header)
			assert.NotNil(t, decoded.Payload)
		}
	})
}

// FuzzKey asserts that a text is a key with both its parts in order, or an error that does not show it.
func FuzzKey(f *testing.F) {
	f.Add(publicPEM("p256"))
	f.Add(certificatePEM("p256"))
	f.Add(text(jwkOf("rsa", true)))
	f.Add(text(jwkOf("p521", true)))
	f.Add(text(jwkOf("ed25519", true)))
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)
	f.Add("secret")
	f.Fuzz(func(t *testing.T, key string) {
		set, err := parseText(key)
		if err != nil {
			assert.True(t, strings.HasPrefix(err.Error(), "key: "), err)
			return
		}
		require.NotEmpty(t, set.keys)
		for _, k := range set.keys {
			if k.family == secretFamily && !set.many && !strings.Contains(key, "{") {
				assert.Equal(t, []byte(key), k.public)
			}
			for alg, a := range algorithms {
				if a.family != k.family || k.private == nil {
					continue
				}
				signature, err := a.method.Sign("x", k.private)
				require.NoError(t, err, alg)
				require.NoError(t, a.method.Verify("x", signature, k.public), alg)
			}
		}
	})
}
