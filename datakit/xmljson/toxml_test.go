package xmljson

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestToXML(t *testing.T) {
	t.Parallel()
	block := Options{AttributesBlock: "#attr"}
	named := func(root string) Options { return Options{AttributesPrefix: "-", Root: root} }
	for _, c := range []struct {
		name string
		json string
		o    Options
		want string
	}{
		{"the documented sample", sampleJSON, Options{AttributesBlock: "#attr", Root: "root"},
			`<root><address><city>Wonderland</city><street>123 Main St</street></address><age>30</age><courses>Math</courses>` +
				`<courses>Science</courses><is_student>false</is_student><name>Alice</name><null_value>null</null_value></root>`},
		{"empty values", `{"a":{"s":"","o":{},"l":[]}}`, prefixed, `<a><l/><o/><s/></a>`},
		{"attributes by prefix", `{"a":{"b":1,"-z":true,"-y":null,"-x":"1"}}`, prefixed, `<a x="1" y="null" z="true"><b>1</b></a>`},
		{"attributes in a block", `{"a":{"b":1,"#attr":{"z":1.50,"x":""}}}`, block, `<a x="" z="1.50"><b>1</b></a>`},
		{"an empty block", `{"a":{"#attr":{}}}`, block, `<a/>`},
		{"text beside attributes", `{"a":{"#text":"t","-x":"1"}}`, prefixed, `<a x="1">t</a>`},
		{"text of another key", `{"a":{"$":1}}`, Options{AttributesPrefix: "-", TextBlock: "$"}, `<a>1</a>`},
		{"text beside elements", `{"a":{"#text":"t","b":{}}}`, prefixed, `<a>t<b/></a>`},
		{"an element called as the block", `{"a":{"attr":"t"}}`, Options{AttributesBlock: "attr"}, `<a><attr>t</attr></a>`},
		{"an element that begins like an attribute", `{"a":{"xb":{"c":1}}}`, Options{AttributesPrefix: "x"}, `<a><xb><c>1</c></xb></a>`},
		{"several keys", `{"b":1,"a":2}`, prefixed, `<root><a>2</a><b>1</b></root>`},
		{"no key", `{}`, prefixed, `<root/>`},
		{"one key with an array", `{"a":[1,2]}`, prefixed, `<root><a>1</a><a>2</a></root>`},
		{"an array", `[1,{"b":2}]`, prefixed, `<root><root>1</root><root><b>2</b></root></root>`},
		{"arrays in arrays", `{"a":{"b":[[1,2],[],[[3]]]}}`, prefixed, `<a><b><b>1</b><b>2</b></b><b/><b><b><b>3</b></b></b></a>`},
		{"a number", `12345678901234567890.10`, prefixed, `<root>12345678901234567890.10</root>`},
		{"null", `null`, prefixed, `<root>null</root>`},
		{"a named root", `{"a":1}`, named("r"), `<r><a>1</a></r>`},
		{"a named root that is there", `{"r":{"a":1}}`, named("r"), `<r><a>1</a></r>`},
		{"a named root around its own array", `{"r":[1,2]}`, named("r"), `<r><r>1</r><r>2</r></r>`},
		{"a named root around an array", `[1]`, named("r"), `<r><r>1</r></r>`},
		{"attributes of the root", `{"-x":"1","a":2}`, prefixed, `<root x="1"><a>2</a></root>`},
		{"JSON in a string", `"{\"a\":1}"`, prefixed, `<a>1</a>`},
		{"escaped text", `{"a":"<b> & ]]> \"'\r\n\t"}`, prefixed, "<a>&lt;b&gt; &amp; ]]&gt; \"'&#xD;\n\t</a>"},
		{"escaped attribute", `{"a":{"-x":"<&>\"'\r\n\t"}}`, prefixed, `<a x="&lt;&amp;&gt;&quot;'&#xD;&#xA;&#x9;"/>`},
		{"characters that XML has not", `{"a":"\u0000\u001f\uffff\ud800é𝄞"}`, prefixed, "<a>\uFFFD\uFFFD\uFFFD\uFFFDé𝄞</a>"},
		{"prefixes", `{"s:E":{"-xmlns:s":"urn:x","s:B":1}}`, prefixed, `<s:E xmlns:s="urn:x"><s:B>1</s:B></s:E>`},
		{"names of other scripts", `{"größe":{"名前":1}}`, prefixed, `<größe><名前>1</名前></größe>`},
	} {
		v, err := parseJSON(c.json)
		require.NoError(t, err, c.name)
		got, err := ToXML(v, c.o)
		if assert.NoError(t, err, c.name) {
			assert.Equal(t, c.want, string(got), c.name)
		}
	}
}

