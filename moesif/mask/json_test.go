package mask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/moesif/rawjson"
)

func compile(t testing.TB, r Rules) *Masks {
	t.Helper()
	m, err := Compile(r)
	require.NoError(t, err)
	return m
}

func named(t testing.TB, entries ...string) *Masks { return compile(t, Rules{Body: entries}) }

func maskedJSON(m *Masks, v []byte) []byte {
	shown, _ := m.JSON(nil, v)
	return shown
}

func TestJSON(t *testing.T) {
	for _, c := range []struct {
		name  string
		masks []string
		in    string
		want  string
	}{
		{"a name at every depth", []string{"k"}, `{"k":1,"a":{"k":{"k":2}},"b":[{"k":3,"c":4}]}`, `{"a":{},"b":[{"c":4}]}`},
		{"exact case", []string{"k"}, `{"K":1,"k":2}`, `{"K":1}`},
		{"whole name", []string{"key"}, `{"apikey":1,"key":2,"keys":3}`, `{"apikey":1,"keys":3}`},
		{"an escaped name", []string{"key", "ssn"}, `{"k\u0065y":1,"a":2,"s\u0073n":3}`, `{"a":2}`},
		{"half of a surrogate pair", []string{"key"}, `{"\ud800":{"key":1},"key":"\udc00"}`, `{"\ud800":{}}`},
		{"duplicates", []string{"k"}, `{"k":1,"a":1,"k":2}`, `{"a":1}`},
		{"first, middle, last", []string{"k", "m"}, `{"k":1,"a":1,"m":1,"b":2,"k":1}`, `{"a":1,"b":2}`},
		{"neighbours", []string{"k", "m"}, `{"k":1,"m":1,"a":1,"m":1,"k":2,"b":2,"k":1,"m":2}`, `{"a":1,"b":2}`},
		{"all members", []string{"a", "b"}, `{"a":1,"b":2}`, `{}`},
		{"delimiters in texts", []string{"k"}, `{"k":"}],{\"","a":"},\"k\":1"}`, `{"a":"},\"k\":1"}`},
		{"a scalar", []string{"k"}, `"k"`, `"k"`},
		{"numbers, literals", []string{"k"}, `[1,-2e5,true,null,{"k":false}]`, `[1,-2e5,true,null,{}]`},
		{"large integers, order, empty arrays", []string{"k"}, `{"b":12345678901234567890123,"a":[],"b":{},"k":0}`, `{"b":12345678901234567890123,"a":[],"b":{}}`},
		{"a path", []string{"$.user.ssn"}, `{"user":{"ssn":1,"n":2},"ssn":3}`, `{"user":{"n":2},"ssn":3}`},
		{"a path without $", []string{"user.ssn"}, `{"user":{"ssn":1},"x":{"user":{"ssn":2}}}`, `{"user":{},"x":{"user":{"ssn":2}}}`},
		{"the top level only", []string{"$.k"}, `{"k":1,"a":{"k":2}}`, `{"a":{"k":2}}`},
		{"every element", []string{"items[*].card"}, `{"items":[{"card":1,"n":2},{"card":3}]}`, `{"items":[{"n":2},{}]}`},
		{"one element", []string{"items[1]"}, `{"items":[1,2,3]}`, `{"items":[1,3]}`},
		{"the first and last", []string{"items[0]", "items[2]"}, `{"items":[1,2,3]}`, `{"items":[2]}`},
		{"not in an inner array", []string{"items[1]"}, `{"items":[[1,2],3]}`, `{"items":[[1,2]]}`},
		{"inside one element", []string{"items[1].k"}, `{"items":[{"k":1},{"k":2}]}`, `{"items":[{"k":1},{}]}`},
		{"all elements", []string{"items[*]"}, `{"items":[1,2],"a":3}`, `{"items":[],"a":3}`},
		{"steps that may be anything", []string{"$.*.*.*.k", "$[*][*].k"}, `[[{"k":1},[{"k":2},{"a":{"k":3}}]],{"a":{"b":{"k":4}}}]`, `[[{},[{},{"a":{"k":3}}]],{"a":{"b":{}}}]`},
		{"through arrays not mentioned", []string{"$.items.card"}, `{"items":[{"card":1},[{"card":2}]]}`, `{"items":[{},[{}]]}`},
		{"an array at the top", []string{"$[*].k"}, `[{"k":1},{"a":2}]`, `[{},{"a":2}]`},
		{"any member", []string{"$.*.k"}, `{"a":{"k":1},"b":{"k":2},"k":3}`, `{"a":{},"b":{},"k":3}`},
		{"a name in quotes", []string{`$["a.b"]['c d']`}, `{"a.b":{"c d":1,"e":2}}`, `{"a.b":{"e":2}}`},
		{"several paths", []string{"a.b", "a.c[0]"}, `{"a":{"b":1,"c":[2,3]}}`, `{"a":{"c":[3]}}`},
		{"path and name", []string{"a.b", "c"}, `{"a":{"b":1,"c":2,"d":3}}`, `{"a":{"d":3}}`},
		{"a path into a scalar", []string{"a.b.c"}, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		{"JSON in a text", []string{"k"}, `{"a":"{\"k\":1,\"b\":2}"}`, `{"a":"{\"b\":2}"}`},
		{"JSON in a text, escaped", []string{"k"}, `["\u0020\n\u007b\u0022\u006b\u0022:1}"]`, `["{}"]`},
		{"JSON in a text in a text", []string{"k"}, `["[\"{\\\"k\\\":1}\"]"]`, `["[\"{}\"]"]`},
		{"a text without masked members", []string{"k"}, `["{\"a\": 1}","\"x\""]`, `["{\"a\": 1}","\"x\""]`},
		{"a path into a text", []string{"$.user.ssn"}, `{"user":"{\"ssn\":1,\"a\":2}","b":"{\"user\":{\"ssn\":1},\"ssn\":2}"}`, `{"user":"{\"a\":2}","b":"{\"user\":{},\"ssn\":2}"}`},
		{"a path into XML in a text", []string{"$.user.ssn"}, `{"user":"<ssn a='1'/>","a":"<ssn>1</ssn>"}`, `{"user":"<ssn>*****</ssn>","a":"<ssn>1</ssn>"}`},
		{"JSON in a text, cut", []string{"k"}, `["{\"k\":1,\"a\":\"","{\"k2\":1,","[\"k\", \"","{\"a\":\"{\\\"k\\\" : \\\"1\""]`, `["*****","{\"k2\":1,","[\"k\", \"","*****"]`},
		{"JSON in a text, more behind it", []string{"$.a.k"}, `["{\"a\":{\"k\":1}}\n{\"a\":{\"k\":2}}","{\"a\":1}\n{}"]`, `["*****","{\"a\":1}\n{}"]`},
		{"JSON in a text, cut, on a path", []string{"a.*", "b[*]", "$.c.k"}, `{"a":"{\"x\":1","b":"[\"x\"","c":"{\"x\":1"}`, `{"a":"*****","b":"*****","c":"{\"x\":1"}`},
		{"XML in a text, cut", []string{"k"}, `["<a><k>1</k>","<s:k>1","<a k = '1'","<a s:k='1'","<k2>k=1 k","<k a='1","[k = 1]","{k:1}"]`, `["*****","*****","*****","*****","<k2>k=1 k","*****","[k = 1]","{k:1}"]`},
		{"XML with entities in a text", []string{"k"}, `["<!DOCTYPE a [<!ENTITY e 'x'>]><a><k>1</k></a>"]`, `["*****"]`},
		{"XML in a text", []string{"k"}, `["<a><k>1</k>2</a>","<k>"]`, `["<a>2</a>","<k>"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, string(maskedJSON(named(t, c.masks...), []byte(c.in))))
		})
	}
}

func TestActions(t *testing.T) {
	const body = `{"a":1,"k":"s3cret","b":[{"k":{"x":"s3cret"}}],"k":12}`
	stars := compile(t, Rules{Body: []string{"k", "$.b[0]"}, Headers: []string{"X-Key"}, Query: []string{"k"}, Action: "stars"})
	assert.Equal(t, `{"a":1,"k":"*****","b":["*****"],"k":"*****"}`, string(maskedJSON(stars, []byte(body))))
	shown, ok := stars.Header("x-key", "s3cret")
	assert.True(t, ok)
	assert.Equal(t, Stars, shown)
	assert.Equal(t, "/?k=*****", stars.URL("/?k=s3cret"))

	hash := compile(t, Rules{Body: []string{"k"}, Headers: []string{"X-Key"}, Query: []string{"k"}, Action: "hash", HashKey: "key"})
	// printf s3cret | openssl dgst -sha256 -hmac key
	const want = "hash:0574b240beed9f974397fa7ab464d416"
	got := string(maskedJSON(hash, []byte(`{"k":"s3cr\u0065t"}`)))
	assert.Equal(t, `{"k":"`+hash.instead("s3cret")+`"}`, got)
	assert.Equal(t, want, hash.instead("s3cret"))
	shown, _ = hash.Header("x-key", "s3cret")
	assert.Equal(t, hash.instead("s3cret"), shown)
	assert.Equal(t, "/?k="+hash.instead("s3cret"), hash.URL("/?k=s3cr%65t"))
	assert.NotEqual(t, hash.instead("s3cret"), compile(t, Rules{Body: []string{"k"}, Action: "hash", HashKey: "other"}).instead("s3cret"))

	remove := compile(t, Rules{Headers: []string{" X-Key "}})
	_, ok = remove.Header("x-key", "s3cret")
	assert.False(t, ok)
	assert.True(t, remove.HidesHeader("x-key"))
	assert.False(t, remove.Bodies())
	shown, ok = remove.Header("other", "v")
	assert.True(t, ok)
	assert.Equal(t, "v", shown)
}

func TestNothingIsMasked(t *testing.T) {
	none, err := Compile(Rules{})
	require.NoError(t, err)
	require.Nil(t, none)
	assert.False(t, none.Bodies())
	assert.False(t, none.HidesHeader("a"))
	assert.Equal(t, "/?a=b", none.URL("/?a=b"))
	assert.Equal(t, `{"a":1}`, string(maskedJSON(none, []byte(`{"a":1}`))))
	shown, ok := none.Body("nonsense", []byte("x"))
	assert.True(t, ok)
	assert.Equal(t, "x", string(shown))
	_, ok = none.Header("a", "b")
	assert.True(t, ok)
}

func TestErrors(t *testing.T) {
	for _, entry := range []string{"*", "$", "$x", "a..b", "a.", "[", "[x]", "a[-1]", `a["b`, `a[""]`, "a[1]b", "$."} {
		_, err := Compile(Rules{Body: []string{"fine", entry}})
		require.Error(t, err, "Compile(%q)", entry)
		assert.Contains(t, err.Error(), strconv.Quote(entry))
	}
	for _, r := range []Rules{{Action: "hash"}, {Action: "blur"}, {Detectors: []string{"phone"}}} {
		_, err := Compile(r)
		require.Error(t, err)
	}
}

// FuzzJSON: what is left is JSON and what encoding/json leaves when it removes the same members.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"secret":"x"}],"se\u0063ret":2,"p":{"q":[1,{"r":2}],"s":3}}`))
	f.Add([]byte(`{"a":"{\"secret\":1}","b":["[\"{\\\"secret\\\":1}\"]"],"c":" {\"a\":\"\\n\"} "}`))
	f.Add([]byte(`[[{"secret":1},2],"<secret>x</secret>",1e2000]`))
	names := named(f, "secret")
	paths := named(f, "$.p.q[1]", "$.p.s", "$.a[*].b", "$.*.c")
	f.Fuzz(func(t *testing.T, body []byte) {
		compact, ok := rawjson.Compact(body)
		if !ok {
			return
		}
		got := maskedJSON(names, slices.Clone(compact))
		require.True(t, rawjson.Valid(got), "not JSON: %q", got)
		decoded := decode(t, got)
		requireWithout(t, decoded, "secret")
		if !strings.ContainsAny(string(compact), `\<`) { // no text in it holds another document
			require.Equal(t, without(decode(t, compact), "secret"), decoded)
			require.Equal(t, string(got), string(maskedJSON(names, slices.Clone(got))))
		}

		got = maskedJSON(paths, compact)
		require.True(t, rawjson.Valid(got), "not JSON: %q", got)
		var top map[string]any
		if json.Unmarshal(got, &top) == nil {
			p, _ := top["p"].(map[string]any)
			require.NotContains(t, p, "s")
			for _, v := range top {
				m, _ := v.(map[string]any)
				require.NotContains(t, m, "c")
			}
		}
	})
}

// decode keeps numbers as they are written: 1e2000 is one.
func decode(t *testing.T, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	return v
}

func without(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, name)
		for k, e := range v {
			v[k] = without(e, name)
		}
	case []any:
		for i, e := range v {
			v[i] = without(e, name)
		}
	}
	return v
}

