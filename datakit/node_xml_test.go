package datakit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requestOf is a gateway that has a request with this body.
func requestOf(contentType, body string) *testHost {
	return &testHost{request: Message{Header: map[string][]string{"content-type": {contentType}}, Body: []byte(body), Size: int64(len(body))}}
}

func TestXMLToJSONNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, options, body, want string }{
		{"the options of the documented example", `attributes_block_name: null, attributes_name_prefix: "-", recognize_type: true, text_block_name: "#text", xpath: null`,
			`<order id="7"><qty>2</qty><sku>007</sku><note/></order>`, `{"order":{"-id":"7","qty":2,"sku":"007","note":{}}}`},
		{"the options of the documented sample", `root_element_name: root, attributes_block_name: "#attr"`,
			`<root a="b"><age>30</age><is_student>false</is_student><null_value>null</null_value></root>`,
			`{"root":{"#attr":{"a":"b"},"age":30,"is_student":false,"null_value":null}}`},
		{"no types", `attributes_name_prefix: "@", recognize_type: false`, `<a>1</a>`, `{"a":"1"}`},
		{"text as property", `attributes_name_prefix: "@", text_as_property: true, text_block_name: value`, `<a>1</a>`, `{"a":{"value":1}}`},
		{"xpath", `attributes_name_prefix: "@", xpath: "//b"`, `<a><b>1</b><b>2</b></a>`, `[{"b":1},{"b":2}]`},
		{"a name space's prefix in xpath", `attributes_name_prefix: "@", xpath: "/s:Envelope/s:Body/*"`,
			`<s:Envelope xmlns:s="urn:s"><s:Body><r>1</r></s:Body></s:Envelope>`, `{"r":1}`},
	} {
		p := mustCompile(t, "\n- {name: J, type: xml_to_json, input: request.body, "+c.options+"}\n- {name: E, type: exit, inputs: {body: J}}")
		o := p.Access(t.Context(), requestOf("application/xml", c.body), false)
		if assert.Nil(t, o.Failure, c.name) {
			assert.JSONEq(t, c.want, string(o.Answer.Body), c.name)
		}
	}
}

func TestXMLToJSONNodeFails(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, `{max_body_bytes: 100, nodes: [{name: J, type: xml_to_json, input: request.body, attributes_name_prefix: "@"}]}`)
	for _, c := range []struct{ contentType, body, want string }{
		{"application/xml", "", "expected XML as a string, got null"},
		{"application/json", `{"a":1}`, "expected XML as a string, got object"},
		{"application/xml", `<a>`, "line 1, column 4: it ends inside an element"},
		{"application/xml", `<!DOCTYPE a [<!ENTITY b "zebra">]><a>&b;</a>`, "document type definitions are refused"},
	} {
		o := p.Access(t.Context(), requestOf(c.contentType, c.body), false)
		require.NotNil(t, o.Failure, c.body)
		assert.Contains(t, o.Failure.Err.Error(), c.want)
		assert.Equal(t, "J", o.Failure.Name)
	}
}

func TestJSONToXMLNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, nodes, want string }{
		{"a whole value", `{name: X, type: json_to_xml, input: request.body, attributes_name_prefix: "-"}`, `<a id="7"><b>1</b><b>2</b></a>`},
		{"a block", `{name: X, type: json_to_xml, input: request.body, attributes_block_name: "#attr", root_element_name: r}`,
			`<r><a><_id>7</_id><b>1</b><b>2</b></a></r>`},
		{"fields", `{name: X, type: json_to_xml, inputs: {b: request.body, m: request.method, n: N.none}, attributes_name_prefix: "-"}`,
			`<root><b><a id="7"><b>1</b><b>2</b></a></b><m>POST</m><n>null</n></root>`},
		{"text that is JSON", `{name: T, type: jq, input: request.body, jq: tojson}, {name: X, type: json_to_xml, input: T, attributes_name_prefix: "-"}`,
			`<a id="7"><b>1</b><b>2</b></a>`},
	} {
		body := `{"a":{"-id":7,"b":[1,2]}}`
		if c.name == "a block" {
			body = strings.Replace(body, "-id", "_id", 1)
		}
		p := mustCompile(t, `[`+c.nodes+`, {name: N, type: static, values: {none: null}}, {name: E, type: exit, inputs: {body: X}}]`)
		host := requestOf("application/json", body)
		host.request.Method = "POST"
		o := p.Access(t.Context(), host, false)
		if assert.Nil(t, o.Failure, c.name) {
			assert.Equal(t, c.want, string(o.Answer.Body), c.name)
		}
	}
}

