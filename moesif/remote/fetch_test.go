package remote

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A collector that fails in every way changes nothing that is in force.
func TestFetchFailures(t *testing.T) {
	t.Parallel()
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with the application id %q", r.Header.Get("X-Moesif-Application-Id"))
	}))
	t.Cleanup(stranger.Close)
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	hijack := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if assert.NoError(t, err) {
				_, _ = conn.Write([]byte(answer))
				_ = conn.Close()
			}
		}
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write([]byte(`{"sample_rate":1}`))
	_ = zip.Close()

	for _, c := range []struct {
		name, result, line string
		answer             http.HandlerFunc
	}{
		{"cut before the status", unreachable, "EOF", hijack("")},
		{"cut in the head", unreachable, "", hijack("HTTP/1.1 200 OK\r\nContent-")},
		{"cut in the body", unreachable, "unexpected EOF", hijack("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")},
		{"no HTTP", unreachable, "malformed", hijack("SSH-2.0-OpenSSH\r\n")},
		{"no HTTP that repeats the question", unreachable, "malformed MIME header", hijack("HTTP/1.1 200 OK\r\nX-Moesif-Application-Id " + testID + "\r\n\r\n")},
		{"no answer", unreachable, "no answer within 200ms", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"never ends", unreachable, "no answer within 200ms", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
		}},
		{"created", refused, "answered 201", text(201, "{}")},
		{"no content", refused, "answered 204", text(204, "")},
		{"not modified, unasked", refused, "answered 304", text(304, "")},
		{"a redirect", refused, "answered 302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, stranger.URL, http.StatusFound) }},
		{"bad request", refused, "answered 400", text(400, `{"error":"x"}`)},
		{"unauthorized", refused, "answered 401: check application_id", text(401, "[]")},
		{"not found", refused, "answered 404: check api_endpoint", text(404, "[]")},
		{"unavailable", refused, "answered 503", text(503, "{}")},
		{"empty", invalid, "not JSON", text(200, "")},
		{"a page", invalid, "not JSON", text(200, "<html>")},
		{"cut JSON", invalid, "not JSON", text(200, `{"sample_rate":`)},
		{"two documents", invalid, "not JSON", text(200, `{}{}`)},
		{"an error document", invalid, "the answer is not", text(200, `{"error":"x","message":"y"}`)},
		{"of another shape", invalid, "the answer is not", text(200, `["error"]`)},
		{"a text", invalid, "the answer is not", text(200, `"error"`)},
		{"a null", invalid, "the answer is not", text(200, `null`)},
		{"cohorts of another shape", invalid, "is not an object", text(200, `{"sample_rate":1,"user_rules":"none"}`)},
		{"too deep", invalid, "nested too deep", text(200, strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000))},
		{"compressed, unasked", invalid, "not JSON", text(200, packed.String())},
		{"too large", invalid, "larger than 1048576 bytes", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("{}"))
			_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
		}},
	} {
		for _, name := range []string{configName, rulesName} {
			if name == rulesName && c.name == "cohorts of another shape" {
				continue
			}
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				server := httptest.NewServer(c.answer)
				defer server.Close()
				lines := &said{}
				o := Options{Endpoint: server.URL, ApplicationID: testID, Client: server.Client(), Timeout: time.Minute, Report: lines.report}
				if strings.Contains(c.line, "within") {
					o.Timeout = 200 * time.Millisecond
				}
				s := NewSource(o)
				before := snapshot(t, exampleConfig, exampleRules)
				s.snapshot.Store(before)
				d := &s.config
				if name == rulesName {
					d = &s.rules
				}
				d.limit = 1 << 20
				s.refresh(t.Context(), d, 0)
				assert.Same(t, before, s.Snapshot())
				assert.Contains(t, lines.all(), c.line)
				assert.Contains(t, lines.all(), name+" of the collector: ")
				assert.NotContains(t, lines.all(), testID)
				assert.NotContains(t, lines.all(), server.URL)
				for label, n := range gathered(t, s.options.Metrics) {
					if strings.HasPrefix(label, "moesif_config_fetches_total") {
						want := 0.0
						if label == fmt.Sprintf("moesif_config_fetches_total{document=%q,result=%q}", name, c.result) {
							want = 1
						}
						assert.InDelta(t, want, n, 0, label)
					}
				}
			})
		}
	}
}