func TestToXMLOfGoValues(t *testing.T) {
	t.Parallel()
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	got, err := ToXML(map[string]any{"a": []any{1, -2.5, 1e21, huge, json.Number("1.10"), math.NaN(), math.Inf(1), "\xff"}}, prefixed)
	require.NoError(t, err)
	assert.Equal(t, "<root><a>1</a><a>-2.5</a><a>1e+21</a><a>123456789012345678901234567890</a><a>1.10</a><a>null</a><a>null</a>"+
		"<a>\uFFFD</a></root>", string(got))
	_, err = ToXML(map[string]any{"a": int64(1)}, prefixed)
	assert.ErrorContains(t, err, "Go type int64")
}

func TestToXMLRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, json, want string }{
		{"empty name", `{"a":{"":1}}`, `"" is no name for an XML element or attribute`},
		{"a digit first", `{"1a":1}`, `"1a" is no name`},
		{"a space", `{"a b":1}`, `"a b" is no name`},
		{"markup", `{"a><b":1}`, `"a><b" is no name`},
		{"two prefixes", `{"a:b:c":1}`, `"a:b:c" is no name`},
		{"an empty prefix", `{":c":1}`, `":c" is no name`},
		{"an attribute's name", `{"a":{"-x y":1}}`, `"x y" is no name`},
		{"an attribute without a name", `{"a":{"-":1}}`, `"-" is no name`},
		{"an attribute with an object", `{"a":{"-x":{"y":1}}}`, `"-x" is no name`},
		{"a long name", `{"` + strings.Repeat("<", 1000) + `":1}`, `<<" is no name`},
		{"a string that is no JSON", `"secret"`, "the text to convert is not JSON"},
		{"two values", `"1 2"`, "the text to convert is not JSON"},
	} {
		v, err := parseJSON(c.json)
		require.NoError(t, err, c.name)
		_, err = ToXML(v, prefixed)
		if assert.ErrorContains(t, err, c.want, c.name) {
			assert.NotContains(t, err.Error(), "secret", c.name)
			assert.Less(t, len(err.Error()), 200, c.name)
		}
	}
	_, err := ToXML(map[string]any{"a": map[string]any{"#attr": map[string]any{"x": []any{1}}}}, Options{AttributesBlock: "#attr"})
	assert.ErrorContains(t, err, `attribute "x": an object or an array cannot be an attribute's value`)
	_, err = ToXML(map[string]any{"a": 1}, Options{Root: "1"})
	assert.ErrorContains(t, err, `"1" is no name`)
}

func TestToXMLLimits(t *testing.T) {
	t.Parallel()
	limited := Options{AttributesPrefix: "-", Limits: Limits{Bytes: 1000, Depth: 10, Nodes: 50}}
	deep := any("x")
	for range 10 {
		deep = map[string]any{"a": deep}
	}
	many := func(n int) any { return map[string]any{"a": make([]any, n)} }
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"as deep as allowed", deep, ""},
		{"deeper", map[string]any{"a": deep}, "more than 10 values inside each other"},
		{"as many as allowed", many(49), ""},
		{"more", many(50), "more than 50 elements and attributes"},
		{"long", map[string]any{"a": strings.Repeat("x", 993)}, ""},
		{"longer", map[string]any{"a": strings.Repeat("x", 994)}, "the XML has more than 1000 bytes"},
		{"a long name many times", map[string]any{strings.Repeat("n", 100): make([]any, 40)}, "the XML has more than 1000 bytes"},
	} {
		_, err := ToXML(c.v, limited)
		if c.want == "" {
			assert.NoError(t, err, c.name)
		} else {
			assert.ErrorContains(t, err, c.want, c.name)
		}
	}
}
