package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secret is the HMAC secret of the tests.
const secret = "correct horse battery staple, longer than a hash"

// privateKeys is one private key of each family, by a name.
var privateKeys = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	keys := map[string]crypto.Signer{"rsa": rsaKey}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		if keys[name], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			panic(err)
		}
	}
	if _, keys["ed25519"], err = ed25519.GenerateKey(rand.Reader); err != nil {
		panic(err)
	}
	return keys
})

// keyOf names the key for an algorithm in privateKeys; empty is the secret.
func keyOf(alg string) string {
	switch alg[:2] {
	case "RS", "PS":
		return "rsa"
	case "ES":
		return map[string]string{"ES256": "p256", "ES384": "p384", "ES512": "p521"}[alg]
	case "Ed":
		return "ed25519"
	}
	return ""
}

func encodePEM(blockType string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}))
}

func privatePEM(name string) string {
	der, err := x509.MarshalPKCS8PrivateKey(privateKeys()[name])
	return encodePEM("PRIVATE KEY", der, err)
}

func publicPEM(name string) string {
	der, err := x509.MarshalPKIXPublicKey(privateKeys()[name].Public())
	return encodePEM("PUBLIC KEY", der, err)
}

func certificatePEM(name string) string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, privateKeys()[name].Public(), privateKeys()[name])
	return encodePEM("CERTIFICATE", der, err)
}

// jwkOf is a key as a JWK.
func jwkOf(name string, private bool) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := privateKeys()[name].(type) {
	case *rsa.PrivateKey:
		jwk := map[string]any{"kty": "RSA", "n": b64(k.N.Bytes()), "e": "AQAB"}
		if private {
			jwk["d"], jwk["p"], jwk["q"] = b64(k.D.Bytes()), b64(k.Primes[0].Bytes()), b64(k.Primes[1].Bytes())
		}
		return jwk
	case *ecdsa.PrivateKey:
		point, err := k.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		size := len(point) / 2
		jwk := map[string]any{"kty": "EC", "crv": k.Params().Name, "x": b64(point[1 : 1+size]), "y": b64(point[1+size:])}
		if private {
			d, err := k.Bytes()
			if err != nil {
				panic(err)
			}
			jwk["d"] = b64(d)
		}
		return jwk
	case ed25519.PrivateKey:
		jwk := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(k.Public().(ed25519.PublicKey))}
		if private {
			jwk["d"] = b64(k.Seed())
		}
		return jwk
	}
	panic(name)
}

// with is a JWK with more members.
func with(jwk map[string]any, more ...any) map[string]any {
	all := map[string]any{}
	for k, v := range jwk {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestRFC(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/rfc.json")
	require.NoError(t, err)
	var vectors []struct {
		Source, Token string
		Text          bool // the payload is no JSON
		Key           map[string]any
	}
	require.NoError(t, json.Unmarshal(b, &vectors))
	require.Len(t, vectors, 5)
	for _, v := range vectors {
		public := with(v.Key)
		if public["kty"] != "oct" {
			delete(public, "d")
		}
		for _, key := range []any{v.Key, text(v.Key), public, map[string]any{"keys": []any{public}}} {
			var keys Keys
			got, err := keys.Verify(v.Token, key, VerifyOptions{})
			if v.Text {
				assert.EqualError(t, err, "token: the payload is not a JSON object", v.Source) // after the signature was right
				continue
			}
			require.NoError(t, err, v.Source)
			assert.Equal(t, map[string]any{"iss": "joe", "exp": json.Number("1300819380"), "http://example.com/is_root": true}, got.Claims, v.Source)
			_, err = keys.Verify(v.Token, key, VerifyOptions{CheckExpiry: true})
			assert.EqualError(t, err, "claims: exp is past: the token has expired", v.Source)
		}
	}
}

// forms are all ways to write one key, public and private.
func forms(name string) map[string]any {
	all := map[string]any{
		"PKCS #8": privatePEM(name), "PKIX": publicPEM(name), "certificate": certificatePEM(name),
		"PEM with escaped line ends": strings.ReplaceAll(publicPEM(name), "\n", `\n`),
		"PEM with text around":       "my key:\n" + publicPEM(name) + "\nend",
		"certificate and key":        certificatePEM(name) + privatePEM(name),
		"JWK":                        jwkOf(name, false), "JWK as text": " " + text(jwkOf(name, false)) + "\n",
		"private JWK": jwkOf(name, true), "private JWK as text": text(jwkOf(name, true)),
		"JWKS": map[string]any{"keys": []any{jwkOf(name, false)}}, "JWKS as text": text(map[string]any{"keys": []any{jwkOf(name, false)}}),
		"JWKS among others": map[string]any{"keys": []any{"x", map[string]any{}, map[string]any{"kty": "new"}, jwkOf(name, false)}},
	}
	switch k := privateKeys()[name].(type) {
	case *rsa.PrivateKey:
		all["PKCS #1"] = encodePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k), nil)
		all["PKCS #1, public"] = encodePEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.PublicKey), nil)
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		all["SEC 1"] = encodePEM("EC PRIVATE KEY", der, err)
		all["SEC 1 with parameters"] = encodePEM("EC PARAMETERS", []byte{6, 0}, nil) + encodePEM("EC PRIVATE KEY", der, err)
	}
	return all
}

