package token

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// made signs a token with any header and payload.
func made(t testing.TB, alg, header, payload string) string {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	key := any([]byte(secret))
	if name := keyOf(alg); name != "" {
		key = privateKeys()[name]
	}
	signature, err := algorithms[alg].method.Sign(signed, key)
	require.NoError(t, err)
	return signed + "." + b64(signature)
}

func TestVerifyClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the clock stands at 2000-01-01, 946684800
		const now = "946684800"
		require.Equal(t, int64(946684800), time.Now().Unix())
		times := VerifyOptions{CheckExpiry: true, CheckNotBefore: true}
		leeway := VerifyOptions{CheckExpiry: true, CheckNotBefore: true, Leeway: 10}
		issuers := VerifyOptions{Issuers: []string{"a", "b"}}
		audiences := VerifyOptions{Audiences: []string{"a", "b"}}
		required := VerifyOptions{RequiredClaims: []string{"sub", "n"}}
		for _, c := range []struct {
			payload string
			o       VerifyOptions
			want    string
		}{
			{`{}`, VerifyOptions{}, ""},
			{`{}`, times, ""},
			{`{"exp":946684801,"nbf":946684800}`, times, ""},
			{`{"exp":` + now + `}`, times, "claims: exp is past: the token has expired"},
			{`{"exp":946684800.5}`, times, ""},
			{`{"exp":946684799.999}`, times, "exp is past"},
			{`{"exp":-1}`, times, "exp is past"},
			{`{"exp":1e300}`, times, ""},
			{`{"exp":1e400}`, times, "claims: exp is no number of seconds"},
			{`{"exp":"946684801"}`, times, "claims: exp is no number of seconds"},
			{`{"exp":null}`, times, "claims: exp is no number of seconds"},
			{`{"exp":0}`, VerifyOptions{CheckNotBefore: true}, ""},
			{`{"exp":"x","nbf":"x"}`, VerifyOptions{}, ""},
			{`{"nbf":946684801}`, times, "claims: nbf is still to come: the token is not yet valid"},
			{`{"nbf":946684801}`, VerifyOptions{CheckExpiry: true}, ""},
			{`{"nbf":[]}`, times, "claims: nbf is no number of seconds"},
			{`{"exp":946684791}`, leeway, ""},
			{`{"exp":946684790}`, leeway, "exp is past"},
			{`{"nbf":946684810}`, leeway, ""},
			{`{"nbf":946684811}`, leeway, "nbf is still to come"},
			{`{"iat":99999999999}`, times, ""},
			{`{"iss":"b"}`, issuers, ""},
			{`{"iss":"c"}`, issuers, "claims: iss is none of the issuers"},
			{`{"iss":["a"]}`, issuers, "claims: iss is none of the issuers"},
			{`{}`, issuers, "claims: iss is none of the issuers"},
			{`{"aud":"a"}`, audiences, ""},
			{`{"aud":["x","b"]}`, audiences, ""},
			{`{"aud":["x",1,null]}`, audiences, "claims: aud has none of the audiences"},
			{`{"aud":[]}`, audiences, "claims: aud has none of the audiences"},
			{`{}`, audiences, "claims: aud has none of the audiences"},
			{`{"sub":"me","n":0}`, required, ""},
			{`{"sub":"","n":false}`, required, ""},
			{`{"sub":"me"}`, required, "claims: n is required and missing"},
			{`{"sub":null,"n":0}`, required, "claims: sub is required and missing"},
			{`{"SUB":"me","n":0}`, required, "claims: sub is required and missing"},
		} {
			var keys Keys
			_, err := keys.Verify(made(t, "HS256", `{"alg":"HS256"}`, c.payload), secret, c.o)
			if c.want == "" {
				assert.NoError(t, err, c.payload)
			} else {
				assert.ErrorContains(t, err, c.want, c.payload)
			}
		}
	})
}

