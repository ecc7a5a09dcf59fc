package mask

import (
	"bytes"
	"encoding/xml"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	formType = "application/x-www-form-urlencoded"
	xmlType  = "application/soap+xml; charset=UTF-8"
	partType = "multipart/form-data; boundary=b-1"
)

// parts writes a multipart body: each part with its header lines and value, one blank line between them.
func parts(list ...string) string {
	var b strings.Builder
	for _, p := range list {
		b.WriteString("--b-1\r\nContent-Disposition: form-data; " + strings.Replace(strings.ReplaceAll(p, "\n", "\r\n"), "\r\n\r\n", "\r\n\r\n", 1) + "\r\n")
	}
	return b.String() + "--b-1--\r\n"
}

func TestBody(t *testing.T) {
	m := named(t, "password", "$.user.ssn", "items[*].card")
	for _, c := range []struct {
		name, contentType, in, want string
	}{
		{"form", formType, "a=1&password=x&b=2&password=y", "a=1&b=2"},
		{"form, escaped name", formType + "; charset=UTF-8", "a=%zz&p%61ssword=x&b+=%2", "a=%zz&b+=%2"},
		{"form, all", formType, "password=x", ""},
		{"form, no value", formType, "password&password=&a", "password&a"},
		{"form, behind a semicolon", formType, "a=1;password=x;b=2&c=3", "a=1&c=3"},
		{"form, member of a member", formType, "user[password]=x&user.password=y&user[ssn]=1&user[a]=2&ssn=3", "user[a]=2&ssn=3"},
		{"form, element", formType, "items[0][card]=1&items[][card]=2&items.card=3&items%5B1%5D[n]=4", "items%5B1%5D[n]=4"},
		{"form, a field that is written in another way", formType, "\xef\xbb\xbfpassword=x&password%00=x&a=1", "a=1"},
		{"form, JSON behind a semicolon", formType, "a=1;b=%7B%22password%22:1%7D;c={\"password\":1}&d={\"a\":\"1;2\"};e", "a=1;b=%7B%7D;c=%7B%7D&d={\"a\":\"1;2\"};e"},
		{"form, JSON that is cut", formType, "a=%7B%22password%22:%22x&b=%7B%22a%22:%22x&c={\"password\":1};d=1", "a=%2A%2A%2A%2A%2A&b=%7B%22a%22:%22x&c=%2A%2A%2A%2A%2A"},
		{"form, JSON in a value", formType, "payload=%7B%22password%22%3A1%2C%22a%22%3A2%7D&b=%7B%22a%22:1}", "payload=%7B%22a%22%3A2%7D&b=%7B%22a%22:1}"},
		{"form, a path into JSON", formType, "user=%7B%22ssn%22:1%7D&payload=%7B%22user%22:%7B%22ssn%22:1}}&ssn=%7B%22ssn%22:1}", "user=%7B%7D&payload=%7B%22user%22%3A%7B%7D%7D&ssn=%7B%22ssn%22:1}"},
		{"form that is JSON", formType, ` {"password":"x","a":1}`, `{"a":1}`},
		{"form that is XML", formType, `<a><password>x</password></a>`, `<a></a>`},
		{"form of nothing to mask", formType, "&&a=1&=&b", "&&a=1&=&b"},

		{"XML", xmlType, `<a><password>x</password><b>1</b></a>`, `<a><b>1</b></a>`},
		{"XML, prefix, attributes, children", xmlType, "<s:a xmlns:s='u'><s:password t=\"1\"><c>x</c></s:password >\n<b/></s:a>", "<s:a xmlns:s='u'>\n<b/></s:a>"},
		{"XML, inside itself", xmlType, `<a><password>x<password>y</password>z</password></a>`, `<a></a>`},
		{"XML, empty element", xmlType, `<a><password/><password x="1" /><b/></a>`, `<a><b/></a>`},
		{"XML, attribute", xmlType, `<a b="1" password = 'x' s:password="y" c="2" ><d password=""/></a>`, `<a b="1" c="2" ><d/></a>`},
		{"XML, another case, longer", xmlType, `<a><Password>1</Password><password2>2</password2></a>`, `<a><Password>1</Password><password2>2</password2></a>`},
		{"XML, the root", xmlType, "<?xml version='1.0'?>\n<password a='x' xmlns='u'>x</password>\n", "<?xml version='1.0'?>\n<password xmlns='u'>*****</password>\n"},
		{"XML, the root, empty", xmlType, "<password a='x'/>", "<password>*****</password>"},
		{"XML, comments and instructions", xmlType, "<?xml version=\"1.0\" encoding=\"utf-8\" ?><!-- <password>x</password> --><a><?x password=1?>1<!----></a>", "<?xml version=\"1.0\" encoding=\"utf-8\" ?><a>1</a>"},
		{"XML, CDATA", xmlType, `<a><![CDATA[<password>x</password>]]><b><![CDATA[<r>1<password>x</password></r>]]></b></a>`, `<a>&lt;password&gt;*****&lt;/password&gt;<b>&lt;r&gt;1&lt;/r&gt;</b></a>`},
		{"XML, escaped XML", xmlType, `<a>&lt;r&gt;&lt;password>x&lt;/password>1&lt;/r></a>`, `<a>&lt;r&gt;1&lt;/r&gt;</a>`},
		{"XML, JSON in a text", xmlType, `<a>{"password":"x","b":"&lt;"}</a>`, `<a>{&quot;b&quot;:&quot;&lt;&quot;}</a>`},
		{"XML, a document in pieces", xmlType, `<a><![CDATA[<r><b><![CDATA[x]]]]><!-- c --><![CDATA[></b><password>1</password></r>]]></a>`, `<a>&lt;r&gt;&lt;b&gt;&lt;![CDATA[x]]&gt;&lt;/b&gt;&lt;/r&gt;</a>`},
		{"XML, JSON in pieces", xmlType, `<a>{"pass<?x?>word":<![CDATA["x"]]>}<b/>{"password"<!-- c -->: 1}</a>`, `<a>{}<b/>{}</a>`},
		{"XML, comments between texts", xmlType, `<a>1<!-- c -->2<![CDATA[3]]><!-- c --></a>`, `<a>12<![CDATA[3]]></a>`},
		{"XML, JSON that is cut", xmlType, `<a b='{"password":1'>{"password":"x</a>`, `<a b='*****'>*****</a>`},
		{"XML, path", xmlType, `<r><user><ssn>1</ssn><n ssn="2">3</n></user><ssn>4</ssn></r>`, `<r><user><n ssn="2">3</n></user><ssn>4</ssn></r>`},
		{"XML, path to an attribute", xmlType, `<user ssn="1" n="2"/>`, `<user n="2"/>`},
		{"XML, path through a list", xmlType, `<items><card>1</card><item><card>2</card></item></items>`, `<items><item></item></items>`},
		{"XML, a path into JSON", xmlType, `<a><user>{"ssn":1}</user><b>{"user":{"ssn":1}}</b></a>`, `<a><user>{}</user><b>{&quot;user&quot;:{}}</b></a>`},
		{"XML, bytes stay", xmlType, "\xef\xbb\xbf<!DOCTYPE a SYSTEM \"x.dtd\">\r\n<a  b = 'ü' >&#xfc; > &amp; \t</a  >\n", "\xef\xbb\xbf<!DOCTYPE a SYSTEM \"x.dtd\">\r\n<a  b = 'ü' >&#xfc; > &amp; \t</a  >\n"},

		{"parts", partType, parts("name=\"a\"\n\n1", "name=\"password\"\n\nx\n\ny", "name=b\n\n"), parts("name=\"a\"\n\n1", "name=b\n\n")},
		{"parts, escaped name", partType, parts("name=\"p%61ssword\"\n\nx", "name=\"pass\\word\"\n\nx", "name*=utf-8''p%61ssword\n\nx"), parts()},
		{"parts, names as mail programs write them", partType, parts("name=\"=?utf-8?Q?pass=77ord?=\"\n\nx", "name=\"=?utf-8?B?cGFzc3dvcmQ=?=\"\n\nx"), parts()},
		{"parts, JSON that is cut", partType, parts("name=a\n\n{\"password\":\"x"), parts("name=a\n\n*****")},
		{"parts, member of a member", partType, parts("name=\"user[ssn]\"\n\nx", "name=\"user[a]\"\n\n1"), parts("name=\"user[a]\"\n\n1")},
		{"parts, a path into JSON", partType, parts("name=user\n\n{\"ssn\":1}", "name=user\nContent-Type: application/json\n\n{\"ssn\":1}"), parts("name=user\n\n{}", "name=user\nContent-Type: application/json\n\n{}")},
		{"parts, JSON", partType, parts("name=a\nContent-Type: application/json\n\n{\"password\":\"x\",\"b\": 1}", "name=a\n\n{\"password\":\"x\"}"), parts("name=a\nContent-Type: application/json\n\n{\"b\":1}", "name=a\n\n{}")},
		{"parts, XML file", partType, parts("name=a; filename=\"a.xml\"\nContent-Type: text/xml\n\n<a password='x'/>"), parts("name=a; filename=\"a.xml\"\nContent-Type: text/xml\n\n<a/>")},
		{"parts, files", partType, parts("name=a; filename=a.png\nContent-Type: image/png\n\npassword=x", "name=b; filename=\"\"\n\nx", "name=c; filename=c.txt\nContent-Type: text/plain\n\npassword: x", "name=d\n\n1"), parts("name=d\n\n1")},
		{"parts, what cannot be read", partType, parts("name=a\nContent-Type: application/json\n\n{\"password\":", "name=b\nContent-Transfer-Encoding: base64\n\ncGFzc3dvcmQ=", "name=c\nContent-Type: text/plain; charset=utf-7\n\nx", "name=d\nContent-Type: multipart/mixed; boundary=x\n\n--x--", "name=e\n\n\x1f\x8b\x08"), parts()},
		{"parts, none", `multipart/form-data; boundary="b-1"`, "--b-1--", "--b-1--"},
	} {
		t.Run(c.name, func(t *testing.T) {
			shown, ok := m.Body(c.contentType, []byte(c.in))
			require.True(t, ok)
			assert.Equal(t, c.want, string(shown))
		})
	}
}

