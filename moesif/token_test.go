package moesif

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// jwt returns a token with that payload; its signature is not looked at.
func jwt(payload string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"HS256"}`)) + "." + e([]byte(payload)) + "." + e([]byte("signature"))
}

// D16.
func TestReadTokenD16(t *testing.T) {
	std := base64.StdEncoding.EncodeToString
	both := `{"sub":"u1","org":{"id":"c1"}}`
	for _, c := range []struct {
		name, value   string
		user, company string
	}{
		{"a JWT", "Bearer " + jwt(both), "u1", "c1"},
		{"scheme in lower case", "bearer " + jwt(both), "u1", "c1"},
		{"scheme in upper case, blanks", "  BEARER \t " + jwt(both) + " ", "u1", "c1"},
		{"without a scheme", jwt(both), "u1", "c1"},
		{"without a signature", strings.TrimSuffix(jwt(both), "."+base64.RawURLEncoding.EncodeToString([]byte("signature"))), "u1", "c1"},
		{"characters that only the URL alphabet has", "Bearer x." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"a?>~ÿÿþ"}`)) + ".x", "a?>~ÿÿþ", ""},
		{"standard alphabet, padded", "Bearer x." + std([]byte(`{"sub":"a?>~ÿÿþ"}`)) + ".x", "a?>~ÿÿþ", ""},
		{"base64 of JSON", std([]byte(both)), "u1", "c1"},
		{"Bearer base64 of JSON", "Bearer " + std([]byte(both)), "u1", "c1"},
		{"white space in the JSON", jwt(` { "sub" : "u1" , "x" : [ 1 , { } ] } `), "u1", ""},
		{"Basic", "Basic " + std([]byte("ann:secret")), "ann", ""},
		{"Basic: before the first colon", "basic " + std([]byte("ann:se:cret")), "ann", ""},
		{"Basic: an empty name", "Basic " + std([]byte(":secret")), "", ""},
		{"Basic: no colon", "Basic " + std([]byte("ann")), "", ""},
		{"Basic: not base64", "Basic ann:secret", "", ""},
		{"an opaque key", "0123456789abcdef", "", ""},
		{"an opaque key with dots", "ab.cd.ef", "", ""},
		{"the scheme alone", "Bearer", "", ""},
		{"the word without a blank", "Bearer" + jwt(both), "u1", "c1"}, // the first part is not looked at
		{"no object", jwt(`["sub"]`), "", ""},
		{"not JSON", jwt(`{"sub":`), "", ""},
		{"encrypted", "a.b.c.d.e", "", ""},
		{"line break", "Bearer x." + std([]byte(both))[:8] + "\n" + std([]byte(both))[8:], "", ""},
		{"empty", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			user, company := readToken(c.value, "sub", "org.id")
			assert.Equal(t, c.user, user, "user")
			assert.Equal(t, c.company, company, "company")
		})
	}
}

func TestFindClaim(t *testing.T) {
	claims := `{"sub":"u","SUB":"folded","Name":"n","n":12345678901234567890,"f":1.50,"b":true,"nul":null,"obj":{"id":"o","ID2":{"x":"deep"}},
		"a.b":"dotted","a":{"b":"nested","c":"c"},"list":[1],"dup":1,"dup":2,"esc":"\u00e9\"","blank":"  ","neg":-7,"mail@x.org":{"id":9}}`
	for name, want := range map[string]string{
		"sub": "u", "SUB": "folded", "Sub": "folded", "name": "n", "n": "12345678901234567890", "f": "1.50", "b": "true", "nul": "", "obj": "",
		"obj.id": "o", "OBJ.Id": "o", "obj.id2.x": "deep", "a.b": "dotted", "a.c": "c", "a.d": "", "list": "", "dup": "2", "esc": `é"`, "blank": "",
		"neg": "-7", "missing": "", "": "", ".": "", "a.": "", "obj.id.x": "",
	} {
		assert.Equal(t, want, findClaim([]byte(claims), name), "findClaim(%q)", name)
	}
}

// FuzzClaims: any header value gives ids in UTF-8, and a claim that a JSON decoder finds as a text under a plain name is
// found.
func FuzzClaims(f *testing.F) {
	f.Add("Bearer "+jwt(`{"sub":"u","a":{"b":"c"}}`), "sub")
	f.Add("Basic YTpi", "a.b")
	f.Add(base64.StdEncoding.EncodeToString([]byte(`{"sub":1e5,"x":"\ud800"}`)), "x")
	f.Fuzz(func(t *testing.T, value, claim string) {
		user, company := readToken(value, claim, claim+".x")
		require.True(t, utf8.ValidString(user) && utf8.ValidString(company))

		// The value as claims of a token of our own.
		payload, err := json.Marshal(map[string]any{claim: value, "other": []any{value}})
		require.NoError(t, err)
		var back map[string]any
		require.NoError(t, json.Unmarshal(payload, &back))
		want, _ := back[strings.ToValidUTF8(claim, "\ufffd")].(string)
		if utf8.ValidString(claim) && claim != "" && claim != "other" {
			user, _ = readToken(jwt(string(payload)), claim, "")
			require.Equal(t, strings.TrimSpace(want), user)
		}
	})
}

// Whatever a header holds, an id is a text, and of Basic credentials never more than what stands before the first colon.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "Basic dTpwOnE=", "basic dTo=", "Bearer " + jwt(`{"sub":"a"}`), jwt(`{"sub":1e400,"org":null}`), "a.b.c", "Bearer ..", "Basic ="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		user, company := readToken(value, "sub", "org.id")
		if !utf8.ValidString(user) || !utf8.ValidString(company) {
			t.Fatalf("readToken(%q) = %q, %q", value, user, company)
		}
		if credentials, basic := cutScheme(strings.TrimSpace(value), "basic"); basic {
			plain, _ := decodeBase64(credentials)
			name, _, _ := strings.Cut(string(plain), ":")
			if company != "" || user != "" && user != strings.ToValidUTF8(name, "\ufffd") {
				t.Fatalf("readToken(%q) = %q, %q", value, user, company)
			}
		}
	})
}
