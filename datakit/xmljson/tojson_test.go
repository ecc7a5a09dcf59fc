package xmljson

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asJSON is v as JSON with its numbers as written.
func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

var prefixed = Options{AttributesPrefix: "-"}

// sample is the example of Kong's reference of the two nodes.
const sample = `<root>
  <name>Alice</name>
  <age>30</age>
  <is_student>false</is_student>
  <courses>Math</courses>
  <courses>Science</courses>
  <address>
    <street>123 Main St</street>
    <city>Wonderland</city>
  </address>
  <null_value>null</null_value>
</root>`

const sampleJSON = `{"root":{"address":{"city":"Wonderland","street":"123 Main St"},"age":30,"courses":["Math","Science"],` +
	`"is_student":false,"name":"Alice","null_value":null}}`

func TestToJSON(t *testing.T) {
	t.Parallel()
	block := Options{AttributesBlock: "#attr"}
	both := Options{AttributesBlock: "#attr", AttributesPrefix: "-"}
	for _, c := range []struct {
		name string
		xml  string
		o    Options
		want string
	}{
		{"the documented sample", sample, block, sampleJSON},
		{"empty", `<a/>`, prefixed, `{"a":{}}`},
		{"empty, two tags", `<a></a>`, prefixed, `{"a":{}}`},
		{"white space only", "<a> \r\n\t </a>", prefixed, `{"a":{}}`},
		{"a space that is none to XML", "<a>\u00a0</a>", prefixed, "{\"a\":\"\u00a0\"}"},
		{"empty beside others", `<a><b/><b>1</b></a>`, prefixed, `{"a":{"b":[{},1]}}`},
		{"nulls side by side", `<a><b>null</b><b>null</b></a>`, prefixed, `{"a":{"b":[null,null]}}`},
		{"siblings apart", `<a><b>1</b><c>2</c><b>3</b></a>`, prefixed, `{"a":{"b":[1,3],"c":2}}`},
		{"attributes by prefix", `<a x="1" y=""><b z="t"/></a>`, prefixed, `{"a":{"-x":"1","-y":"","b":{"-z":"t"}}}`},
		{"attributes in a block", `<a x="1" y=""><b z="t"/></a>`, block, `{"a":{"#attr":{"x":"1","y":""},"b":{"#attr":{"z":"t"}}}}`},
		{"both: the block", `<a x="1"/>`, both, `{"a":{"#attr":{"x":"1"}}}`},
		{"attributes stay strings", `<a x="1">2</a>`, prefixed, `{"a":{"#text":2,"-x":"1"}}`},
		{"another text key", `<a x="1">t</a>`, Options{AttributesPrefix: "@", TextBlock: "value"}, `{"a":{"@x":"1","value":"t"}}`},
		{"text and elements", "<a> one <b/> two </a>", prefixed, `{"a":{"#text":"one  two","b":{}}}`},
		{"a comment inside text", "<a>on<!-- x -->e</a>", prefixed, `{"a":"one"}`},
		{"CDATA", "<a><![CDATA[ <b> & ]]></a>", prefixed, `{"a":"\u003cb\u003e \u0026"}`},
		{"processing instruction", "<?xml version='1.0'?><?php x?><a>1</a><?y?>", prefixed, `{"a":1}`},
		{"the five entities", "<a>&lt;&gt;&amp;&apos;&quot;&#65;&#x42;</a>", prefixed, `{"a":"\u003c\u003e\u0026'\"AB"}`},
		{"prefixes stay", `<s:E xmlns:s="urn:x"><s:B xml:lang="de">1</s:B></s:E>`, prefixed,
			`{"s:E":{"-xmlns:s":"urn:x","s:B":{"#text":1,"-xml:lang":"de"}}}`},
		{"types off", `<a><b>1</b><c>true</c><d>null</d></a>`, Options{AttributesPrefix: "-", KeepText: true},
			`{"a":{"b":"1","c":"true","d":"null"}}`},
		{"text as property", `<a><b>1</b><c/></a>`, Options{AttributesPrefix: "-", TextAsProperty: true}, `{"a":{"b":{"#text":1},"c":{}}}`},
		{"an empty item stays an item", `<a><b><c/></b><b/></a>`, prefixed, `{"a":{"b":[{"c":{}},{}]}}`},
		{"byte order mark", "\xef\xbb\xbf<a>1</a>", prefixed, `{"a":1}`},
		{"UTF-16", "\xff\xfe<\x00a\x00>\x00\xe9\x00<\x00/\x00a\x00>\x00", prefixed, `{"a":"é"}`},
		{"UTF-16, high byte first", "\xfe\xff\x00<\x00a\x00>\x00\xe9\x00<\x00/\x00a\x00>", prefixed, `{"a":"é"}`},
		{"latin 1", "<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>", prefixed, `{"a":"é"}`},
		{"windows-1252", "<?xml version=\"1.0\" encoding=\"Windows-1252\"?><a>\x80</a>", prefixed, `{"a":"€"}`},
		{"UTF-8 that still says latin 1", "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>", prefixed, `{"a":"é"}`},
	} {
		v, err := ToJSON(t.Context(), []byte(c.xml), c.o)
		if assert.NoError(t, err, c.name) {
			assert.Equal(t, c.want, asJSON(t, v), c.name)
		}
	}
}