// A mask may name the prefix of an element or attribute, or not.
func TestPrefixes(t *testing.T) {
	for masks, want := range map[string]string{
		"Secret":              `<s:a xmlns:s="u"><Other/></s:a>`,
		"s:Secret":            `<s:a xmlns:s="u"><Secret>2</Secret><t:Secret>3</t:Secret><Other Secret="5"/></s:a>`,
		"$.a.Secret":          `<s:a xmlns:s="u"><Other Secret="5" s:Secret="6"/></s:a>`,
		"$.s:a.s:Secret":      `<s:a xmlns:s="u"><Secret>2</Secret><t:Secret>3</t:Secret><Other Secret="5" s:Secret="6"/></s:a>`,
		"$.s:a.*.s:Secret":    `<s:a xmlns:s="u"><Secret>2</Secret><t:Secret>3</t:Secret><Other Secret="5"/></s:a>`,
		"$['s:a'].s:Secret.x": `<s:a xmlns:s="u"><s:Secret>1</s:Secret><Secret>2</Secret><t:Secret>3</t:Secret><Other Secret="5" s:Secret="6"/></s:a>`,
	} {
		shown, ok := named(t, masks).Body(xmlType, []byte(
			`<s:a xmlns:s="u"><s:Secret>1</s:Secret><Secret>2</Secret><t:Secret>3</t:Secret><Other Secret="5" s:Secret="6"/></s:a>`))
		require.True(t, ok)
		assert.Equal(t, want, string(shown), masks)
	}
}

