package moesif

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const formType = "application/x-www-form-urlencoded"

var base64Body = regexp.MustCompile(`"body":"([^"]*)","transfer_encoding":"base64"`)

// multipartOf is one part of a form, between boundaries called b.
func multipartOf(name, value string) string {
	return "--b\r\nContent-Disposition: form-data; " + name + "\r\n\r\n" + value + "\r\n"
}

// Whatever way a masked value takes into a request, it is not in the event. Every secret below is "s3cret".
func TestMaskedValuesStayOut(t *testing.T) {
	s := settingsOf(t, `{"application_id":"a","request_header_masks":["apikey"],"response_header_masks":["x-token"],"request_query_masks":["password"],
		"request_body_masks":["password","user.ssn"],"response_body_masks":["password"]}`)
	request := func(url, headers string) string {
		return fmt.Sprintf(`{"request":{"url":%q,"uri":%q,"headers":{%s}}}`, url, url, headers)
	}
	for name, c := range map[string]struct {
		log           string
		request       string // bodies
		response      string
		credentialKey string
		contentType   string
	}{
		"query":                           {log: request("http://h:80/?password=s3cret", ``)},
		"query, escaped name":             {log: request("http://h:80/?p%61ssword=s3cret", ``)},
		"query, behind a semicolon":       {log: request("http://h:80/?a=1;password=s3cret", ``)},
		"query, behind a second ?":        {log: request("http://h:80/?a?password=s3cret", ``)},
		"fragment":                        {log: request("http://h:80/#password=s3cret", ``)},
		"fragment behind a query":         {log: request("http://h:80/?a=1#b=2&password=s3cret", ``)},
		"referer":                         {log: request("http://h:80/", `"referer":"https://shop/login?a=1&password=s3cret"`)},
		"referer, twice":                  {log: request("http://h:80/", `"referer":["https://shop/?x","https://shop/login?password=s3cret"]`)},
		"the URL of a proxy in front":     {log: request("http://h:80/", `"x-original-url":"/login?password=s3cret"`)},
		"redirect":                        {log: `{"response":{"headers":{"location":"https://shop/?password=s3cret"}}}`},
		"redirect, in the fragment":       {log: `{"response":{"headers":{"location":"https://shop/#password=s3cret&state=1"}}}`},
		"link":                            {log: `{"response":{"headers":{"link":"<https://shop/?page=2&password=s3cret>; rel=next"}}}`},
		"header in another case":          {log: `{"request":{"headers":{"ApiKey":"s3cret"}},"response":{"headers":{"X-Token":["a","s3cret"]}}}`},
		"body":                            {request: `{"password":"s3cret"}`, response: `{"password":"s3cret"}`},
		"escaped member":                  {request: `{"pass\u0077ord":"s3cret","\u0070assword":"s3cret"}`},
		"duplicate members":               {request: `{"password":1,"password":"s3cret","password":["s3cret"]}`},
		"deep member":                     {response: `[[{"a":[{"password":{"b":"s3cret"}}]}]]`},
		"a literal name with a dot":       {request: `{"user.ssn":"s3cret","user":{"ssn":"s3cret"}}`},
		"JSON in a string":                {request: `{"message":"{\"password\":\"s3cret\"}"}`},
		"JSON in a string, escaped":       {request: `{"message":"\u007b\u0022pass\\u0077ord\u0022:\"s3cret\"}"}`},
		"JSON in a string in a string":    {request: `["[\"{\\\"password\\\":\\\"s3cret\\\"}\"]"]`},
		"JSON in a string, at the top":    {request: `"{\"password\":\"s3cret\"}"`},
		"form under JSON's type":          {request: `password=s3cret`},
		"XML under JSON's type":           {request: `<password>s3cret</password>`},
		"form":                            {request: `a=1&p%61ssword=s3cret&b[password][]=s3cret&user.ssn=s3cret`, contentType: formType},
		"form that is JSON":               {request: `{"password":"s3cret"}`, contentType: formType},
		"JSON in a form":                  {request: `payload=%7B%22password%22%3A%22s3cret%22%7D`, contentType: formType},
		"parts":                           {request: multipartOf("name=password", "s3cret") + "--b--", contentType: "multipart/form-data; boundary=b"},
		"a file":                          {request: multipartOf("name=a; filename=f", "password=s3cret") + "--b--", contentType: "multipart/form-data; boundary=b"},
		"JSON in a part":                  {request: multipartOf("name=a\r\nContent-Type: application/json", `{"password":"s3cret"}`) + "--b--", contentType: "multipart/form-data; boundary=b"},
		"SOAP":                            {request: `<s:Envelope xmlns:s="u"><s:Body password="s3cret"><x:password xmlns:x="y">s3cret</x:password></s:Body></s:Envelope>`, contentType: "application/soap+xml"},
		"XML in XML":                      {request: `<a>&lt;password&gt;s3cret&lt;/password&gt;<![CDATA[<password>s3cret</password>]]><!--s3cret--></a>`, contentType: "text/xml"},
		"XML with entities":               {request: `<!DOCTYPE a [<!ENTITY e "s3cret">]><a><password>&e;</password></a>`, contentType: "text/xml"},
		"XML in JSON":                     {request: `{"a":"<password>s3cret</password>"}`},
		"text":                            {request: `password=s3cret`, contentType: "text/plain"},
		"GraphQL variables":               {request: `{"query":"mutation($password: String!){login(password:$password)}","variables":{"password":"s3cret"}}`},
		"JSON-RPC":                        {request: `[{"jsonrpc":"2.0","method":"login","params":{"password":"s3cret"},"id":1}]`},
		"broken JSON":                     {request: `{"password":"s3cret"`},
		"NDJSON":                          {request: "{\"password\":\"s3cret\"}\n{\"password\":\"s3cret\"}"},
		"BOM":                             {request: "\xef\xbb\xbf{\"password\":\"s3cret\"}"},
		"UTF-16":                          {request: "{\x00\"\x00p\x00\"\x00:\x00\"\x00s3cret\"\x00}\x00"},
		"too deep":                        {request: strings.Repeat("[", 5000) + `{"password":"s3cret"}` + strings.Repeat("]", 5000)},
		"key in the masked header":        {log: request("http://h:80/", `"apikey":"s3cret"`), credentialKey: "s3cret"},
		"key in the masked query":         {log: request("http://h:80/?password=s3cret", ``), credentialKey: "s3cret"},
		"key in a masked member":          {request: `{"password":"s3cret"}`, credentialKey: "s3cret"},
		"key in a form":                   {request: `apikey=s3cret`, credentialKey: "s3cret"},
		"key that key-auth took out":      {log: request("http://h:80/", ``), credentialKey: "s3cret"},
		"key that is part of a longer":    {log: request("http://h:80/", `"apikey":"ApiKey s3cret"`), credentialKey: "s3cret"},
		"credentials Kong did not redact": {log: request("http://h:80/", `"authorization":"Bearer s3cret","proxy-authorization":["Basic s3cret"]`)},
		"credentials in the response":     {log: `{"response":{"headers":{"authorization":"Bearer s3cret"}}}`},
	} {
		for _, gzip := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gzip %v", name, gzip), func(t *testing.T) {
				log := c.log
				if log == "" {
					coding := map[bool]string{true: `,"content-encoding":"gzip"`}[gzip]
					headers := `"headers":{"content-type":"` + cmp.Or(c.contentType, "application/json") + `"` + coding + `}`
					log = `{"request":{` + headers + `},"response":{` + headers + `}}`
					if gzip {
						c.request, c.response = gzipped(t, c.request), gzipped(t, c.response)
					}
				}
				x := exchangeOf(t, log)
				x.requestBody, x.responseBody, x.credentialKey = []byte(c.request), []byte(c.response), c.credentialKey
				event := string(encodeEvent(x, s))
				assert.NotContains(t, event, "s3cret")
				for _, encoded := range base64Body.FindAllStringSubmatch(event, -1) {
					assert.NotEmpty(t, c.contentType, "what masks cannot be applied to is left out")
					plain, err := base64.StdEncoding.DecodeString(encoded[1])
					require.NoError(t, err)
					assert.NotContains(t, string(plain), "s3cret")
				}
				assert.True(t, json.Valid([]byte(event)), event)
			})
		}
	}
}

