package datakit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/redistest"
)

// Whatever clients and services send, each request gets its answer, and the process that answers stays the same.
func TestHostileRequests(t *testing.T) {
	var reached atomic.Int64
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			reached.Add(1)
		}
		http.Redirect(w, r, r.FormValue("to"), http.StatusFound)
	}))
	t.Cleanup(redirect.Close)
	redis := redistest.Start(t)
	redis.Hang()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	token := func(alg, secret string) string {
		part := base64.RawURLEncoding.EncodeToString
		signed := part([]byte(`{"alg":"`+alg+`"}`)) + "." + part([]byte(`{"sub":"admin"}`))
		if secret == "" {
			return signed + "."
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(signed))
		return signed + "." + part(mac.Sum(nil))
	}
	const back = "\n- {name: E, type: exit, inputs: {body: A}}"
	g := startGateway(t, nil, map[string]string{
		"body": "debug: true\nnodes:\n- {name: A, type: jq, jq: '{b: .}', input: request.body}" + back,
		"deep": "debug: true\nnodes:\n- {name: A, type: jq, jq: '[[[.]]]', input: request.body}" + back,
		"for":  "debug: true\nnodes:\n- {name: A, type: jq, jq: '[range(.n)] | length', input: request.body}" + back,
		"xml":  "debug: true\nnodes:\n- {name: A, type: xml_to_json, attributes_name_prefix: '@', input: request.body}" + back,
		"json": "debug: true\nnodes:\n- {name: X, type: json_to_xml, attributes_name_prefix: '@', input: request.body}\n- {name: A, type: jq, jq: 'length', input: X}" + back,
		"jwt": "debug: true\nresources: {vault: {k: " + fmt.Sprintf("%q", public) + "}}\nnodes:\n" +
			"- {name: A, type: jwt_verify, inputs: {token: request.headers.authorization, key: vault.k}}\n- {name: E, type: exit, inputs: {body: A.claims}}",
		"url":      "debug: true\nnodes:\n- {name: A, type: call, inputs: {url: request.query.u}}\n- {name: E, type: exit, inputs: {body: A.body}}",
		"redirect": "debug: true\nnodes:\n- {name: A, type: call, url: '" + redirect.URL + "', inputs: {query: request.query}}\n- {name: E, type: exit, inputs: {body: A.body}}",
		"cache": fmt.Sprintf("debug: true\nresources: {cache: {strategy: redis, redis: {host: 127.0.0.1, port: %d, connect_timeout: 100, send_timeout: 100, read_timeout: 100}}}\n", redis.Port) +
			"nodes:\n- {name: K, type: static, values: {k: a}}\n- {name: A, type: cache, inputs: {key: K.k}}" + back,
	})
	require.Equal(t, 200, g.Send("POST", "/body", "{}").Status)
	before := g.Children("datakit")
	require.NotEmpty(t, before)

	const json = "application/json"
	for _, c := range []struct {
		name, path, body, typ string
		status                int
		want                  string
	}{
		{"bytes that are not UTF-8", "/body", "{\"a\":\"\xff\xfe\",\"\xc3\":1}", json, 200, `{"b":{"a":"��","�":1}}`},
		{"bytes that are no text", "/body", "\x00\xff\x80", "application/octet-stream", 200, "b"},
		{"broken JSON", "/body", "{\"a\":", json, 500, "the request's body: not JSON: it ends too early"},
		{"two values", "/body", "{} {}", json, 500, "more than one value"},
		{"a deep body", "/body", strings.Repeat("[", 9000) + strings.Repeat("]", 9000), json, 200, "[[["},
		{"a deeper one", "/body", strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000), json, 500, "not JSON: wrong at byte 10001"},
		{"a huge one", "/body", strings.Repeat("x", 9<<20), "text/plain", 500, "more than max_body_bytes (8388608)"},
		{"a long number", "/body", "[" + strings.Repeat("7", 1_000_000) + "]", json, 500, "a number has more than 1000 characters"},
		{"a loop as long as the client says", "/for", `{"n": 1e300}`, json, 500, "the program ran longer than 1s"},
		{"a value that a program makes too deep", "/deep", strings.Repeat("[", 9999) + strings.Repeat("]", 9999), json, 500, "the result is nested deeper than 10000 levels"},
		{"XML with entities", "/xml", `<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;">]><a>&y;</a>`, "text/xml", 500, "document type definitions are refused"},
		{"XML with a file", "/xml", `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`, "text/xml", 500, "document type definitions are refused"},
		{"deep XML", "/xml", strings.Repeat("<a>", 100_000), "text/xml", 500, "more than 512 elements inside each other"},
		{"broken XML", "/xml", "<a><b></a>", "text/xml", 500, "line 1"},
		{"a value too deep for XML", "/json", strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), json, 500, "more than 512 values inside each other"},
		{"a token without a signature", "/jwt", "", "Bearer " + token("none", ""), 500, "the header names no known algorithm"},
		{"a token whose secret is the public key", "/jwt", "", "Bearer " + token("HS256", public), 500, "algorithm HS256 does not fit the key, which is an EC key"},
		{"no token", "/jwt", "", "", 500, "token: is null"},
		{"an address of a metadata service", "/url?u=" + url.QueryEscape("http://169.254.169.254/latest/meta-data/"), "", "", 500, "link-local"},
		{"a name of this machine", "/url?u=http://localhost:1/", "", "", 500, "loopback"},
		{"another spelling of it", "/url?u=http://2130706433/", "", "", 500, "neither a name nor an address"},
		{"a redirect to a metadata service", "/redirect?to=" + url.QueryEscape("http://169.254.169.254/"), "", "", 500, "non-2XX response code: 302"},
		{"a redirect within", "/redirect?to=/further", "", "", 500, "non-2XX response code: 302"},
		{"a Redis that hangs", "/cache", "", "", 500, "redis: no answer in time"},
	} {
		headers := []string{"Content-Type", c.typ}
		if strings.HasPrefix(c.typ, "Bearer ") {
			headers = []string{"Authorization", c.typ}
		} else if c.typ == "" {
			headers = nil
		}
		r := g.Send("POST", c.path, c.body, headers...)
		assert.Equal(t, c.status, r.Status, "%s: %.300s", c.name, r.Body)
		assert.Contains(t, r.Body, c.want, c.name)
	}
	assert.Zero(t, reached.Load(), "no redirect is followed")
	assert.Equal(t, 200, g.Send("POST", "/body", "{}").Status)
	assert.Equal(t, before, g.Children("datakit"), "the process is the one that it was")
	assert.NotContains(t, g.Log(), "admin")
}