func TestBodyStarred(t *testing.T) {
	m := compile(t, Rules{Body: []string{"password"}, Action: "stars"})
	for _, c := range []struct{ contentType, in, want string }{
		{formType, "a=1&p%61ssword=x;y=1&b[password]=&b;password=2", "a=1&p%61ssword=*****&b[password]=&b;password=*****"},
		{xmlType, `<a password="x" b="1"><p:password xmlns:p="u" c="x"><d/>x</p:password><password /></a>`, `<a password="*****" b="1"><p:password xmlns:p="u">*****</p:password><password>*****</password></a>`},
		{partType, parts("name=password\n\nx", "name=a\n\n1", "name=password; filename=f\nContent-Type: image/png\n\nx"), parts("name=password\n\n*****", "name=a\n\n1", "name=password; filename=f\nContent-Type: image/png\n\n*****")},
	} {
		shown, ok := m.Body(c.contentType, []byte(c.in))
		require.True(t, ok)
		assert.Equal(t, c.want, string(shown))
	}
	hash := compile(t, Rules{Body: []string{"password"}, Action: "hash", HashKey: "k"})
	for contentType, body := range map[string]string{
		formType: "password=a%26+b", xmlType: "<a><password>a&amp; b</password></a>", partType: parts("name=password\n\na& b"),
	} {
		shown, ok := hash.Body(contentType, []byte(body))
		require.True(t, ok)
		assert.Contains(t, string(shown), hash.instead("a& b"), "the same value has the same hash in every format")
	}
}

