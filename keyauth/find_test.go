package keyauth

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// searching returns settings that look for these names everywhere.
func searching(names ...string) *settings {
	s := &settings{inHeader: true, inQuery: true, inBody: true}
	for _, name := range names {
		s.names = append(s.names, newKeyName(name))
	}
	return s
}

const (
	formType  = "application/x-www-form-urlencoded"
	jsonType  = "application/json"
	partsType = "multipart/form-data; boundary=b"
)

func parts(namesAndContents ...string) string {
	var b strings.Builder
	for i := 0; i < len(namesAndContents); i += 2 {
		b.WriteString("--b\r\nContent-Disposition: form-data; name=\"" + namesAndContents[i] + "\"\r\n\r\n" + namesAndContents[i+1] + "\r\n")
	}
	return b.String() + "--b--\r\n"
}

// TestFind follows the tables of what Kong 3.9 finds, row by row.
func TestFind(t *testing.T) {
	apikey, two, dash, under := searching("apikey"), searching("apikey", "x-key"), searching("api-key"), searching("api_key")
	bearer := searching("authorization")
	bearer.scheme = "Bearer "
	header := func(name string, values ...string) map[string][]string { return map[string][]string{name: values} }
	for _, c := range []struct {
		name string
		s    *settings
		q    query
		want found
		key  string
	}{
		{"nothing", apikey, query{}, noKey, ""},
		{"scheme", bearer, query{headers: header("authorization", "bearer  k")}, oneKey, "k"},
		{"without the scheme", bearer, query{headers: header("authorization", "k")}, oneKey, "k"},
		{"another scheme", bearer, query{headers: header("authorization", "Basic k")}, oneKey, "Basic k"},
		{"the scheme alone", bearer, query{headers: header("authorization", "Bearer ")}, oneKey, "Bearer "},
		{"no scheme in the query", bearer, query{args: "authorization=Bearer+k"}, oneKey, "Bearer k"},
		{"header", apikey, query{headers: header("apikey", "k")}, oneKey, "k"},
		{"empty header masks the query", apikey, query{headers: header("apikey", ""), args: "apikey=k"}, oneKey, ""},
		{"repeated header", apikey, query{headers: header("apikey", "k", "k")}, duplicate, ""},
		{"comma in a header", apikey, query{headers: header("apikey", "a, b")}, oneKey, "a, b"},
		{"header before query", apikey, query{headers: header("apikey", "h"), args: "apikey=q"}, oneKey, "h"},
		{"header before duplicates elsewhere", apikey, query{headers: header("apikey", "h"), args: "apikey=q&apikey=r"}, oneKey, "h"},
		{"upper case in the configuration", searching("ApiKey"), query{headers: header("apikey", "k")}, oneKey, "k"},
		{"dash for underscore", under, query{headers: header("api-key", "k")}, oneKey, "k"},
		{"as configured before the other spelling", under, query{headers: map[string][]string{"api_key": {"a"}, "api-key": {"b"}}}, oneKey, "a"},
		{"underscore for dash", dash, query{headers: header("api_key", "k")}, oneKey, "k"},
		{"two other spellings", searching("a-b-c"), query{headers: map[string][]string{"a_b-c": {"a"}, "a-b_c": {"b"}}}, duplicate, ""},
		{"another name of the same length", dash, query{headers: header("apixkey", "k")}, noKey, ""},

		{"query", apikey, query{args: "a=1&apikey=k&b"}, oneKey, "k"},
		{"query: case of the name", apikey, query{args: "APIKEY=k"}, noKey, ""},
		{"query: escaped name and value", apikey, query{args: "api%6B%65%79=a%20b+c%zz%4"}, oneKey, "a b c%zz%4"},
		{"query: empty", apikey, query{args: "apikey=", body: newBody(formType, "apikey=k")}, oneKey, ""},
		{"query: no value", apikey, query{args: "apikey"}, noKey, ""},
		{"query: no value hides the body", apikey, query{args: "apikey", body: newBody(formType, "apikey=k")}, noKey, ""},
		{"query: no value, next name", two, query{args: "apikey&x-key=k"}, oneKey, "k"},
		{"query: twice", apikey, query{args: "apikey=k&apikey=k"}, duplicate, ""},
		{"query: twice, once without value", apikey, query{args: "apikey&apikey=k"}, duplicate, ""},
		{"query: twice, escaped", apikey, query{args: "apikey=k&%61pikey=k"}, duplicate, ""},
		{"query: brackets are another name", apikey, query{args: "apikey[]=k&apikey[1]=k"}, noKey, ""},
		{"query: value with =", apikey, query{args: "apikey=a=b"}, oneKey, "a=b"},
		{"query: no name", apikey, query{args: "=k&&apikey=l"}, oneKey, "l"},
		{"query: at the limit", apikey, query{args: strings.Repeat("a&", 999) + "apikey=k"}, oneKey, "k"},
		{"query: beyond the limit", apikey, query{args: strings.Repeat("a&", 1000) + "apikey=k"}, noKey, ""},
		{"query: underscores count", under, query{args: "api-key=k"}, noKey, ""},

		{"form", apikey, query{body: newBody(formType, "z=1&apikey=k")}, oneKey, "k"},
		{"form: parameters and case of the type", apikey, query{body: newBody(" Application/X-WWW-Form-URLencoded; charset=utf-8", "apikey=k")}, oneKey, "k"},
		{"form: twice", apikey, query{body: newBody(formType, "apikey=k&apikey=k")}, duplicate, ""},
		{"form: no value, next name", two, query{body: newBody(formType, "apikey&x-key=k")}, oneKey, "k"},
		{"no type", apikey, query{body: newBody("", "apikey=k")}, noKey, ""},
		{"another type", apikey, query{body: newBody("text/plain", "apikey=k")}, noKey, ""},

		{"JSON", apikey, query{body: newBody(jsonType, `{"z":1,"apikey":"k"}`)}, oneKey, "k"},
		{"JSON: longer type", apikey, query{body: newBody("application/json-patch+json", `{"apikey":"k"}`)}, oneKey, "k"},
		{"JSON: escapes", apikey, query{body: newBody(jsonType, `{"\u0061pikey":"k\n\u00e4\ud83d\ude00\/"}`)}, oneKey, "k\nä😀/"},
		{"JSON: half a character", apikey, query{body: newBody(jsonType, `{"apikey":"k","a":"\ud83d"}`)}, noKey, ""},
		{"JSON: not UTF-8", apikey, query{body: newBody(jsonType, "{\"apikey\":\"k\xff\"}")}, oneKey, "k\xff"},
		{"JSON: empty", apikey, query{body: newBody(jsonType, `{"apikey":""}`)}, oneKey, ""},
		{"JSON: number, next name", two, query{body: newBody(jsonType, `{"apikey":5,"x-key":"k"}`)}, oneKey, "k"},
		{"JSON: null, next name", two, query{body: newBody(jsonType, `{"apikey":null,"x-key":"k"}`)}, oneKey, "k"},
		{"JSON: true", apikey, query{body: newBody(jsonType, `{"apikey":true}`)}, noKey, ""},
		{"JSON: false", apikey, query{body: newBody(jsonType, `{"apikey":false}`)}, noKey, ""},
		{"JSON: list", apikey, query{body: newBody(jsonType, `{"apikey":["k"]}`)}, duplicate, ""},
		{"JSON: empty list", apikey, query{body: newBody(jsonType, `{"apikey":[]}`)}, duplicate, ""},
		{"JSON: object", apikey, query{body: newBody(jsonType, `{"apikey":{}}`)}, duplicate, ""},
		{"JSON: member twice", apikey, query{body: newBody(jsonType, `{"apikey":"a","apikey":"b"}`)}, oneKey, "b"},
		{"JSON: nested", apikey, query{body: newBody(jsonType, `{"a":{"apikey":"k"}}`)}, noKey, ""},
		{"JSON: list at the top", apikey, query{body: newBody(jsonType, `["apikey","k"]`)}, noKey, ""},
		{"JSON: text at the top", apikey, query{body: newBody(jsonType, `"apikey"`)}, noKey, ""},
		{"JSON: broken", apikey, query{body: newBody(jsonType, `{"apikey":"k"`)}, noKey, ""},
		{"JSON: no body", apikey, query{body: newBody(jsonType, "")}, noKey, ""},

		{"multipart", apikey, query{body: newBody(partsType, parts("z", "1", "apikey", "k"))}, oneKey, "k"},
		{"multipart: case of the type", apikey, query{body: newBody("Multipart/Form-Data; Boundary=\"b\"", parts("apikey", "k"))}, oneKey, "k"},
		{"multipart: empty", apikey, query{body: newBody(partsType, parts("apikey", ""))}, oneKey, ""},
		{"multipart: several lines", apikey, query{body: newBody(partsType, parts("apikey", "k\r\n\r\nl"))}, oneKey, "k\r\n\r\nl"},
		{"multipart: file", apikey, query{body: newBody(partsType, "--b\r\nX: y\r\ncontent-disposition: form-data; filename=\"f\"; name=\"apikey\"\r\n\r\nk\r\n--b--")}, oneKey, "k"},
		{"multipart: bare line feeds", apikey, query{body: newBody(partsType, "--b\nContent-Disposition: form-data; name=\"apikey\"\n\nk\n--b--\n")}, oneKey, "k"},
		{"multipart: not closed", apikey, query{body: newBody(partsType, "--b\r\nContent-Disposition: form-data; name=\"apikey\"\r\n\r\nk")}, oneKey, "k"},
		{"multipart: twice", apikey, query{body: newBody(partsType, parts("apikey", "k", "apikey", "k"))}, duplicate, ""},
		{"multipart: behind the end", apikey, query{body: newBody(partsType, parts("a", "1")+parts("apikey", "k"))}, noKey, ""},
		{"multipart: no boundary", apikey, query{body: newBody("multipart/form-data", parts("apikey", "k"))}, noKey, ""},
		{"multipart: longer delimiter", apikey, query{body: newBody(partsType, strings.ReplaceAll(parts("apikey", "k"), "--b\r", "--bb\r"))}, noKey, ""},

		{"query before body", apikey, query{args: "apikey=q", body: newBody(formType, "apikey=b")}, oneKey, "q"},
		{"first name before second", two, query{headers: header("x-key", "h"), body: newBody(formType, "apikey=b")}, oneKey, "b"},
		{"empty masks the second name", two, query{headers: map[string][]string{"apikey": {""}, "x-key": {"k"}}}, oneKey, ""},
		{"duplicate before the second name", two, query{args: "apikey=1&apikey=2", headers: header("x-key", "k")}, duplicate, ""},
	} {
		found, name, key := c.s.find(&c.q)
		assert.Equal(t, c.want, found, c.name)
		assert.Equal(t, c.key, key, c.name)
		assert.Equal(t, found != noKey, name != nil, c.name)
	}
}