func TestToJSONNumbers(t *testing.T) {
	t.Parallel()
	for text, number := range map[string]bool{
		"0": true, "-1": true, "1.10": true, "123456789012345": true, "1e3": true, "-0.5E-2": true, "0.000000000000001": true,
		"007": false, "+1": false, "0x1F": false, "1234567890123456": false, "1.": false, ".5": false, "1e400": false,
		"1e-400": false, "NaN": false, "Infinity": false, "1 2": false, "1,5": false, "-": false, "--1": false, "１": false,
		"123456789.1234567": false, "0.12345678901234567": false, "1_000": false,
	} {
		v, err := ToJSON(t.Context(), []byte("<a>"+text+"</a>"), prefixed)
		require.NoError(t, err, text)
		want := any(text)
		if number {
			want = json.Number(text)
		}
		assert.Equal(t, map[string]any{"a": want}, v, text)
	}
}

func TestToJSONRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, xml, want string }{
		{"nothing", "", "line 1, column 1: no element"},
		{"text alone", "secret", "text outside of the outermost element"},
		{"JSON", `{"a":1}`, "text outside of the outermost element"},
		{"a comment alone", "<!-- secret -->", "no element"},
		{"two elements", "<a/><b/>", "a second outermost element"},
		{"text behind", "<a/>secret", "text outside of the outermost element"},
		{"not closed", "<a><b></b>", "it ends inside an element"},
		{"closed crosswise", "<a><b></a></b>", "an end tag without its start tag"},
		{"closed too often", "<a/></a>", "an end tag without its start tag"},
		{"cut", "<a", "not well-formed XML"},
		{"attribute twice", `<a secret="1" secret="2"/>`, "two attributes of one name"},
		{"attribute without a value", `<a secret/>`, "not well-formed XML"},
		{"name with two prefixes", `<a:b:c/>`, "not well-formed XML"},
		{"name without a prefix", `<:c/>`, "a name that is none"},
		{"document type", `<!DOCTYPE a><a/>`, "document type definitions are refused"},
		{"entity", `<!DOCTYPE a [<!ENTITY secret "x">]><a>&secret;</a>`, "document type definitions are refused"},
		{"unknown entity", `<a>&secret;</a>`, "entities other than lt, gt, amp, apos, quot and numbers are refused"},
		{"HTML's entity", `<a>&nbsp;</a>`, "entities other than"},
		{"control character", "<a>\x01</a>", "not well-formed XML"},
		{"control character as a number", "<a>&#1;</a>", "line 1"},
		{"not UTF-8", "<a>\xff</a>", "the XML is not UTF-8"},
		{"an encoding nobody knows", "<?xml version='1.0' encoding='EBCDIC'?><a>\xff</a>", "the XML is not UTF-8"},
		{"half a character", "\xff\xfe<", "ends inside a character"},
		{"attribute and element of one key", `<a x="1"><@x/></a>`, "not well-formed XML"},
	} {
		_, err := ToJSON(t.Context(), []byte(c.xml), prefixed)
		if assert.ErrorContains(t, err, c.want, c.name) {
			assert.NotContains(t, err.Error(), "secret", c.name)
		}
	}
}

func TestToJSONKeysThatMeet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		xml string
		o   Options
	}{
		{`<a b="1"><xb/></a>`, Options{AttributesPrefix: "x"}},
		{`<a b="1"><attr/></a>`, Options{AttributesBlock: "attr"}},
		{`<a><text>1</text>2</a>`, Options{AttributesPrefix: "-", TextBlock: "text"}},
		{`<a text="1">2</a>`, Options{AttributesPrefix: "#"}},
	} {
		_, err := ToJSON(t.Context(), []byte(c.xml), c.o)
		assert.ErrorContains(t, err, "choose names there that no element can have", c.xml)
	}
}