func TestVerifyGivesWhatTheTokenSays(t *testing.T) {
	t.Parallel()
	var keys Keys
	token := made(t, "HS256", `{"alg":"HS256","kid":"k","n":1.50}`, `{"id":12345678901234567890,"x":1.10,"l":[1,{"a":null}]}`)
	for _, prefix := range []string{"", "Bearer ", "bearer ", "BEARER   ", " \tBearer "} {
		got, err := keys.Verify(prefix+token+" \n", secret, VerifyOptions{})
		require.NoError(t, err, prefix)
		assert.Equal(t, map[string]any{"id": json.Number("12345678901234567890"), "x": json.Number("1.10"),
			"l": []any{json.Number("1"), map[string]any{"a": nil}}}, got.Claims)
		assert.Equal(t, map[string]any{"alg": "HS256", "kid": "k", "n": json.Number("1.50")}, got.Header)

		decoded, err := Decode(prefix + token)
		require.NoError(t, err, prefix)
		assert.Equal(t, got.Claims, decoded.Payload)
		assert.Equal(t, got.Header, decoded.Header)
		assert.Equal(t, token[strings.LastIndexByte(token, '.')+1:], decoded.Signature)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	b64 := base64.RawURLEncoding.EncodeToString
	good := made(t, "HS256", `{"alg":"HS256"}`, `{"sub":"x"}`)
	parts := strings.Split(good, ".")
	none := b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	header := func(h string) string { return made(t, "HS256", h, `{}`) }
	for _, c := range []struct{ name, token, want string }{
		{"nothing", "", "token: is empty"},
		{"a scheme alone", "Bearer ", "does not have three parts"},
		{"another scheme", "Basic " + good, "the header is not base64url"},
		{"two schemes", "Bearer Bearer " + good, "the header is not base64url"},
		{"no dots", "zebra", "does not have three parts"},
		{"dots", strings.Repeat(".", 100_000), "does not have three parts"},
		{"a million dots", strings.Repeat(".", 1_000_000), "token: has 1000000 bytes, more than 131072"},
		{"only dots", "..", "the header is not a JSON object"},
		{"encrypted", "a.b.c.d.e", "five parts, so it is encrypted"},
		{"huge", "a." + strings.Repeat("x", maxBytes) + ".b", "more than 131072"},
		{"not base64", "!." + parts[1] + "." + parts[2], "the header is not base64url"},
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], "the header is not base64url"},
		{"a line end in the signature", good[:len(good)-3] + "\n" + good[len(good)-3:], "the signature is not base64url"},
		{"a line end in the header", good[:3] + "\r" + good[3:], "the header is not base64url"},
		{"standard base64", parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 20), "the signature is not base64url"},
		{"bits that say nothing", parts[0] + "." + parts[1] + ".AB", "the signature is not base64url"},
		{"the header is a list", header(`["alg"]`), "the header is not a JSON object"},
		{"the header is null", header(`null`), "the header is not a JSON object"},
		{"the header goes on", header(`{"alg":"HS256"}{}`), "the header is not a JSON object"},
		{"deep header", header(strings.Repeat(`{"alg":`, 20_000) + "1" + strings.Repeat("}", 20_000)), "token: "},
		{"the payload is a text", made(t, "HS256", `{"alg":"HS256"}`, `"zebra"`), "the payload is not a JSON object"},
		{"deep payload", made(t, "HS256", `{"alg":"HS256"}`, `{"a":`+strings.Repeat(`[`, 20_000)), "the payload is not a JSON object"},
		{"no algorithm", header(`{}`), "names no known algorithm"},
		{"none", none, "names no known algorithm"},
		{"None", header(`{"alg":"None"}`), "names no known algorithm"},
		{"none with a signature", none + parts[2], "names no known algorithm"},
		{"small letters", header(`{"alg":"hs256"}`), "names no known algorithm"},
		{"another member in capitals", header(`{"ALG":"HS256"}`), "names no known algorithm"},
		{"a number as algorithm", header(`{"alg":256}`), "names no known algorithm"},
		{"a list of algorithms", header(`{"alg":["HS256"]}`), "names no known algorithm"},
		{"crit", header(`{"alg":"HS256","crit":["exp"],"exp":1}`), "the header has crit"},
		{"empty crit", header(`{"alg":"HS256","crit":[]}`), "the header has crit"},
		{"b64", header(`{"alg":"HS256","b64":false}`), "the header has b64"},
		{"kid is a list", header(`{"alg":"HS256","kid":["zebra"]}`), "kid of the header is no string"},
		{"another algorithm of the family", header(`{"alg":"HS512"}`), "the signature does not fit the key"},
		{"another family", header(`{"alg":"RS256"}`), "algorithm RS256 does not fit the key, which is an HMAC secret"},
		{"no signature", parts[0] + "." + parts[1] + ".", "the signature does not fit the key"},
		{"half a signature", good[:len(good)-12], "the signature does not fit the key"},
		{"another payload", parts[0] + "." + b64([]byte(`{"sub":"y"}`)) + "." + parts[2], "the signature does not fit the key"},
	} {
		var keys Keys
		_, err := keys.Verify(c.token, secret, VerifyOptions{})
		if assert.ErrorContains(t, err, c.want, c.name) {
			assert.NotContains(t, err.Error(), "zebra", c.name)
			assert.Less(t, len(err.Error()), 120, c.name)
		}
	}
}