// A place that is off is not searched.
func TestFindWhereToLook(t *testing.T) {
	q := query{headers: map[string][]string{"apikey": {"h"}}, args: "apikey=q", body: newBody(formType, "apikey=b")}
	for _, c := range []struct {
		header, query, body bool
		want                string
	}{
		{true, true, true, "h"}, {false, true, true, "q"}, {false, false, true, "b"}, {true, false, false, "h"}, {false, true, false, "q"}, {false, false, false, ""},
	} {
		s := searching("apikey")
		s.inHeader, s.inQuery, s.inBody = c.header, c.query, c.body
		_, _, key := s.find(&q)
		assert.Equal(t, c.want, key)
	}
}

// Hiding cuts out what belongs to the name and leaves every other byte alone.
func TestWithout(t *testing.T) {
	for _, c := range []struct {
		name, contentType, text, want string
	}{
		{"only one", formType, "apikey=k", ""},
		{"first", formType, "apikey=k&z=1", "z=1"},
		{"last", formType, "z=1&apikey=k", "z=1"},
		{"every one", formType, "a&apikey=1&%zz=valu%65&apikey&api%6bey=3&&b=", "a&%zz=valu%65&&b="},
		{"beyond the limit of the search", formType, strings.Repeat("a&", 2000) + "apikey=k", strings.Repeat("a&", 1999) + "a"},
		{"JSON: only one", jsonType, `{"apikey":"k"}`, `{}`},
		{"JSON: first", jsonType, `{"apikey":"k","z":1}`, `{"z":1}`},
		{"JSON: last", jsonType, `{"z":1,"apikey":"k"}`, `{"z":1}`},
		{"JSON: between", jsonType, "{ \"a\" : 1.50 ,\n \"apikey\" : [\"k\"] ,\t\"b\" : [ ] }\n", "{ \"a\" : 1.50 ,\n \"b\" : [ ] }\n"},
		{"JSON: every one", jsonType, `{"apikey":1,"a":{"apikey":2},"\u0061pikey":3,"apikey":4,"b":"}","apikey":{"x":"]"}}`, `{"a":{"apikey":2},"b":"}"}`},
		{"multipart: only one", partsType, parts("apikey", "k"), "--b--\r\n"},
		{"multipart: every one", partsType, parts("apikey", "k", "a", "\xff\x00", "apikey", "l", "b", "2"), parts("a", "\xff\x00", "b", "2")},
		{"multipart: preamble and epilogue", partsType, "pre\r\n" + parts("apikey", "k", "a", "1") + "post", "pre\r\n" + parts("a", "1") + "post"},
	} {
		b := newBody(c.contentType, c.text)
		got, ok := b.without("apikey")
		assert.True(t, ok, c.name)
		assert.Equal(t, c.want, got, c.name)
		rest := newBody(c.contentType, got)
		_, again := rest.without("apikey")
		assert.False(t, again, c.name)
	}
	for _, c := range [][2]string{{formType, "a=apikey&b"}, {formType, ""}, {jsonType, `{"a":"apikey"}`}, {jsonType, `["apikey"]`}, {jsonType, `{}`}, {jsonType, `{"apikey":`}, {partsType, parts("a", "apikey")}, {"text/plain", "apikey=k"}} {
		b := newBody(c[0], c[1])
		_, ok := b.without("apikey")
		assert.False(t, ok, c)
	}
}

