package keyauth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Keys are found in bodies that Kong has spooled to a file, and taken out of them; every other byte reaches the upstream.
func TestLargeBodies(t *testing.T) {
	binary := strings.Repeat("\x00\xff\r\n-b", 20_000)
	for name, program := range programs() {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, program, route{"/", []string{"key_in_body: true", "hide_credentials: true"}}, route{"/small", []string{"key_in_body: true", "max_body_bytes: 10000"}})
			for _, c := range []struct{ name, contentType, body, want string }{
				{"small", partsType, parts("a", "\xff\x00", "apikey", bobsKey), parts("a", "\xff\x00")},
				{"file", partsType, parts("file", binary, "apikey", bobsKey, "b", "2"), parts("file", binary, "b", "2")},
				{"form", formType, "a=" + strings.Repeat("%zz", 30_000) + "&apikey=" + bobsKey + "&b", "a=" + strings.Repeat("%zz", 30_000) + "&b"},
				{"JSON", jsonType, `{"apikey":"` + bobsKey + `", "a":"` + strings.Repeat("ä", 100_000) + `"}`, `{"a":"` + strings.Repeat("ä", 100_000) + `"}`},
			} {
				t.Run(c.name, func(t *testing.T) {
					before := len(g.Upstream.Requests())
					r := g.Send("POST", "/", c.body, "Content-Type", c.contentType)
					assert.Equal(t, 200, r.Status, r.Body)
					requests := g.Upstream.Requests()
					assert.Len(t, requests, before+1)
					assert.True(t, c.want == string(requests[before].Body), "the upstream's body has %d bytes, want %d", len(requests[before].Body), len(c.want))
				})
			}
			over := g.Send("POST", "/", "apikey="+bobsKey+"&a="+strings.Repeat("a", 1<<20), "Content-Type", formType)
			assert.Equal(t, 401, over.Status)
			assert.Contains(t, over.Body, "No API key found in request")
			assert.Equal(t, 401, g.Send("POST", "/small", "apikey="+bobsKey+"&a="+strings.Repeat("a", 10000), "Content-Type", formType).Status)
			assert.Equal(t, 200, g.Send("POST", "/small", "apikey="+bobsKey+"&a="+strings.Repeat("a", 9000), "Content-Type", formType).Status)
			assert.Empty(t, g.Stats().Failures)
		})
	}
}

// A key that was found in one place is taken out of the others, too: the header in every spelling, the query in any case.
func TestHiddenEverywhere(t *testing.T) {
	for name, program := range programs() {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, program,
				route{"/query", []string{"hide_credentials: true", "key_in_header: false", "key_names: [x-api_key]"}},
				route{"/header", []string{"hide_credentials: true", "key_in_query: false", "key_names: [x-api_key]"}},
				route{"/long", []string{"hide_credentials: true", "key_names: [a-b-c-d]"}},
				route{"/long-query", []string{"hide_credentials: true", "key_in_header: false", "key_names: [a-b-c-d]"}},
				route{"/anon", []string{"hide_credentials: true", "anonymous: anon"}},
				route{"/bytes", []string{"hide_credentials: true"}})
			spellings := []string{"x-api-key", "1", "x_api_key", "2", "x_api-key", "3"}
			for _, c := range []struct {
				target  string
				headers []string
				uri     string
				gone    []string
			}{
				{"/query?x-api_key=" + bobsKey, append(spellings, "x-api_key", "4"), "/query", []string{"x-api-key", "x_api_key", "x_api-key", "x-api_key"}},
				{"/header?a=%zz&x-api_key=q&b", append(spellings[:0:0], "x_api-key", bobsKey), "/header?a=%zz&b", []string{"x_api-key"}},
				{"/header?x-api_key", append(spellings, "x-api_key", bobsKey), "/header", []string{"x-api-key", "x_api_key", "x_api-key", "x-api_key"}},
				{"/long", []string{"a_b-c_d", bobsKey}, "/long", []string{"a_b-c_d"}},
				{"/long?a-b-c-d=" + bobsKey + "&x", nil, "/long?x", nil},
				{"/long-query?a-b-c-d=" + bobsKey, []string{"a_b-c_d", "1", "a-b-c-d", "2"}, "/long-query", []string{"a_b-c_d", "a-b-c-d"}},
				{"/anon?apikey=wrong&apikey&x=1", []string{"apikey", "wrong"}, "/anon?x=1", []string{"apikey"}},
				{"/bytes?a=\xff&apikey=" + bobsKey, nil, "/bytes?a=\xff", nil},
			} {
				before := len(g.Upstream.Requests())
				r := g.Send("GET", c.target, "", c.headers...)
				if !assert.Equal(t, 200, r.Status, "%s: %s", c.target, r.Body) {
					continue
				}
				request := g.Upstream.Requests()[before]
				assert.Equal(t, c.uri, request.URI)
				for _, gone := range c.gone {
					for name := range request.Header {
						assert.False(t, strings.EqualFold(name, gone), "%s: %s", c.target, name)
					}
				}
			}
			assert.Empty(t, g.Stats().Failures)
		})
	}
}

// The refusal's form follows what the client takes.
func TestRefusalForms(t *testing.T) {
	g := startGateway(t, builtPlugin, route{"/", nil})
	for accept, want := range map[string][2]string{
		"text/html;q=0.5, application/xml": {"application/xml; charset=utf-8", "<message>Unauthorized</message>"},
		"text/*":                           {"text/plain; charset=utf-8", "Unauthorized\nrequest_id: "},
		"text/html":                        {"text/html; charset=utf-8", "<p>Unauthorized.</p>"},
		"image/png":                        {"application/json; charset=utf-8", `"message":"Unauthorized"`},
	} {
		r := g.Send("GET", "/", "", "Accept", accept, "apikey", "wrong")
		assert.Equal(t, 401, r.Status)
		assert.Equal(t, want[0], r.Header.Get("Content-Type"))
		assert.Contains(t, r.Body, want[1])
		assert.Contains(t, r.Body, r.ID())
	}
}

// Keys of any bytes are unknown, and no more than that.
func TestOddKeys(t *testing.T) {
	g := startGateway(t, builtPlugin, route{"/", nil})
	for _, c := range [][]string{{"/?apikey=%00"}, {"/?apikey=%FF%FE"}, {"/?apikey=" + strings.Repeat("k", 4000)}, {"/", "apikey", "\xff"}, {"/", "apikey", "{vault://env/x}"}, {"/", "apikey", digestOf(t, bobsKey)}} {
		r := g.Send("GET", c[0], "", c[1:]...)
		assert.Equal(t, 401, r.Status, c)
		assert.Contains(t, r.Body, `"message":"Unauthorized"`, c)
	}
	assert.Empty(t, g.Stats().Failures)
}
