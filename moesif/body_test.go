package moesif

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/moesif/content"
	"kong-go-plugins/moesif/mask"
	"kong-go-plugins/moesif/rawjson"
)

// member64 is what an event says of a body that is not JSON.
func member64(s string) string {
	return `,"body":"` + base64.StdEncoding.EncodeToString([]byte(s)) + `","transfer_encoding":"base64"`
}

func memberJSON(s string) string { return `,"body":` + s + `,"transfer_encoding":"json"` }

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func masked(t testing.TB, entries ...string) *mask.Masks {
	t.Helper()
	m, err := mask.Compile(mask.Rules{Body: entries})
	require.NoError(t, err)
	return m
}

func TestCaptureBody(t *testing.T) {
	const limit = 1000
	packed := gzipped(t, `{"a":1}`)
	bomb := gzipped(t, strings.Repeat("0", 10*limit+1))
	largest := gzipped(t, strings.Repeat("0", 10*limit))
	deep := strings.Repeat("[", rawjson.MaxDepth) + strings.Repeat("]", rawjson.MaxDepth)
	secret := masked(t, "secret")
	images, err := content.NewTypes([]string{"image/*"})
	require.NoError(t, err)

	for _, c := range []struct {
		name              string
		body              string
		contentType, code string
		noGunzip          bool
		mask              *mask.Masks
		send              bool
		want              string
	}{
		{name: "none", contentType: "application/json"},
		{name: "JSON", body: `{"a": 1}`, contentType: "application/json", want: memberJSON(`{"a":1}`)},
		{name: "upper case, parameters", body: `[1 , 2]`, contentType: "Application/JSON; charset=utf-8", want: memberJSON(`[1,2]`)},
		{name: "suffix", body: `{}`, contentType: "application/problem+json", want: memberJSON(`{}`)},
		{name: "scalar", body: ` "x" `, contentType: "text/json", want: memberJSON(`"x"`)},
		{name: "byte order mark", body: "\xef\xbb\xbf{}", contentType: "application/json", want: memberJSON(`{}`)},
		{name: "empty array stays one", body: `{"a":[]}`, contentType: "application/json", want: memberJSON(`{"a":[]}`)},
		{name: "large integer", body: `{"a":12345678901234567890123}`, contentType: "application/json", want: memberJSON(`{"a":12345678901234567890123}`)},
		{name: "order and duplicates", body: `{"b":1,"a":2,"b":3}`, contentType: "application/json", want: memberJSON(`{"b":1,"a":2,"b":3}`)},
		{name: "markup is not escaped", body: `{"a":"<&>"}`, contentType: "application/json", want: memberJSON(`{"a":"<&>"}`)},
		{name: "malformed", body: `{"a":`, contentType: "application/json", want: member64(`{"a":`)},
		{name: "two values", body: `{} {}`, contentType: "application/json", want: member64(`{} {}`)},
		{name: "invalid UTF-8", body: "\"\xff\"", contentType: "application/json", want: member64("\"\xff\"")},
		{name: "as deep as allowed", body: deep, contentType: "application/json", want: memberJSON(deep)},
		{name: "too deep", body: "[" + deep + "]", contentType: "application/json", want: member64("[" + deep + "]")},
		{name: "JSON under another type", body: `{"a":1}`, contentType: "text/plain", want: member64(`{"a":1}`)},
		{name: "no type", body: "x", want: member64("x")},
		{name: "a form", body: "a=1&b=2", contentType: "application/x-www-form-urlencoded", want: member64("a=1&b=2")},

		{name: "gzip", body: packed, contentType: "application/json", code: "gzip", want: memberJSON(`{"a":1}`)},
		{name: "gzip, any spelling", body: packed, contentType: "application/json", code: "identity, X-GZIP", want: memberJSON(`{"a":1}`)},
		{name: "gzip of an object under another type", body: packed, contentType: "text/plain", code: "gzip", want: memberJSON(`{"a":1}`)},
		{name: "gzip of a scalar under another type", body: gzipped(t, `1`), contentType: "text/plain", code: "gzip", want: member64(`1`)},
		{name: "gzip of a JSON scalar", body: gzipped(t, `1`), contentType: "application/json", code: "gzip", want: memberJSON(`1`)},
		{name: "gzip of text", body: gzipped(t, `text`), contentType: "text/plain", code: "gzip", want: member64(`text`)},
		{name: "gzip of nothing", body: gzipped(t, ``), contentType: "text/plain", code: "gzip"},
		{name: "gzip left alone", body: packed, contentType: "application/json", code: "gzip", noGunzip: true, want: member64(packed)},
		{name: "broken gzip", body: packed[:len(packed)-4], contentType: "application/json", code: "gzip", want: member64(packed[:len(packed)-4])},
		{name: "gzip with a tail", body: packed + "x", contentType: "application/json", code: "gzip", want: member64(packed + "x")},
		{name: "gzip that is JSON", body: `{"a":1}`, contentType: "application/json", code: "gzip", want: memberJSON(`{"a":1}`)},
		{name: "unfolds to the most", body: largest, contentType: "text/plain", code: "gzip", want: member64(strings.Repeat("0", 10*limit))},
		{name: "unfolds to too much", body: bomb, contentType: "text/plain", code: "gzip", want: member64(bomb)},
		{name: "once gzip, said twice", body: packed, contentType: "application/json", code: "gzip, gzip", want: member64(packed)},
		{name: "twice gzip", body: gzipped(t, packed), contentType: "application/json", code: "gzip, gzip", want: memberJSON(`{"a":1}`)},
		{name: "brotli", body: "\x0b\x03\x80{\"a\":1}\x03", contentType: "application/json", code: "br", want: memberJSON(`{"a":1}`)},
		{name: "brotli of an object under another type", body: "\x0b\x03\x80{\"a\":1}\x03", contentType: "text/plain", code: "br", want: memberJSON(`{"a":1}`)},
		{name: "brotli left alone", body: "\x0b\x03\x80{\"a\":1}\x03", contentType: "application/json", code: "br", noGunzip: true, want: member64("\x0b\x03\x80{\"a\":1}\x03")},
		{name: "broken brotli", body: "\x0b\x02", contentType: "application/json", code: "br", want: member64("\x0b\x02")},
		{name: "a coding that is not decoded", body: packed, contentType: "application/json", code: "compress", want: member64(packed)},
		{name: "a type that is skipped", body: "x", contentType: "image/png"},
		{name: "UTF-16", body: "\xff\xfe{\x00}\x00", contentType: "application/json; charset=utf-16", want: member64("\xff\xfe{\x00}\x00")},

		{name: "at the limit", body: strings.Repeat("x", limit), want: member64(strings.Repeat("x", limit))},
		{name: "over the limit", body: strings.Repeat("x", limit+1)},

		{name: "masked", body: `{"secret":1,"a":2}`, contentType: "application/json", mask: secret, want: memberJSON(`{"a":2}`)},
		{name: "masked gzip", body: gzipped(t, `{"secret":1}`), code: "gzip", mask: secret, want: memberJSON(`{}`)},
		{name: "mask on text", body: `secret=1`, contentType: "text/plain", mask: secret},
		{name: "mask on malformed JSON", body: `{"secret":1`, contentType: "application/json", mask: secret},
		{name: "mask on gzip left alone", body: packed, contentType: "application/json", code: "gzip", noGunzip: true, mask: secret},
		{name: "mask on too much", body: bomb, contentType: "application/json", code: "gzip", mask: secret},
		{name: "mask on a form", body: `a=1&secret=2`, contentType: "application/x-www-form-urlencoded", mask: secret, want: member64("a=1")},
		{name: "mask on a form of nothing else", body: `secret=2`, contentType: "application/x-www-form-urlencoded", mask: secret},
		{name: "mask on XML under gzip", body: gzipped(t, `<a><secret>1</secret></a>`), contentType: "text/xml", code: "gzip", mask: secret, want: member64("<a></a>")},
		{name: "mask on broken XML", body: `<a><secret>1</secret>`, contentType: "text/xml", mask: secret},
		{name: "mask on a form that claims to be compressed", body: `a=1`, contentType: "application/x-www-form-urlencoded", code: "gzip", mask: secret},
		{name: "mask on UTF-16", body: "\xff\xfe{\x00}\x00", contentType: "application/json; charset=utf-16", mask: secret},
		{name: "mask on text, sent anyway", body: `secret=1`, contentType: "text/plain", mask: secret, send: true, want: member64("secret=1")},
		{name: "mask on JSON, others sent anyway", body: `{"secret":1}`, contentType: "application/json", mask: secret, send: true, want: memberJSON("{}")},
		{name: "mask on too deep", body: "[" + deep + "]", contentType: "application/json", mask: secret},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules := bodyRules{limit: limit, decode: !c.noGunzip, skip: images, masks: c.mask, sendUnmaskable: c.send}
			got := captureBody(wireBody{[]byte(c.body), c.contentType, c.code}, rules, new(bodyBuffers))
			assert.Equal(t, c.want, string(got.appendTo(nil)))
		})
	}
}