// What one reader could read another way than we do is not shown.
func TestBodiesThatAreRefused(t *testing.T) {
	m := named(t, "password")
	for _, c := range []struct{ name, contentType, in string }{
		{"text", "text/plain", "password=x"},
		{"HTML", "text/html", "<password>x</password>"},
		{"GraphQL text", "application/graphql", "{password}"},
		{"anything", "application/pdf", "x"},
		{"no type", "", "password=x"},
		{"two types", "text/xml, text/plain", "<a/>"},
		{"form, broken JSON", formType, `{"password":"x"`},
		{"form, UTF-16", formType, "p\x00a\x00=\x001\x00"},
		{"form, compressed", formType, "\x1f\x8b\x08\x00"},
		{"form, Latin-1", formType, "a=\xe4"},
		{"form, charset", formType + "; charset=utf-16", "a=1"},
		{"XML, empty", xmlType, " "},
		{"XML, broken", xmlType, "<a><password>x</a>"},
		{"XML, unclosed", xmlType, "<a>"},
		{"XML, two roots", xmlType, "<a/><b/>"},
		{"XML, text outside", xmlType, "<a/>x"},
		{"XML, entities", xmlType, `<!DOCTYPE a [<!ENTITY e "<password>x</password>">]><a>&e;</a>`},
		{"XML, an unknown entity", xmlType, `<a>&e;</a>`},
		{"XML, encoding", xmlType, `<?xml version="1.0" encoding="UTF-7"?><a>+ADw-password+AD4-</a>`},
		{"XML, charset", "text/xml; charset=utf-16", `<a/>`},
		{"XML, UTF-16", xmlType, "<\x00a\x00/\x00>\x00"},
		{"XML, not UTF-8", xmlType, "<a>\xff</a>"},
		{"XML, a second declaration", xmlType, `<a/><?xml version="1.0" encoding="UTF-7"?>`},
		{"XML, attribute without quotes", xmlType, `<a password=x></a>`},
		{"XML, attributes without space", xmlType, `<a b="1"password="x"></a>`},
		{"XML, two prefixes", xmlType, `<a:b:password>x</a:b:password>`},
		{"XML, too deep", xmlType, strings.Repeat("<a>", 1000000)},
		{"XML, comment that others end", xmlType, `<a><!-- -- ><password>x</password><!-- --></a>`},
		{"parts, no boundary", "multipart/form-data", "--b-1--"},
		{"parts, another boundary", "multipart/form-data; boundary=b", parts("name=password\n\nx")},
		{"parts, cut", partType, strings.TrimSuffix(parts("name=a\n\nx"), "--b-1--\r\n")},
		{"parts, line ends", partType, strings.ReplaceAll(parts("name=a\n\nx"), "\r\n", "\n")},
		{"parts, one line end", partType, parts("name=a\n\n1") + strings.ReplaceAll(parts("name=password\n\nx"), "\r\n", "\n")},
		{"parts, one line end inside", partType, strings.Replace(parts("name=a\n\n1", "name=password\n\nx"), "1\r\n", "1\n", 1)},
		{"parts, no name", partType, parts("a=b\n\nx")},
		{"parts, two names", partType, parts("name=a; name=password\n\nx")},
		{"parts, a name in two ways", partType, parts("name=password; name*=utf-8''a\n\nx")},
		{"parts, a name in two ways, in pieces", partType, parts("Name*0=a; NAME=password\n\nx")},
		{"parts, two dispositions", partType, parts("name=a\nContent-Disposition: form-data; name=password\n\nx")},
		{"parts, no head", partType, "--b-1\r\n\r\nx\r\n--b-1--"},
		{"parts, something before", partType, "x\r\n" + parts("name=a\n\nx")},
		{"parts, something behind", partType, parts("name=a\n\nx") + "password=x"},
		{"parts, mixed", "multipart/mixed; boundary=b-1", parts("name=a\n\nx")},
	} {
		_, ok := m.Body(c.contentType, []byte(c.in))
		assert.False(t, ok, c.name)
	}
}