func TestVerifyFamilies(t *testing.T) {
	t.Parallel()
	// The classic attack: the public key, which everybody has, as the secret of an HMAC.
	for _, name := range []string{"rsa", "p256", "ed25519"} {
		public := publicPEM(name)
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{}`))
		signature, err := algorithms["HS256"].method.Sign(signed, []byte(public))
		require.NoError(t, err)
		forged := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
		for form, key := range forms(name) {
			var keys Keys
			_, err := keys.Verify(forged, key, VerifyOptions{})
			if strings.HasPrefix(form, "JWKS") {
				assert.ErrorContains(t, err, "no key is for algorithm HS256", form)
			} else {
				assert.ErrorContains(t, err, "algorithm HS256 does not fit the key, which is an", form)
			}
			_, err = keys.Sign(nil, key, SignOptions{Algorithm: "HS256"})
			assert.Error(t, err, form)
		}
	}
	// Every algorithm with every key of another family.
	all := map[string]any{"": secret, "rsa": publicPEM("rsa"), "p256": publicPEM("p256"), "p384": publicPEM("p384"), "p521": publicPEM("p521"),
		"ed25519": publicPEM("ed25519")}
	for _, alg := range Algorithms() {
		token := made(t, alg, `{"alg":"`+alg+`"}`, `{}`)
		for name, key := range all {
			var keys Keys
			_, err := keys.Verify(token, key, VerifyOptions{})
			if name == keyOf(alg) {
				assert.NoError(t, err, "%s with %s", alg, name)
			} else {
				assert.ErrorContains(t, err, "algorithm "+alg+" does not fit the key", "%s with %s", alg, name)
			}
			_, err = keys.Verify(token, key, VerifyOptions{Algorithms: []string{"ES256", "HS512"}})
			if alg != "ES256" && alg != "HS512" {
				assert.EqualError(t, err, "token: algorithm "+alg+" is not allowed")
			}
		}
	}
}

func TestVerifyChoosesTheKey(t *testing.T) {
	t.Parallel()
	p256 := jwkOf("p256", false)
	p384 := jwkOf("p384", false)
	other := map[string]any{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
	set := func(keys ...any) map[string]any { return map[string]any{"keys": keys} }
	plain := made(t, "ES256", `{"alg":"ES256"}`, `{}`)
	named := made(t, "ES256", `{"alg":"ES256","kid":"a"}`, `{}`)
	for _, c := range []struct {
		name, token string
		key         any
		want        string
	}{
		{"by kid", named, set(with(other, "kid", "b"), with(p256, "kid", "a")), ""},
		{"by kid, the wrong one", named, set(with(other, "kid", "a"), with(p256, "kid", "b")), "the signature does not fit the key"},
		{"a kid that nobody has", named, set(with(p256, "kid", "b"), with(other, "kid", "c")), "no key has the kid of the token"},
		{"a kid, keys without", named, set(other, p256), ""},
		{"a kid, some keys without", named, set(with(other, "kid", "b"), p256), ""},
		{"one kid twice", named, set(with(other, "kid", "a"), with(p256, "kid", "a")), ""},
		{"one kid twice, other curves", named, set(with(p384, "kid", "a"), with(p256, "kid", "a")), ""},
		{"no kid: try those that fit", plain, set(with(p384, "kid", "c"), with(other, "kid", "a"), with(p256, "kid", "b")), ""},
		{"no kid, none fits", plain, set(with(p384, "kid", "c")), "no key is for algorithm ES256"},
		{"no kid, none is right", plain, set(other), "the signature does not fit the key"},
		{"alg of the key", plain, set(with(p256, "alg", "ES256")), ""},
		{"another alg of the key", plain, set(with(p256, "alg", "ECDH-ES")), "no key is for algorithm ES256"},
		{"use", plain, set(with(p256, "use", "sig")), ""},
		{"another use", plain, set(with(p256, "use", "enc")), "no key is for algorithm ES256"},
		{"key_ops", plain, set(with(p256, "key_ops", []any{"sign", "verify"})), ""},
		{"other key_ops", plain, set(with(p256, "key_ops", []any{"sign"})), "no key is for algorithm ES256"},
		{"one JWK of the kid", named, with(p256, "kid", "a"), ""},
		{"one JWK of another kid", named, with(p256, "kid", "b"), "no key has the kid of the token"},
		{"one JWK for another alg", plain, with(p256, "alg", "ES512"), "no key is for algorithm ES256"},
		{"a kid and a PEM", named, publicPEM("p256"), ""},
		{"a kid that is a path", made(t, "ES256", `{"alg":"ES256","kid":"../../dev/null"}`, `{}`), set(with(p256, "kid", "a")), "no key has the kid"},
		{"an empty kid", made(t, "ES256", `{"alg":"ES256","kid":""}`, `{}`), set(with(p256, "kid", "a")), ""},
		{"a key in the token", made(t, "ES256", `{"alg":"ES256","jwk":`+text(p256)+`,"jku":"http://x/","x5u":"http://x/"}`, `{}`), set(other),
			"the signature does not fit the key"},
	} {
		var keys Keys
		_, err := keys.Verify(c.token, c.key, VerifyOptions{})
		if c.want == "" {
			assert.NoError(t, err, c.name)
		} else {
			assert.ErrorContains(t, err, c.want, c.name)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "x", "a.b", "..", "e30.e30", "e30.W10.", "bnVsbA.e30.", "e30.e30.e30.e30"} {
		_, err := Decode(token)
		assert.Error(t, err, token)
	}
	got, err := Decode("e30.e30.")
	require.NoError(t, err, "what is not signed can be looked at")
	assert.Equal(t, &Decoded{map[string]any{}, map[string]any{}, ""}, got)
}

func TestOneByteChanged(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n"
	for _, alg := range []string{"HS256", "ES256", "EdDSA"} {
		key := any(secret)
		if name := keyOf(alg); name != "" {
			key = publicPEM(name)
		}
		var keys Keys
		token := made(t, alg, `{"alg":"`+alg+`"}`, `{"sub":"x"}`)
		_, err := keys.Verify(token, key, VerifyOptions{})
		require.NoError(t, err)
		for i := range token {
			for _, c := range alphabet {
				changed := token[:i] + string(c) + token[i+1:]
				if changed == token || strings.Trim(changed, " \n") == token {
					continue
				}
				_, err := keys.Verify(changed, key, VerifyOptions{})
				require.Error(t, err, "%s: %q at %d", alg, c, i)
			}
		}
	}
}