func TestJSONToXMLNodeFails(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"a b":1}`: `"a b" is no name for an XML element or attribute`,
		`"zebra"`:   "the text to convert is not JSON",
		`{"a":"` + strings.Repeat("&", 30) + `"}`: "the XML has more than 100 bytes",
	} {
		p := mustCompile(t, `{max_body_bytes: 100, nodes: [{name: X, type: json_to_xml, input: request.body, attributes_name_prefix: "-"}]}`)
		o := p.Access(t.Context(), requestOf("application/json", body), false)
		require.NotNil(t, o.Failure, body)
		assert.Contains(t, o.Failure.Err.Error(), want)
		assert.NotContains(t, o.Failure.Err.Error(), "zebra")
	}
}

func TestXMLNodesConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ node, want string }{
		"no way for attributes":   {`{name: X, type: xml_to_json, input: request.body}`, "needs attributes_block_name, attributes_name_prefix, or both"},
		"null for both":           {`{name: X, type: json_to_xml, input: request.body, attributes_block_name: null, attributes_name_prefix: null}`, "needs attributes_block_name"},
		"an empty prefix":         {`{name: X, type: json_to_xml, input: request.body, attributes_name_prefix: ""}`, "attributes_name_prefix: has 0 characters"},
		"a long block":            {`{name: X, type: xml_to_json, input: request.body, attributes_block_name: ` + strings.Repeat("a", 33) + `}`, "attributes_block_name: has 33 characters; it must have 1 to 32"},
		"a long root":             {`{name: X, type: json_to_xml, input: request.body, attributes_name_prefix: "-", root_element_name: ` + strings.Repeat("a", 65) + `}`, "root_element_name: has 65 characters"},
		"a root that is no name":  {`{name: X, type: json_to_xml, input: request.body, attributes_name_prefix: "-", root_element_name: "a b"}`, `root_element_name: "a b" is no name of an XML element`},
		"one key for two":         {`{name: X, type: json_to_xml, input: request.body, attributes_block_name: "#text"}`, `attributes_block_name: "#text" is text_block_name, too`},
		"xpath that is none":      {`{name: X, type: xml_to_json, input: request.body, attributes_name_prefix: "-", xpath: "//a["}`, "nodes[0].xpath: "},
		"a long xpath":            {`{name: X, type: xml_to_json, input: request.body, attributes_name_prefix: "-", xpath: ` + strings.Repeat("a", 257) + `}`, "xpath: has 257 characters"},
		"an option of the other":  {`{name: X, type: json_to_xml, input: request.body, attributes_name_prefix: "-", recognize_type: true}`, "recognize_type: unknown field"},
		"a flag that is none":     {`{name: X, type: xml_to_json, input: request.body, attributes_name_prefix: "-", recognize_type: 1}`, "recognize_type: expected true or false"},
		"no input":                {`{name: X, type: xml_to_json, attributes_name_prefix: "-"}`, "input"},
		"fields into xml_to_json": {`{name: X, type: xml_to_json, attributes_name_prefix: "-", inputs: {a: request.body}}`, "X"},
	} {
		_, err := compileText(t, "["+c.node+"]")
		if assert.Error(t, err, name) {
			assert.Contains(t, strings.ReplaceAll(err.Error(), " (X)", ""), c.want, name)
		}
	}
}
