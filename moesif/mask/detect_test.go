package mask

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func detecting(t testing.TB, detectors ...string) *Masks {
	t.Helper()
	return compile(t, Rules{Detectors: detectors})
}

// jwt is a token of RFC 7519's kind.
var jwt = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"bob"}`)) + ".c2ln-_"

func TestDetect(t *testing.T) {
	m := detecting(t, "card_number", "email", "jwt")
	spaced := base64.RawURLEncoding.EncodeToString([]byte(" \n{\"alg\":\"none\"}"))
	for in, want := range map[string]string{
		"4111111111111111":                         "*****",
		"card 4111 1111 1111 1111, thanks":         "card *****, thanks",
		"4111-1111-1111-1111":                      "*****",
		"5555 5555 5555 4444/378282246310005":      "*****/*****",
		"4222222222222":                            "*****",               // 13 digits
		"6304000000000000001":                      "6304000000000000001", // a wrong check digit
		"12 4111 1111 1111 1111 99":                "12 ***** 99",         // neighbours in the same line
		"4111111111111112":                         "4111111111111112",
		"41111111111111111111111":                  "41111111111111111111111",
		"04111111111111111":                        "04111111111111111",
		"4111  1111 1111 1111":                     "4111  1111 1111 1111",
		"1772360430007 1772360430016":              "1772360430007 1772360430016", // times in milliseconds
		"0.4111111111111111":                       "0.4111111111111111",
		"bob@example.com":                          "*****",
		"<bob.o'neil+x@mail.example.co.uk>.":       "<bob.o'*****>.",
		"write to bob@example.com.":                "write to *****.",
		"bob@localhost @example.com bob@ a@b@c.de": "bob@localhost @example.com bob@ a@*****",
		"bob@example..com bob@.com bob@a.b":        "bob@example..com bob@.com bob@a.b",
		"müller@bücher.example":                    "*****",
		"Bearer " + jwt:                            "Bearer *****",
		"t=" + jwt + "&x=" + jwt:                   "t=*****&x=*****",
		spaced + ".e30.":                           "*****",
		jwt + ".a.b":                               "*****",
		"www.example.com a.b.c eyJ.eyJ.x":          "www.example.com a.b.c eyJ.eyJ.x",
		"x.y." + jwt:                               "x.y.*****",
		"":                                         "",
	} {
		shown, changed := m.detectIn([]byte(in))
		assert.Equal(t, want, string(shown), "detectIn(%q)", in)
		assert.Equal(t, in != want, changed)
	}
	shown, changed := detecting(t, "jwt").detectIn([]byte("bob@example.com 4111111111111111"))
	assert.False(t, changed, string(shown))
}

func TestDetectEverywhere(t *testing.T) {
	m := detecting(t, "card_number", "email", "jwt")
	for in, want := range map[string]string{
		`{"a":"bob@example.com","b":"hi bob\u0040example.com!\n","bob@example.com":1}`: `{"a":"*****","b":"hi *****!\n","*****":1}`,
		`[4111111111111111,-4111111111111111,4111111111111111.0,41111111111111110]`:    `["*****","*****","*****",41111111111111110]`,
		`[0.4111111111111111,3.14159265358979,4111111111111111e1]`:                     `[0.4111111111111111,3.14159265358979,4111111111111111e1]`,
		`["{\"a\": \"bob\\u0040example.com\"}"]`:                                       `["{\"a\":\"*****\"}"]`,
		`["text"]`:                                                                     `["text"]`,
	} {
		assert.Equal(t, want, string(maskedJSON(m, []byte(in))), in)
	}
	for in, want := range map[string]string{
		"http://h/users/bob@example.com/orders?x=1":            "http://h/users/*****/orders?x=1",
		"/p?mail=bob%40example.com&card=4111%201111+1111-1111": "/p?mail=*****&card=*****",
		"/p?a=%zz%":             "/p?a=%zz%",
		"/p/" + jwt + "#" + jwt: "/p/*****#*****",
	} {
		assert.Equal(t, want, m.URL(in), in)
		assert.Equal(t, want, compile(t, Rules{Query: []string{"other"}, Detectors: []string{"card_number", "email", "jwt"}}).URL(in), in)
	}
	shown, ok := m.Header("cookie", "session="+jwt)
	assert.True(t, ok)
	assert.Equal(t, "session=*****", shown)
	for _, c := range []struct{ contentType, in, want string }{
		{"text/plain", "hi bob@example.com \xff", "hi ***** \xff"},
		{"text/plain", "{\"a\": \"bob\\u0040example.com\"}", "{\"a\":\"*****\"}"},
		{"text/csv; charset=ISO-8859-1", "a,4111111111111111\r\n", "a,*****\r\n"},
		{"application/x-www-form-urlencoded", "a=bob%40example.com&b=%2B1", "a=*****&b=%2B1"},
		{"application/xml", "<a b='bob@example.com'>&#x62;ob@example.com<![CDATA[<4111111111111111>]]><!--bob@example.com--></a>", "<a b='*****'>*****&lt;*****&gt;<!--*****--></a>"},
		{partType, parts("name=a; filename=\"bob@example.com.txt\"\nContent-Type: text/plain\n\nbob@example.com"), parts("name=a; filename=\"*****\"\nContent-Type: text/plain\n\n*****")},
	} {
		shown, ok := m.Body(c.contentType, []byte(c.in))
		assert.True(t, ok)
		assert.Equal(t, c.want, string(shown))
	}
	for _, contentType := range []string{"text/plain; charset=utf-16", "application/pdf", "", "text/plain, text/html"} {
		_, ok := m.Body(contentType, []byte("bob"))
		assert.False(t, ok, contentType)
	}
	hashed, _ := compile(t, Rules{Detectors: []string{"email"}, Action: "hash", HashKey: "k"}).detectIn([]byte("a bob@example.com"))
	assert.Regexp(t, "^a hash:[0-9a-f]{32}$", string(hashed))
}

// FuzzDetect: what stands between two other texts is found or not found as it is alone, what is found is gone, and the
// rest keeps its bytes.
func FuzzDetect(f *testing.F) {
	f.Add("hi bob@example.com, 4111 1111 1111 1111; " + jwt)
	f.Add("@@@@...eyJ..eyJ.4-4-4-4-4-4-4-4-4")
	m := detecting(f, "card_number", "email", "jwt")
	f.Fuzz(func(t *testing.T, text string) {
		spans := m.detect.find([]byte(text))
		last := 0
		for _, s := range spans {
			require.True(t, s.start >= last && s.end > s.start && s.end <= len(text))
			last = s.end
		}
		for _, secret := range []string{"4111 1111 1111 1111", "bob@example.com", jwt} {
			shown, _ := m.detectIn([]byte(text + "\n<" + secret + ">\n" + text))
			require.True(t, strings.Contains(string(shown), "\n<"+Stars+">\n"), "%q is left in %q", secret, shown)
		}
		shown := m.URL("/" + strings.NewReplacer("@", "%40", " ", "%20").Replace("bob@example.com 4111 1111 1111 1111") + "?" + text)
		require.True(t, strings.HasPrefix(shown, "/*****%20*****?"), shown)
	})
}

func BenchmarkDetect(b *testing.B) {
	m := detecting(b, "card_number", "email", "jwt")
	text := []byte(strings.Repeat("A text without any of it, 2026-03-01 10:20:30, www.example.com. ", 1000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		m.detectIn(text)
	}
}