func TestFetchRequest(t *testing.T) {
	t.Parallel()
	var got []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r)
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	s := NewSource(Options{Endpoint: server.URL + "/prefix", ApplicationID: testID, Client: server.Client(), UserAgent: "kong-plugin-moesif/1.2.3"})
	f := s.fetch(t.Context(), &s.config)
	require.NoError(t, f.err)
	assert.Equal(t, changed, f.result)
	require.Len(t, got, 1)
	assert.Equal(t, http.MethodGet, got[0].Method)
	assert.Equal(t, "/prefix/v1/config", got[0].URL.Path)
	assert.Equal(t, testID, got[0].Header.Get("X-Moesif-Application-Id"))
	assert.Equal(t, "kong-plugin-moesif/1.2.3", got[0].Header.Get("User-Agent"))
	assert.Equal(t, unchanged, s.fetch(t.Context(), &s.config).result, "the same bytes are the same version")
}

// Parts of the wrong type cost themselves alone.
func TestDocumentsOfMixedQuality(t *testing.T) {
	t.Parallel()
	c, p, err := parseConfig([]byte(`{"sample_rate":[],"user_sample_rate":{"a":1,"b":"x","":3,"\ud800":4},"company_sample_rate":[1],"regex_config":[7,{"sample_rate":5,"conditions":"x"},{"sample_rate":6,"conditions":[{"path":"request.verb","value":"("}]}],
		"user_rules":{"a":[{"rules":"r","values":7},{"rules":9,"values":{"0":[],"1":null,"2":2}}],"` + "\xff\xfe" + `":[],"":[]},"company_rules":null,"unknown":{"x":1},"sample_rate":20}`))
	require.NoError(t, err)
	assert.InDelta(t, 20, c.rate, 0, "of two members the last")
	assert.Equal(t, map[string]float64{"a": 1}, c.users.of)
	assert.Empty(t, c.companies.of)
	assert.Len(t, c.regex, 1)
	assert.Equal(t, cohorts{"a": {memberships: []membership{{rule: "r"}, {rule: "9", values: map[string]string{"2": "2"}}}}}, c.userRules)
	assert.Equal(t, 11, p.count, p.first)

	r, p, err := parseRules([]byte(`[1,{"type":"user"},{"_id":"x"},{"_id":"","type":"user"},{"_id":"a","type":"user","block":"true","applied_to":"others","applied_to_unidentified":1,"variables":"x","response":7},
		{"_id":"a","type":"regex","block":true},{"_id":7,"type":"company","block":true,"variables":[7,{"name":""}]},{"_id":"z","type":"quantum"}]`))
	require.NoError(t, err)
	require.Len(t, r.list, 2)
	assert.Equal(t, rule{id: "a", kind: userRule, match: match{always: true}, answer: answer{status: 429}}, r.list[0])
	assert.Equal(t, rule{id: "7", kind: companyRule, block: true, match: match{always: true}, answer: answer{status: 429}}, r.list[1])
	assert.Equal(t, "rule 1 has no _id or no type; it is ignored (and 11 more)", p.String())

	many, p, err := parseRules([]byte(manyRules(maxRules + 5)))
	require.NoError(t, err)
	assert.Len(t, many.list, maxRules)
	assert.Equal(t, 5, p.count, p.first)
	c, p, err = parseConfig([]byte(`{"user_rules":{"u":[` + strings.Repeat(`{"rules":"r"},`, maxEntries) + `{"rules":"last"}]}}`))
	require.NoError(t, err)
	assert.Len(t, c.userRules["u"].memberships, maxEntries)
	assert.True(t, c.userRules["u"].unreadable)
	assert.Equal(t, 1, p.count)

	for _, document := range []string{`[1,2]`, `[{"error":"x"}]`} {
		_, _, err = parseRules([]byte(document))
		require.ErrorIs(t, err, errNotRules, document)
	}
	for _, document := range []string{`{"user_rules":7}`, `{"company_rules":"x"}`, `{"user_rules":[1]}`} {
		_, _, err = parseConfig([]byte(document))
		require.ErrorContains(t, err, "is not an object", document)
	}
	for _, document := range []string{`{}`, ` {"user_rules":[],"company_rules":[],"user_sample_rate":[]}`, "\xef\xbb\xbf{}", `{"app_id":null}`} {
		_, p, err = parseConfig([]byte(document))
		require.NoError(t, err, document)
		assert.Empty(t, p.String())
	}
}