// requireWithout fails when an object anywhere in v, texts that hold JSON included, has a member of that name.
func requireWithout(t *testing.T, v any, name string) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		require.NotContains(t, v, name)
		for _, e := range v {
			requireWithout(t, e, name)
		}
	case []any:
		for _, e := range v {
			requireWithout(t, e, name)
		}
	case string:
		if inner, ok := rawjson.Compact([]byte(v)); ok {
			requireWithout(t, decode(t, inner), name)
		}
	}
}

// A body of 100 KB takes the same time with 1 mask and with 50.
func BenchmarkMaskBody(b *testing.B) {
	var body strings.Builder
	body.WriteString(`{"items":[`)
	for i := 0; body.Len() < 100000; i++ {
		fmt.Fprintf(&body, `{"id":%d,"name":"a customer's name","field%d":true,"address":{"street":"Main Street 1","city":"Springfield"},"note":"line\none"},`, i, i%60)
	}
	body.WriteString(`{}]}`)
	for _, n := range []int{1, 50} {
		var entries []string
		for i := range n {
			switch i % 3 {
			case 0:
				entries = append(entries, fmt.Sprintf("field%d", i))
			case 1:
				entries = append(entries, fmt.Sprintf("$.items[*].address.x%d", i))
			default:
				entries = append(entries, fmt.Sprintf("items[*].field%d", i))
			}
		}
		m := named(b, entries...)
		b.Run(fmt.Sprintf("masks=%d", n), func(b *testing.B) {
			b.SetBytes(int64(body.Len()))
			b.ReportAllocs()
			compact := make([]byte, 0, body.Len())
			masked := make([]byte, 0, body.Len())
			for b.Loop() {
				v, _ := rawjson.AppendCompact(compact, []byte(body.String()))
				m.JSON(masked, v)
			}
		})
	}
}
