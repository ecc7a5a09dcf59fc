package rawjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCompact(t *testing.T) {
	deep := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	for in, want := range map[string]string{
		`{"a": 1}`: `{"a":1}`,
		" [ 1 ,\t\"a b\\\" \" ,\r\n{ } , [ ] ] \n":  `[1,"a b\" ",{},[]]`,
		"\xef\xbb\xbf null":                         `null`,
		`{"b":1,"a":12345678901234567890123,"b":3}`: `{"b":1,"a":12345678901234567890123,"b":3}`,
		`-0.5e+10`: `-0.5e+10`,
		`"<&>/\/"`: `"<&>/\/"`,
		deep:       deep,
	} {
		got, ok := Compact([]byte(in))
		require.True(t, ok, "Compact(%q)", in)
		assert.Equal(t, want, string(got))
	}
	for _, in := range []string{"", " ", "\xef\xbb\xbf", "{", `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,]`, `{} {}`, `01`, `1.`, `.5`, `1e`, `+1`, `-`,
		`"`, `"\`, `"\x"`, `"\u12"`, `"\u12G4"`, "\"\n\"", "\"\xff\"", `tru`, `nulll`, `'a'`, "[" + deep + "]", strings.Repeat("[", 1000000), strings.Repeat(`{"a":`, 1000000)} {
		got, ok := AppendCompact([]byte("kept"), []byte(in))
		assert.False(t, ok, "AppendCompact(%.20q)", in)
		assert.Equal(t, "kept", string(got))
		assert.False(t, Valid([]byte(in)))
	}
	assert.True(t, Readable([]byte("[\"\xff\"]")))
	assert.True(t, Readable([]byte("["+deep+"]")))
	assert.False(t, Readable([]byte(strings.Repeat("[", 1000000))))
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`"a"`: "a", `""`: "", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"s\u0073n"`: "ssn", `"\ud83d\ude00"`: "😀",
		`"\ud83d"`: "\ufffd", `"\ud83d\u0041"`: "\ufffdA", `"\ude00\ud83d\ude00"`: "\ufffd😀", "\"\xffa\"": "\ufffda", "\"\\n\xe4\xb8\"": "\n\ufffd\ufffd", `1`: "", `"`: "", ``: "",
	} {
		assert.Equal(t, want, Unquote(in), "Unquote(%s)", in)
	}
}

// FuzzCompact: what encoding/json takes as UTF-8 is taken, up to the depth that counts, with the same result.
func FuzzCompact(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e+7,true,false,null,"\u00e4\n"]}`, " [ ] ", "\"\xff\"", `{"a" : {"a":[{}]}} x`, `[1,]`, "\"\t\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		var want bytes.Buffer
		valid := json.Compact(&want, bytes.TrimPrefix(v, []byte("\xef\xbb\xbf"))) == nil && utf8.Valid(v) && nesting(v) <= MaxDepth
		got, ok := Compact(v)
		require.Equal(t, valid, ok)
		if ok {
			require.Equal(t, want.String(), string(got))
		}
		require.Equal(t, json.Valid(v), Readable(v))
		require.Equal(t, json.Valid(v) && utf8.Valid(v) && nesting(v) <= MaxDepth, Valid(v))
	})
}

// nesting returns how deep the arrays and objects of a valid v nest.
func nesting(v []byte) (deepest int) {
	depth := 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			i = StringEnd(v, i) - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

// FuzzText: a string reads as encoding/json reads it, and what is written reads back.
func FuzzText(f *testing.F) {
	f.Add([]byte(`"a\u0062\ud83d\ude00\ud83d\n"`))
	f.Add([]byte("a\xff\"\\\x01"))
	f.Fuzz(func(t *testing.T, v []byte) {
		if len(v) > 0 && v[0] == '"' && json.Valid(v) {
			quoted := bytes.TrimSpace(v)
			var want string
			require.NoError(t, json.Unmarshal(quoted, &want))
			require.Equal(t, want, Unquote(quoted))
			require.Equal(t, want, Unquote(string(quoted)))
		}
		quoted := AppendString(nil, v)
		require.True(t, Valid(quoted))
		require.Equal(t, want(v), Unquote(quoted))
	})
}

// want is v with each byte that is no UTF-8 made one U+FFFD.
func want(v []byte) string { return string([]rune(string(v))) }

// FuzzMembers: the members and elements of a value are those that encoding/json finds, in order.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[{"c":"}]"}], "a" : "\"" }`))
	f.Add([]byte(`[1, "2,", [3], {}]`))
	f.Fuzz(func(t *testing.T, v []byte) {
		if !Readable(v) {
			Members(v, func(string, []byte) {}) // no panic on what is no JSON
			Elements(v, func([]byte) {})
			return
		}
		var list []json.RawMessage
		if json.Unmarshal(v, &list) == nil {
			var got []json.RawMessage
			Elements(v, func(e []byte) { got = append(got, e) })
			require.Len(t, got, len(list))
			for i := range got {
				require.Equal(t, string(list[i]), string(got[i]))
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(v, &object) == nil {
			got := map[string]json.RawMessage{}
			Members(v, func(name string, value []byte) { got[name] = value })
			require.Len(t, got, len(object))
			for name := range got {
				require.Equal(t, string(object[name]), string(got[name]))
			}
		}
	})
}

// FuzzReader: whichever parts of a value are read, and however, it is whole when encoding/json takes it, and not when what
// was read is wrong; its members and elements are those that Members and Elements find.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":[{"c":"}]"}], "a" : "\"" }`, ` [1, "2,", [3], {}] `, `{"a":1,}`, `[1 2]`, `{"a"}`, `[[[`, "", "1", "{}{}", `{"a":[}]}`} {
		f.Add([]byte(seed), uint8(0xff))
	}
	f.Fuzz(func(t *testing.T, v []byte, which uint8) {
		if len(v) > 10000 { // the walk below is recursive
			return
		}
		reader := NewReader(v)
		var walk func()
		skipped := false
		walk = func() {
			which = which<<1 | which>>7
			switch c := reader.Next(); {
			case which&1 == 0: // left to the reader
				skipped = true
			case c == '{':
				reader.Members(func(string) { walk() })
			case c == '[':
				reader.Elements(walk)
			default:
				reader.Value()
			}
		}
		which |= 1 << 7 // the value itself is read
		walk()
		if !skipped || json.Valid(v) {
			require.Equal(t, json.Valid(v), reader.Whole())
		}
		if !json.Valid(v) {
			return
		}

		var want, got []string
		Members(v, func(name string, value []byte) { want = append(want, name, string(value)) })
		members := NewReader(string(v))
		members.Members(func(name string) { got = append(got, name, members.Value()) })
		require.Equal(t, want, got)
		want, got = nil, nil
		Elements(v, func(value []byte) { want = append(want, string(value)) })
		elements := NewReader(v)
		elements.Elements(func() { got = append(got, string(elements.Value())) })
		require.Equal(t, want, got)
		assert.True(t, members.Whole() && elements.Whole())
	})
}

func BenchmarkCompact(b *testing.B) {
	v := []byte(`{"items":[` + strings.Repeat(`{"sku":"A-1","qty":2, "name":"a longer text"},`, 50) + `{}]}`)
	dst := make([]byte, 0, len(v))
	b.SetBytes(int64(len(v)))
	b.ReportAllocs()
	for b.Loop() {
		AppendCompact(dst[:0], v)
	}
}
