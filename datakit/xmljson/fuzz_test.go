package xmljson

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fuzzLimits keep a single case fast.
var fuzzLimits = Limits{Bytes: 1 << 16, Depth: 64, Nodes: 2000}

// optionSets are the ways to convert that lead back.
func optionSets() []Options {
	return []Options{
		{AttributesPrefix: "-", Limits: fuzzLimits},
		{AttributesBlock: "#attr", Limits: fuzzLimits},
		{AttributesPrefix: "@", KeepText: true, TextBlock: "$", Limits: fuzzLimits},
		{AttributesBlock: "@", AttributesPrefix: "-", TextAsProperty: true, Limits: fuzzLimits},
	}
}

// FuzzThereAndBack asserts that what XML gives, turned into XML and back, is the same.
func FuzzThereAndBack(f *testing.F) {
	for _, seed := range []string{
		sample, `<a/>`, `<a x="1">t<b/>u<b>2</b></a>`, "<a>&#xD;&#x85;</a>", `<a><a><a>null</a></a></a>`, `<s:E xmlns:s="u"/>`,
		`<a x="&#xA;"> <![CDATA[]]> x </a>`, `<?xml version="1.0"?><!-- --><a>1e5</a>`, `<a>0</a>`, `<a>-0</a>`, "<a>\u2028</a>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, o := range optionSets() {
			v, err := ToJSON(t.Context(), doc, o)
			if err != nil {
				continue
			}
			again := o
			again.Limits = Limits{}
			written, err := ToXML(v, again)
			require.NoError(t, err)
			back, err := ToJSON(t.Context(), written, again)
			require.NoError(t, err, "%s", written)
			assert.Equal(t, v, back, "%s", written)
		}
	})
}

// FuzzToXML asserts that what is written can be read, within the limits.
func FuzzToXML(f *testing.F) {
	for _, seed := range []string{sampleJSON, `{}`, `[]`, `[[],[[1]]]`, `{"a":{"-b":"\u0000<"},"#text":null}`, `"{\"a\":1}"`, `1e999`} {
		f.Add(seed, "")
	}
	f.Add(`{"a":1}`, "r")
	f.Fuzz(func(t *testing.T, text, root string) {
		v, err := parseJSON(text)
		if err != nil {
			return
		}
		for _, o := range optionSets() {
			o.Root = root
			written, err := ToXML(v, o)
			if err != nil {
				continue
			}
			require.LessOrEqual(t, len(written), o.Limits.Bytes)
			first, err := ToJSON(t.Context(), written, o)
			if err != nil && hasNewName(string(written)) {
				continue
			}
			require.NoError(t, err, "%s", written)
			require.IsType(t, map[string]any{}, first)
			if root != "" {
				assert.Contains(t, first, root)
			}
		}
	})
}

// hasNewName reports whether names may have characters that only the fifth edition of XML allows; the decoder knows an
// earlier one.
func hasNewName(s string) bool {
	for _, r := range s {
		if r > 0x7F {
			return true
		}
	}
	return false
}

// FuzzPath asserts that no expression brings a conversion down.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"//b", "count(//b)", "//b/@c", "substring(//b, 1, 2)", "//b[last()]", "replace('a','(','b')", "//b|//a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		if len(expression) > 256 {
			return
		}
		p, err := Compile(expression)
		if err != nil {
			return
		}
		_, _ = ToJSON(t.Context(), []byte(`<a><b c="1">x</b><b/></a>`), Options{AttributesPrefix: "-", Path: p})
	})
}