func TestLimitOfNothing(t *testing.T) {
	assert.Empty(t, captureBody(wireBody{[]byte("x"), "", ""}, bodyRules{}, new(bodyBuffers)).appendTo(nil))
}

// FuzzBody: whatever crosses the wire, the event's members are valid JSON; and with a mask on, the masked member is not
// among them.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"secret":"x"}],"se\u0063ret":2}`), "application/json", "")
	f.Add([]byte(gzipped(f, `{"secret":[]}`)), "", "gzip")
	f.Add([]byte("\xef\xbb\xbf[{},[],\"\\\"\",1e9]"), "x/y+json", "identity")
	f.Add([]byte("{\"a\":\"\xff\"}"), "application/json", "gzip")
	f.Add([]byte(strings.Repeat(`[`, 300)), "json", "")
	f.Add([]byte(`{"a":"{\"secret\":1}","b":["[\"{\\\"secret\\\":1}\"]"],"c":" {\"a\":\"\\n\"} "}`), "json", "")
	var buffers bodyBuffers
	f.Fuzz(func(t *testing.T, body []byte, contentType, coding string) {
		for _, m := range []*mask.Masks{nil, masked(t, "secret", "$.a[0].b", "a.c")} {
			got := captureBody(wireBody{body, contentType, coding}, bodyRules{limit: 1 << 16, decode: true, masks: m}, &buffers)
			object := []byte(`{"x":0` + string(got.appendTo(nil)) + `}`)
			require.True(t, json.Valid(object), "not JSON: %q", object)
			var decoded struct {
				Body             any
				TransferEncoding string `json:"transfer_encoding"`
			}
			require.NoError(t, json.Unmarshal(object, &decoded))
			if m != nil {
				if text, _ := decoded.Body.(string); decoded.TransferEncoding == "base64" {
					plain, err := base64.StdEncoding.DecodeString(text)
					require.NoError(t, err)
					_, ok := m.Body(contentType, plain)
					require.True(t, ok, "a body that cannot be masked was sent")
					return
				}
				requireWithout(t, decoded.Body, "secret")
			}
		}
	})
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
			var decoded any
			require.NoError(t, json.Unmarshal(inner, &decoded))
			requireWithout(t, decoded, name)
		}
	}
}