func fieldHit(m *Masks, name string) bool {
	_, hit := m.field(name)
	return hit
}

// Paths in which every step may be anything are no way to make a body expensive.
func TestWildcardsDoNotMultiply(t *testing.T) {
	path := "$" + strings.Repeat(".*", 12) + ".k"
	deep := strings.Repeat("<a>", maxElements-1) + "<k>s3cret</k>" + strings.Repeat("</a>", maxElements-1)
	shown, ok := named(t, path).Body(xmlType, []byte(deep))
	require.True(t, ok)
	assert.NotContains(t, string(shown), "s3cret")
	assert.True(t, fieldHit(named(t, path), strings.Repeat("a.1.", 6)+"k"))
	assert.False(t, fieldHit(named(t, path), strings.Repeat("a.1.", 10000)+"k"))
}

// A text may hold a document that holds a text that holds a document, but not for ever.
func TestNestingEnds(t *testing.T) {
	m := named(t, "password")
	body := []byte("<a><password>s3cret</password></a>")
	for range 12 {
		body = []byte("<a>" + escapeXML(body) + "</a>")
	}
	shown, ok := m.Body(xmlType, body)
	require.True(t, ok)
	assert.NotContains(t, string(shown), "s3cret")
	assert.Contains(t, string(shown), Stars)
}

// FuzzForm: the values of the masked name, as net/url reads them, are gone, and the other fields are as they were.
func FuzzForm(f *testing.F) {
	f.Add("a=1&password=x&b=%7B%22password%22:1}")
	f.Add("a;password=x&%70assword=&;&password==&b[password]=1")
	remove, stars := named(f, "password"), compile(f, Rules{Body: []string{"password"}, Action: "stars"})
	f.Fuzz(func(t *testing.T, body string) {
		shown, ok := remove.Body(formType, []byte(body+"&password=s3cret"))
		if !ok || strings.ContainsRune("{[\"<", rune(firstByte([]byte(body)))) {
			return
		}
		require.NotContains(t, string(shown), "s3cret")
		values, _ := url.ParseQuery(string(shown))
		require.Empty(t, strings.Join(values["password"], ""))
		if before, err := url.ParseQuery(body); err == nil { // net/url takes no semicolons
			for name := range values {
				require.Contains(t, before, name)
			}
		}
		shown, ok = stars.Body(formType, []byte("password=s3cret&"+body))
		require.True(t, ok)
		require.True(t, strings.HasPrefix(string(shown), "password=*****&"))
		require.Equal(t, strings.Count(body, "&")+1, strings.Count(string(shown), "&"))
		again, ok := stars.Body(formType, shown)
		require.True(t, ok)
		require.Equal(t, string(shown), string(again))
	})
}

