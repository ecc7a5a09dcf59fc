package admin

import (
	"bytes"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestContentTypes(t *testing.T) {
	t.Parallel()
	noName := `schema violation (at least one of these fields must be non-empty: 'custom_id', 'username')`
	for _, c := range []struct {
		name, kind, body string
		status           int
		want             string
	}{
		{"json", "application/json; charset=utf-8", `{"username":"a"}`, 201, `"username":"a"`},
		{"upper case", "Application/JSON", `{"username":"b"}`, 201, `"username":"b"`},
		{"form", "application/x-www-form-urlencoded", "username=c%20d", 201, `"username":"c d"`},
		{"no type, no body", "", "", 400, noName},
		{"json without a body", "application/json", "", 400, "Cannot parse JSON body"},
		{"form without a body", "application/x-www-form-urlencoded", "", 400, noName},
		{"multipart without a body", "multipart/form-data", "", 400, noName},
		{"multipart without a boundary", "multipart/form-data", "x", 400, "Cannot parse multipart body"},
		{"multipart that is none", "multipart/form-data; boundary=b", "x", 400, "Cannot parse multipart body"},
		{"no type", "", `{"username":"x"}`, 415, "Content-Type must be"},
		{"another type", "text/plain", "x", 415, "Content-Type must be"},
		{"no UTF-8", "application/json", "{\"username\":\"\xff\"}", 400, "Cannot parse JSON body"},
		{"form without UTF-8", "application/x-www-form-urlencoded", "username=%ff", 400, "the form is not UTF-8"},
		{"too large", "application/json", strings.Repeat(" ", maxBody+1), 413, "more than 1048576 bytes"},
		{"too many arguments", "application/x-www-form-urlencoded", strings.Repeat("a&", maxArgs), 400, "more than 1000 arguments"},
		{"too long a name", "application/json", `{"username":"` + strings.Repeat("x", maxText+1) + `"}`, 400, "length must be at most 1024"},
		{"a zero byte", "application/json", `{"username":"a\u0000b"}`, 400, "must not contain a zero byte"},
		{"form: a record and a value", "application/x-www-form-urlencoded", "consumer=a&consumer.id=b", 400, "consumer as a record and as a value"},
	} {
		a := newTestAPI(t)
		r := httptest.NewRequest("POST", "/consumers", strings.NewReader(c.body))
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		w := a.do(r)
		assert.Equal(t, c.status, w.Code, c.name)
		assert.Contains(t, w.Body.String(), c.want, c.name)
		assert.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"), c.name)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), c.name)
	}
	r := httptest.NewRequest("POST", "/consumers", strings.NewReader("{}"))
	r.Header["Content-Type"] = []string{"application/json", "text/plain"}
	w := newTestAPI(t).do(r)
	assert.Equal(t, 400, w.Code)
	assert.JSONEq(t, `{"message":"Multiple Content-Type headers not allowed"}`, w.Body.String())
}

func TestMultipart(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	a.send("POST", "/consumers", `{"id":"11111111-1111-4111-8111-111111111111","username":"alice"}`)
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for _, f := range [][2]string{{"key", "k e y"}, {"tags[1]", "one"}, {"tags[10]", "ten"}, {"tags[2]", "two"}, {"consumer.username", "alice"}, {"ttl", "60"}, {"disabled", "false"}, {"created_at", ""}} {
		require.NoError(t, m.WriteField(f[0], f[1]))
	}
	file, err := m.CreateFormFile("groups", "groups.txt")
	require.NoError(t, err)
	_, _ = file.Write([]byte("from a file"))
	require.NoError(t, m.Close())
	r := httptest.NewRequest("POST", "/key-auths", &body)
	r.Header.Set("Content-Type", m.FormDataContentType())
	w := a.do(r)
	assert.Equal(t, 201, w.Code, w.Body.String())
	for _, want := range []string{`"key":"k e y"`, `"tags":["one","two","ten"]`, `"ttl":60`, `"disabled":false`, `"groups":["from a file"]`, `"consumer":{"id":"11111111-1111-4111-8111-111111111111"}`, `"created_at":1700000000`} {
		assert.Contains(t, w.Body.String(), want)
	}
}

// Nothing that a client can send is a failure of ours, and what was stored is found again.
func FuzzRequests(f *testing.F) {
	const json, form = "application/json", "application/x-www-form-urlencoded"
	for _, s := range [][4]string{
		{"POST", "/consumers/alice/key-auth", json, `{"key":"k","tags":["a"],"ttl":10}`},
		{"POST", "/key-auths", form, "key=x&consumer.id=11111111-1111-4111-8111-111111111111&tags[]=a&cidrs[2]=::1"},
		{"PUT", "/key-auths/a%2Fb", json, `{"consumer":{"username":"alice"},"scopes":["method:GET"],"expires_at":1800000000}`},
		{"PATCH", "/consumers/alice", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"custom_id\"\r\n\r\nx\r\n--b--"},
		{"GET", "/key-auths?offset=WyIiXQ&size=1&tags=a/b&total=true", "", ""},
		{"GET", "/consumers?custom_id=a;b", "", ""},
		{"POST", "/key-auths/secret/rotate?grace=1h", json, `{"disabled":true,"groups":["g"],"not_before":1}`},
		{"DELETE", "/consumers/alice/", "", ""},
		{"PUT", "/consumers/11111111-1111-4111-8111-111111111111", json, `{"id":"x","username":"\u0000"}`},
		{"OPTIONS", "//key-auths/%FF", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3], false)
		f.Add(s[0], s[1], s[2], s[3], true)
	}
	f.Fuzz(func(t *testing.T, method, target, kind, body string, seed bool) {
		path, query, _ := strings.Cut(target, "?")
		a := newTestAPI(t, func(o *Options) { o.Seed = seed })
		require.Equal(t, 201, a.send("POST", "/consumers", `{"id":"11111111-1111-4111-8111-111111111111","username":"alice"}`).Code)
		require.Equal(t, 201, a.send("POST", "/consumers/alice/key-auth", `{"key":"secret"}`).Code)
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.URL.RawQuery, r.URL.Path, r.URL.RawPath = method, query, "", ""
		if unescaped, ok := split(path); ok {
			r.URL.Path, r.URL.RawPath = "/"+strings.Join(unescaped, "/"), path
		} else {
			r.URL.Path = path
		}
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		w := a.do(r)
		if w.Code >= 500 {
			t.Fatalf("%s %q %q %q: %d %s\n%s", method, target, kind, body, w.Code, w.Body, a.log)
		}
		if strings.Contains(a.log.String(), "secret") {
			t.Fatalf("the log shows a key: %s", a.log)
		}
		again := newTestAPI(t, func(o *Options) { o.Seed = seed })
		again.Store = reopen(t, a.path)
		for _, list := range []string{"/consumers", "/key-auths"} {
			before, after := a.send("GET", list, ""), again.send("GET", list, "")
			if before.Code != 200 || before.Body.String() != after.Body.String() {
				t.Fatalf("%s %q %q %q: %s is %s, and read again %s", method, target, kind, body, list, before.Body, after.Body)
			}
		}
	})
}