// A form that Go's decoder understands has the values that it finds, and without the name it has all the others.
func FuzzArgs(f *testing.F) {
	for _, seed := range []string{"apikey=k", "a=1&apikey=k&b", "apikey&apikey=", "%61pikey=%zz+%41", "=&&=apikey", "a[b]=1;c"} {
		f.Add(seed, "apikey")
	}
	f.Fuzz(func(t *testing.T, args, name string) {
		if name == "" {
			return
		}
		v := argValue(args, name)
		rest, ok := withoutArg(args, name)
		if v.kind != absent && !ok {
			t.Fatalf("%q: found and not cut", args)
		}
		if ok {
			require.Equal(t, absent, argValue(rest, name).kind)
			_, again := withoutArg(rest, name)
			require.False(t, again)
			require.Less(t, len(rest), max(len(args), 1))
		}
		want, err := url.ParseQuery(args)
		if err != nil || strings.Count(args, "&") >= maxArgs {
			return
		}
		switch values := want[name]; {
		case v.kind == single:
			require.Equal(t, values, []string{v.text})
		case v.kind == several:
			require.Greater(t, len(values), 1)
		case v.kind == absent:
			require.Empty(t, values)
		}
		if ok {
			left, err := url.ParseQuery(rest)
			require.NoError(t, err)
			delete(want, name)
			require.Equal(t, want, left)
		}
	})
}