// FuzzXML: what is left is XML for encoding/xml, too, without an element or attribute of the masked name; with nothing to
// mask, every byte stays.
func FuzzXML(f *testing.F) {
	f.Add("<a><password>x</password><b c='1' password=\"2\">&lt;<![CDATA[<password/>]]></b></a>")
	f.Add("<?xml version=\"1.0\"?><!DOCTYPE a><p:a xmlns:p='u'><!-- x --><p:password/><?x y?></p:a>")
	remove, stars := named(f, "password"), compile(f, Rules{Body: []string{"password", "b.c"}, Action: "stars"})
	nothing := detecting(f, "jwt")
	f.Fuzz(func(t *testing.T, body string) {
		if shown, ok := nothing.Body(xmlType, []byte(body)); ok {
			require.Equal(t, body, string(shown))
		}
		for _, m := range []*Masks{remove, stars} {
			shown, ok := m.Body(xmlType, []byte(body))
			if !ok {
				continue
			}
			again, ok := m.Body(xmlType, shown)
			require.True(t, ok, "%q cannot be read", shown)
			require.Equal(t, string(shown), string(again))
			requireXMLWithout(t, shown, "password", m == stars)
		}
		marked := "<r>" + body + "<password q='s3cret'>s3cret" + body + "</password></r>"
		if shown, ok := remove.Body(xmlType, []byte(marked)); ok {
			require.NotContains(t, string(shown), "s3cret")
		}
	})
}

// requireXMLWithout fails when encoding/xml finds a value under that name. It knows more that is wrong with a document
// than we do, and stops there.
func requireXMLWithout(t *testing.T, document []byte, name string, starred bool) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(document))
	depth := 0
	inside := false
	for {
		token, err := d.RawToken()
		if err != nil {
			return
		}
		switch token := token.(type) {
		case xml.StartElement:
			require.False(t, inside, "%q", document)
			inside = token.Name.Local == name
			require.False(t, inside && !starred && depth > 0, "%q", document)
			for _, a := range token.Attr {
				if a.Name.Local == name && a.Name.Space != "xmlns" {
					require.True(t, starred && a.Value == Stars, "%q", document)
				}
			}
			depth++
		case xml.EndElement:
			inside = false
			depth--
		case xml.CharData:
			require.False(t, inside && string(token) != Stars, "%q", document)
		}
	}
}

// FuzzMultipart: mime/multipart reads what is left and finds no part of the masked name in it.
func FuzzMultipart(f *testing.F) {
	f.Add(parts("name=a\n\n1", "name=\"password\"\n\nx", "name=b; filename=c\nContent-Type: application/json\n\n{\"password\":1}"))
	f.Add("--b-1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--b-1\r\n--b-1--")
	m := named(f, "password")
	f.Fuzz(func(t *testing.T, body string) {
		body = strings.TrimSuffix(body, "--b-1--\r\n")
		if body != "" {
			body = strings.TrimSuffix(body, "\r\n") + "\r\n"
		}
		shown, ok := m.Body(partType, []byte(body+parts("name=password\n\ns3cret")))
		if !ok {
			return
		}
		require.NotContains(t, string(shown), "s3cret")
		r := multipart.NewReader(bytes.NewReader(shown), "b-1")
		for {
			p, err := r.NextRawPart()
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				return
			}
			require.NotEqual(t, "password", p.FormName())
			_, err = io.Copy(io.Discard, p)
			require.NoError(t, err)
		}
	})
}