func TestEveryFormOfEveryKey(t *testing.T) {
	t.Parallel()
	for _, alg := range Algorithms() {
		name := keyOf(alg)
		if name == "" {
			continue
		}
		var keys Keys
		signed, err := keys.Sign(map[string]any{"sub": "me"}, privatePEM(name), SignOptions{Algorithm: alg, ExpiresIn: 3600})
		require.NoError(t, err, alg)
		for form, key := range forms(name) {
			got, err := keys.Verify(signed.Token, key, VerifyOptions{CheckExpiry: true, CheckNotBefore: true})
			if assert.NoError(t, err, "%s: %s", alg, form) {
				assert.Equal(t, "me", got.Claims["sub"])
			}
			private := strings.Contains(form, "private") || form == "PKCS #8" || form == "PKCS #1" || strings.HasPrefix(form, "SEC 1") ||
				form == "certificate and key"
			again, err := keys.Sign(nil, key, SignOptions{Algorithm: alg})
			if !private {
				assert.ErrorContains(t, err, "cannot sign; give the private key", "%s: %s", alg, form)
				continue
			}
			if assert.NoError(t, err, "%s: %s", alg, form) {
				_, err = keys.Verify(again.Token, publicPEM(name), VerifyOptions{})
				assert.NoError(t, err, "%s: %s", alg, form)
			}
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	jwk := map[string]any{"kty": "oct", "k": base64.RawURLEncoding.EncodeToString([]byte(secret))}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		for _, key := range []any{secret, jwk, text(jwk), map[string]any{"keys": []any{jwk}}} {
			var keys Keys
			signed, err := keys.Sign(nil, key, SignOptions{Algorithm: alg})
			require.NoError(t, err)
			_, err = keys.Verify(signed.Token, secret, VerifyOptions{})
			assert.NoError(t, err, alg)
			_, err = keys.Verify(signed.Token, secret+" ", VerifyOptions{})
			assert.Error(t, err, "a secret is taken as it is")
		}
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	p256, rsaKey, ed := jwkOf("p256", true), jwkOf("rsa", true), jwkOf("ed25519", true)
	der, err := x509.MarshalPKIXPublicKey(privateKeys()["ed25519"].Public())
	require.NoError(t, err)
	small, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537})
	require.NoError(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	p224DER, err := x509.MarshalPKCS8PrivateKey(p224)
	require.NoError(t, err)
	certificate := strings.Split(strings.TrimSpace(certificatePEM("p256")), "\n") // each one made is of another length
	bare := "is a public or private key without the lines around it"
	for _, c := range []struct {
		name string
		key  any
		want string
	}{
		{"null", nil, "key: is null"},
		{"empty", "", "key: is empty"},
		{"spaces", " \n", "key: is empty"},
		{"a number", 1, "key: neither text nor a JSON object"},
		{"a list", []any{p256}, "key: neither text nor a JSON object"},
		{"huge", strings.Repeat("x", maxKeyBytes+1), "more than 1048576"},
		{"an object without kty", map[string]any{"k": "AA"}, "neither a JWK nor a JWKS"},
		{"broken JSON", `{"kty":"oct"`, "begins like a JSON object and is none"},
		{"two objects", `{"kty":"oct","k":"AA"} {}`, "begins like a JSON object and is none"},
		{"a list of JWKs as text", text([]any{p256}), bare},
		{"a JWK in quotes", text(text(p256)), bare},
		{"DER in base64", base64.StdEncoding.EncodeToString(der), bare},
		{"DER in base64url", base64.RawURLEncoding.EncodeToString(der), bare},
		{"the lines of PEM alone", strings.Join(strings.Split(publicPEM("rsa"), "\n")[1:8], "\n"), bare},
		{"a certificate's lines", strings.Join(certificate[1:len(certificate)-1], " "), bare},
		{"an SSH key", "ssh-ed25519 AAAA zebra", bare},
		{"PEM on one line", strings.ReplaceAll(publicPEM("p256"), "\n", " "), "are its line ends there?"},
		{"PEM cut", publicPEM("p256")[:60], "are its line ends there?"},
		{"PEM of something else", encodePEM("DH PARAMETERS", []byte{1}, nil), "without a readable"},
		{"PEM with rubbish", encodePEM("PUBLIC KEY", []byte("zebra"), nil), "the PEM block PUBLIC KEY cannot be read"},
		{"encrypted", encodePEM("ENCRYPTED PRIVATE KEY", []byte{1}, nil), "is encrypted"},
		{"encrypted, old", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte{1},
			Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}})), "is encrypted"},
		{"RSA too short", encodePEM("PUBLIC KEY", small, nil), "an RSA key of 1024 bits"},
		{"P-224", encodePEM("PRIVATE KEY", p224DER, nil), "of a sort that signs no tokens"},
		{"JWKS without keys", map[string]any{"keys": []any{}}, "without a usable key"},
		{"JWKS with a text", map[string]any{"keys": "zebra"}, "whose keys are no list"},
		{"JWKS with too many", map[string]any{"keys": make([]any, 101)}, "a JWKS of 101 keys"},
		{"unknown kty", map[string]any{"kty": "zebra"}, "a kty other than"},
		{"kty is no text", map[string]any{"kty": 1}, "neither a JWK nor a JWKS"},
		{"oct without k", map[string]any{"kty": "oct"}, "k of the JWK is missing"},
		{"oct, empty", map[string]any{"kty": "oct", "k": ""}, "k of the JWK is missing"},
		{"oct, not base64", map[string]any{"kty": "oct", "k": "!zebra"}, "k of the JWK is not base64url"},
		{"kid is no text", map[string]any{"kty": "oct", "k": "AA", "kid": 1}, "kid of the JWK is no string"},
		{"EC without y", with(p256, "y", nil), "y of the JWK is missing"},
		{"EC, unknown curve", with(p256, "crv", "secp256k1"), "none of P-256, P-384, P-521"},
		{"EC, another curve", with(p256, "crv", "P-384"), "no point of its curve"},
		{"EC, x too long", with(p256, "x", strings.Repeat("A", 60)), "x of the JWK has 45 bytes, more than 32"},
		{"EC, off the curve", with(p256, "x", p256["y"]), "no point of its curve"},
		{"EC, another d", with(p256, "d", "AQ"), "d of the JWK does not belong to x and y"},
		{"RSA, even e", with(rsaKey, "e", "Ag"), "e of the JWK is no exponent"},
		{"RSA, e of 1", with(rsaKey, "e", "AQ"), "e of the JWK is no exponent"},
		{"RSA, huge e", with(rsaKey, "e", rsaKey["n"]), "e of the JWK is no exponent"},
		{"RSA, even n", with(rsaKey, "n", strings.Repeat("A", 340)+"Ag"), "n of the JWK is no modulus"},
		{"RSA, short n", with(rsaKey, "n", "AQAB"), "an RSA key of 17 bits"},
		{"RSA without primes", with(rsaKey, "p", nil), "needs p and q"},
		{"RSA, another d", with(rsaKey, "d", "AQAB"), "do not belong together"},
		{"RSA, another prime", with(rsaKey, "p", "Aw"), "do not belong together"},
		{"OKP, another curve", with(ed, "crv", "X25519"), "is not Ed25519"},
		{"OKP, short x", with(ed, "x", "AQAB"), "x of the JWK has 3 bytes, not 32"},
		{"OKP, short d", with(ed, "d", "AQAB"), "d of the JWK has 3 bytes, not 32"},
		{"OKP, another d", with(ed, "d", strings.Repeat("A", 43)), "d of the JWK does not belong to x"},
	} {
		var keys Keys
		for range 2 { // read, and remembered
			_, err := keys.get(c.key)
			if assert.ErrorContains(t, err, c.want, c.name) {
				assert.NotContains(t, err.Error(), "zebra", c.name)
				assert.True(t, strings.HasPrefix(err.Error(), "key: "), c.name)
			}
		}
	}
}

func TestTextsThatAreSecrets(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"secret", "[brackets", `"quote`, "MEUCIQ==", strings.Repeat("A", 64), "0123456789abcdef0123456789abcdef"} {
		var keys Keys
		set, err := keys.get(key)
		require.NoError(t, err, key)
		assert.Equal(t, secretFamily, set.keys[0].family, key)
	}
}

func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	var keys Keys
	for i := range 3 * maxRemembered {
		_, err := keys.get(fmt.Sprint("secret ", i))
		require.NoError(t, err)
		require.LessOrEqual(t, len(keys.read), maxRemembered)
	}
	a, err := keys.get(publicPEM("p256"))
	require.NoError(t, err)
	b, err := keys.get(publicPEM("p256"))
	require.NoError(t, err)
	assert.Same(t, a, b)
}

func TestKeysAtOnce(t *testing.T) {
	t.Parallel()
	var keys Keys
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				_, err := keys.get(fmt.Sprint(i, j%40))
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
}