func TestToJSONLimits(t *testing.T) {
	t.Parallel()
	limits := Limits{Bytes: 1000, Depth: 10, Nodes: 50}
	deep := func(n int) string { return strings.Repeat("<a>", n) + strings.Repeat("</a>", n) }
	attributes := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(" a" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `=""`)
		}
		return "<a" + b.String() + "/>"
	}
	for _, c := range []struct{ name, xml, want string }{
		{"as deep as allowed", deep(10), ""},
		{"deeper", deep(11), "more than 10 elements inside each other"},
		{"as many elements as allowed", "<a>" + strings.Repeat("<b/>", 49) + "</a>", ""},
		{"more elements", "<a>" + strings.Repeat("<b/>", 50) + "</a>", "more than 50 elements, attributes and texts"},
		{"as many attributes as allowed", attributes(49), ""},
		{"more attributes", attributes(50), "more than 50 elements, attributes and texts"},
		{"pieces of text", "<a>" + strings.Repeat("x<!---->", 50) + "</a>", "more than 50 elements, attributes and texts"},
		{"long", "<a>" + strings.Repeat("x", 993) + "</a>", ""},
		{"longer", "<a>" + strings.Repeat("x", 994) + "</a>", "the XML has 1001 bytes, more than 1000"},
	} {
		_, err := ToJSON(t.Context(), []byte(c.xml), Options{AttributesPrefix: "-", Limits: limits})
		if c.want == "" {
			assert.NoError(t, err, c.name)
		} else {
			assert.ErrorContains(t, err, c.want, c.name)
		}
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	const doc = `<s:Envelope xmlns:s="urn:s"><s:Body><order id="7"><item n="1">a</item><item n="2">2</item></order></s:Body></s:Envelope>`
	for path, want := range map[string]string{
		"//order":                    `{"order":{"-id":"7","item":[{"#text":"a","-n":"1"},{"#text":2,"-n":"2"}]}}`,
		"/s:Envelope/s:Body":         `{"s:Body":{"order":{"-id":"7","item":[{"#text":"a","-n":"1"},{"#text":2,"-n":"2"}]}}}`,
		"//item":                     `[{"item":{"#text":"a","-n":"1"}},{"item":{"#text":2,"-n":"2"}}]`,
		"//item[@n='2']":             `{"item":{"#text":2,"-n":"2"}}`,
		"//item[2]/text()":           `2`,
		"//item/text()":              `["a",2]`,
		"//item/@n":                  `["1","2"]`,
		"//nothing":                  `null`,
		"count(//item)":              `2`,
		"string(//order/@id)":        `"7"`,
		"boolean(//item)":            `true`,
		"sum(//item/@n) div 2":       `1.5`,
		"number('x')":                `null`,
		"//item[last()]":             `{"item":{"#text":2,"-n":"2"}}`,
		"//item/..":                  `{"order":{"-id":"7","item":[{"#text":"a","-n":"1"},{"#text":2,"-n":"2"}]}}`,
		"//item/ancestor::s:Body/@x": `null`,
		"//item[.='a']/following-sibling::item | //item[@n='2']": `{"item":{"#text":2,"-n":"2"}}`,
		"string(/)":                          `"a2"`,
		"local-name(//*[2])":                 `"item"`,
		"name(/*)":                           `"s:Envelope"`,
		"//*[local-name()='Body']/order/@id": `"7"`,
	} {
		p, err := Compile(path)
		require.NoError(t, err, path)
		v, err := ToJSON(t.Context(), []byte(doc), Options{AttributesPrefix: "-", Path: p})
		if assert.NoError(t, err, path) {
			assert.Equal(t, want, asJSON(t, v), path)
		}
	}
}

func TestPathThatIsNone(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "//", "//a[", "//a[@x='", "foo(", "unknown(//a)", "$x", "1 +", strings.Repeat("(", 300)} {
		_, err := Compile(path)
		assert.Error(t, err, path)
	}
}

func TestPathFailsAtRunTime(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"sum('x')", "replace('a', string(//a), 'b')"} {
		p, err := Compile(path)
		require.NoError(t, err, path)
		_, err = ToJSON(t.Context(), []byte("<a>(</a>"), Options{Path: p})
		assert.EqualError(t, err, "xpath: a function got what it cannot take", path)
	}
}

func TestPathThatTakesTooLong(t *testing.T) {
	t.Parallel()
	p, err := Compile("//a[count(//a[count(//a) > 1]) > 1]")
	require.NoError(t, err)
	doc := []byte("<r>" + strings.Repeat("<a/>", 2000) + "</r>")
	_, err = ToJSON(t.Context(), doc, Options{Path: p, Limits: Limits{Steps: 100_000}})
	assert.ErrorIs(t, err, errTooLong)

}

func TestToJSONStops(t *testing.T) {
	t.Parallel()
	p, err := Compile("//a[count(//a) > 1]")
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	cancel(over)
	_, err = ToJSON(ctx, []byte("<r>"+strings.Repeat("<a/>", 2000)+"</r>"), Options{})
	assert.ErrorIs(t, err, over, "while it reads")
	_, err = ToJSON(ctx, []byte("<r>"+strings.Repeat("<a/>", 200)+"</r>"), Options{Path: p})
	assert.ErrorIs(t, err, over, "while it searches")
}

func TestPathAtOnce(t *testing.T) {
	t.Parallel()
	p, err := Compile("//b[ancestor::a]/..")
	require.NoError(t, err)
	done := make(chan string)
	for range 8 {
		go func() {
			v, err := ToJSON(context.Background(), []byte("<a><b/></a>"), Options{Path: p})
			b, _ := json.Marshal(v)
			if err != nil {
				b = []byte(err.Error())
			}
			done <- string(b)
		}()
	}
	for range 8 {
		assert.Equal(t, `{"a":{"b":{}}}`, <-done)
	}
}