// Without masks a key that Kong accepted is the session token, as with Moesif's Lua plugin; with masks only a key that
// the event shows anyway is.
func TestSessionToken(t *testing.T) {
	const shown = `{"request":{"url":"http://h:80/","headers":{"apikey":"k-1"}},"authenticated_entity":{"id":"c-1"}}`
	const inQuery = `{"request":{"url":"http://h:80/?apikey=k-1","headers":{}},"authenticated_entity":{"id":"c-1"}}`
	const taken = `{"request":{"url":"http://h:80/","headers":{}},"authenticated_entity":{"id":"c-1"}}`
	const none, other, same = ``, `,"request_header_masks":["cookie"]`, `,"request_header_masks":["apikey"],"request_query_masks":["apikey"]`
	for _, c := range []struct{ name, log, key, masks, want string }{
		{"key", shown, "k-1", none, "k-1"},
		{"key that the request does not show", taken, "k-1", none, "k-1"},
		{"no key", shown, "", none, "c-1"},
		{"masks of other things", shown, "k-1", other, "k-1"},
		{"masks of other things, key in the query", inQuery, "k-1", other, "k-1"},
		{"masks, and a key that the request does not show", taken, "k-1", other, "c-1"},
		{"a part of what is shown is not shown", shown, "k-", other, "c-1"},
		{"masked header", shown, "k-1", same, "c-1"},
		{"masked argument", inQuery, "k-1", same, "c-1"},
		{"none", `{}`, "", same, ""},
	} {
		x := exchangeOf(t, c.log)
		x.credentialKey = c.key
		var event struct {
			SessionToken string `json:"session_token"`
		}
		require.NoError(t, json.Unmarshal(encodeEvent(x, settingsOf(t, `{"application_id":"a"`+c.masks+`}`)), &event))
		assert.Equal(t, c.want, event.SessionToken, c.name)
	}
}