// What is valid JSON stays so without the member, and has all other members.
func FuzzJSONBody(f *testing.F) {
	for _, seed := range []string{`{"apikey":"k"}`, `{"a":1,"apikey":[{}],"b":"\u0000"}`, `{ "\u0061pikey" : null }`, `[{"apikey":1}]`, `"a"`, `{"apikey":"\ud83d\ude00","apikey":2}`, `{"":{"}":"{"}}`} {
		f.Add(seed, "apikey")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		b := newBody(jsonType, text)
		v := b.value(name)
		rest, ok := b.without(name)
		if v.kind != absent {
			require.True(t, ok)
		}
		var want map[string]any
		if b.kind == noBody || json.Unmarshal([]byte(text), &want) != nil {
			return
		}
		if !strings.Contains(text+name, "\ufffd") && len(strings.ToValidUTF8(text+name, "")) == len(text+name) {
			switch decoded := want[name].(type) {
			case string:
				require.Equal(t, value{single, decoded}, v)
			case []any, map[string]any:
				require.Equal(t, several, v.kind)
			}
		}
		if ok {
			require.True(t, json.Valid([]byte(rest)), rest)
			var left map[string]any
			require.NoError(t, json.Unmarshal([]byte(rest), &left))
			if _, there := want[name]; there {
				delete(want, name)
				require.Equal(t, len(want), len(left))
			}
			left2 := newBody(jsonType, rest)
			require.Equal(t, absent, left2.value(name).kind)
		}
	})
}

// Cutting a part out leaves the others as they were.
func FuzzMultipart(f *testing.F) {
	f.Add(parts("a", "1", "apikey", "k"), "b", "apikey")
	f.Add("--b\nContent-Disposition: form-data; name=apikey\n\nx\n--b--", "b", "apikey")
	f.Add("--b\r\n\r\n--b\r\n--b--", "b", "a")
	f.Fuzz(func(t *testing.T, text, boundary, name string) {
		if boundary == "" || strings.ContainsAny(boundary, "\r\n") {
			return
		}
		var others []string
		for p := range eachPart(text, boundary) {
			if p.name != name {
				others = append(others, p.name, p.content)
			}
		}
		v := partValue(text, boundary, name)
		rest, ok := withoutPart(text, boundary, name)
		require.Equal(t, v.kind != absent, ok)
		if !ok {
			return
		}
		var left []string
		for p := range eachPart(rest, boundary) {
			left = append(left, p.name, p.content)
		}
		require.Equal(t, others, left)
	})
}
