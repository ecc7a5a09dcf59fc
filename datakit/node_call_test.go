package datakit

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A seen request is what a service got.
type seen struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

// startService starts a service that remembers the last request and answers as its query says.
func startService(t *testing.T) (url string, last *seen) {
	last = &seen{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*last = seen{r.Method, r.RequestURI, r.Host, string(body), r.Header.Clone()}
		for _, name := range []string{"Accept-Encoding", "Content-Length", "User-Agent"} {
			if name != "User-Agent" || last.Header.Get(name) == "datakit" {
				last.Header.Del(name)
			}
		}
		q := r.URL.Query()
		if q.Has("type") {
			w.Header().Set("Content-Type", q.Get("type"))
		}
		w.Header()["X-Many"] = []string{"a", "b"}
		w.Header().Set("Location", "/elsewhere")
		if status := q.Get("status"); status != "" {
			n := 0
			fmt.Sscan(status, &n)
			w.WriteHeader(n)
		}
		_, _ = io.WriteString(w, q.Get("body"))
	}))
	t.Cleanup(s.Close)
	return s.URL, last
}

// resultOf runs the access phase and returns what the node OUT has come to.
func resultOf(t *testing.T, text string, request Message) (any, *Outcome) {
	t.Helper()
	p, err := compileText(t, text)
	require.NoError(t, err)
	h := &testHost{request: request}
	o := p.Access(t.Context(), h, false)
	return h.properties["kong.ctx.shared.out"], o
}

const putOut = "\n- {name: PUT, type: property, property: kong.ctx.shared.out, input: OUT}"

func TestCallSends(t *testing.T) {
	t.Parallel()
	url, last := startService(t)
	for _, c := range []struct {
		name, node, program string // the inputs of the call come from the program
		want                seen
	}{
		{"the least", "", "{}", seen{"GET", "/p?a=1", "", "", http.Header{}}},
		{"a query in place of the URL's", "", `{query: {b: "x y", c: [1, true], d: null}}`, seen{"GET", "/p?b=x+y&c=1&c=true&d", "", "", http.Header{}}},
		{"an empty query", "", `{query: {}}`, seen{"GET", "/p", "", "", http.Header{}}},
		{"JSON", "method: POST, ", `{body: {a: [1, 12345678901234567890]}}`,
			seen{"POST", "/p?a=1", "", `{"a":[1,12345678901234567890]}`, http.Header{"Content-Type": {"application/json"}}}},
		{"text", "method: PUT, ", `{body: "text"}`, seen{"PUT", "/p?a=1", "", "text", http.Header{}}},
		{"false is a body", "method: POST, ", `{body: false}`, seen{"POST", "/p?a=1", "", "false", http.Header{"Content-Type": {"application/json"}}}},
		{"a form", "method: POST, ", `{body: {b: ["1", 2], a: "x&y"}, headers: {"content-type": "application/x-www-form-urlencoded"}}`,
			seen{"POST", "/p?a=1", "", "a=x%26y&b=1&b=2", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}},
		{"a form as text", "method: POST, ", `{body: "grant_type=client_credentials", headers: {"Content-Type": "application/x-www-form-urlencoded"}}`,
			seen{"POST", "/p?a=1", "", "grant_type=client_credentials", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}},
		{"JSON of another type", "method: PATCH, ", `{body: [1], headers: {"Content-Type": "application/json-patch+json"}}`,
			seen{"PATCH", "/p?a=1", "", "[1]", http.Header{"Content-Type": {"application/json-patch+json"}}}},
		{"headers", "", `{headers: {"X-Bool": true, "x-number": 1.5, "X-List": ["a", 2], "X-Null": null, Host: "other.example.org", Connection: "close", "Content-Length": "7"}}`,
			seen{"GET", "/p?a=1", "other.example.org", "", http.Header{"X-Bool": {"true"}, "X-Number": {"1.5"}, "X-List": {"a", "2"}}}},
		{"no agent", "", `{headers: {"User-Agent": null}}`, seen{"GET", "/p?a=1", "", "", http.Header{}}},
		{"a URL", "", fmt.Sprintf(`{url: "%s/other?z=1", query: {y: 2}}`, url), seen{"GET", "/other?y=2", "", "", http.Header{}}},
		{"a URL that is null", "", `{url: null}`, seen{"GET", "/p?a=1", "", "", http.Header{}}},
	} {
		_, o := resultOf(t, fmt.Sprintf(`
- {name: IN, type: jq, jq: '%s'}
- {name: OUT, type: call, %s url: "%s/p?a=1", input: IN}`, c.program, c.node, url), Message{})
		require.Nil(t, o.Failure, c.name)
		if c.want.Host == "" {
			c.want.Host = strings.TrimPrefix(url, "http://")
		}
		assert.Equal(t, c.want, *last, c.name)
	}
}

func TestCallGives(t *testing.T) {
	t.Parallel()
	url, _ := startService(t)
	for _, c := range []struct{ query, want string }{
		{"body=text&type=text/plain", `["text","text",200]`},
		{`body={"n":1.10}&type=application/json`, `[{"n":1.10},"{\"n\":1.10}",200]`},
		{`body=[1]&type=application/problem%2Bjson%3Bcharset=utf-8&status=201`, `[[1],"[1]",201]`},
		{"type=application/json", `[null,"",200]`},
		{"status=204", `[null,"",204]`},
	} {
		v, o := resultOf(t, fmt.Sprintf(`
- {name: CALL, type: call, url: '%s/?%s'}
- {name: OUT, type: jq, jq: '[.body, .raw_body, .status]', input: CALL}`, url, c.query)+putOut, Message{})
		require.Nil(t, o.Failure, c.query)
		text, err := encodeJSON(v)
		require.NoError(t, err)
		assert.Equal(t, c.want, string(text), c.query)
	}
	v, _ := resultOf(t, "\n- {name: CALL, type: call, url: '"+url+"'}\n- {name: OUT, type: jq, jq: '.headers[\"X-Many\"], keys', input: CALL}"+putOut, Message{})
	assert.Equal(t, []any{"a", "b"}, v)
	v, _ = resultOf(t, "\n- {name: CALL, type: call, url: '"+url+"'}\n- {name: OUT, type: jq, jq: 'keys', input: CALL}"+putOut, Message{})
	assert.Equal(t, []any{"body", "headers", "raw_body", "status"}, v)
}

func TestCallFails(t *testing.T) {
	t.Parallel()
	url, _ := startService(t)
	for _, c := range []struct{ node, query, want string }{
		{"", "status=403&body=token-x", "non-2XX response code: 403"},
		{"", "status=302", "non-2XX response code: 302"},
		{"accept_status: ['200-299', 404], ", "status=500", "response code: 500 is not among those accepted: 200-299, 404"},
		{"", "type=application/json&body={token-x", "the response's body: not JSON: wrong at byte 2"},
		{"max_response_bytes: 5, ", "body=123456", "the response is larger than 5 bytes (max_response_bytes)"},
		{"inputs: {url: request.query.u}, ", "", "the input url names no host"},
		{"inputs: {url: request.query.loop}, ", "", `the host "localhost" is refused: it is this machine (loopback); what may be reached all the same belongs into allowed_hosts, by address`},
		{"inputs: {url: request.query.meta}, ", "", "link-local"},
		{"inputs: {url: request.query.meta}, denied_hosts: [169.254.0.0/16], ", "", "in denied_hosts"},
		{"inputs: {url: request.query.public}, allowed_hosts: [api.example.org], ", "", "not in allowed_hosts"},
		{"inputs: {http_proxy: request.query.proxy}, ", "", `the host "127.0.0.2" is refused`},
		{"inputs: {headers: request.query.u}, ", "", "expected map"},
	} {
		text := fmt.Sprintf(`{name: OUT, type: call, %s url: '%s/token-path?%s'}`, c.node, url, c.query)
		request := Message{RawQuery: "u=http:///&loop=http://localhost:1/&meta=http://169.254.169.254/latest&public=http://192.0.2.1/&proxy=http://127.0.0.2:1"}
		_, o := resultOf(t, "["+text+"]", request)
		require.NotNil(t, o.Failure, text)
		assert.Contains(t, o.Failure.Err.Error(), c.want, text)
		assert.NotContains(t, o.Failure.Error(), "token-")

		if c.want == "expected map" {
			continue // not the call's fault
		}
		text = strings.Replace(text, "type: call,", "type: call, on_error: continue,", 1)
		v, o := resultOf(t, "\n- "+text+putOut, request)
		require.Nil(t, o.Failure, text)
		assert.Contains(t, v.(map[string]any)["error"], c.want)
		if strings.Contains(c.query, "status=403") {
			assert.Equal(t, "token-x", v.(map[string]any)["body"], "what has arrived is there")
		}
	}
	v, o := resultOf(t, "\n- {name: OUT, type: call, on_error: continue, url: '"+url+"'}"+putOut, Message{})
	require.Nil(t, o.Failure)
	assert.Contains(t, v, "error")
	assert.Nil(t, v.(map[string]any)["error"])
}

// The host and port of a node's own URL may come from the request as well; other addresses may when they are allowed.
func TestCallToAllowedHosts(t *testing.T) {
	t.Parallel()
	url, last := startService(t)
	other, lastOther := startService(t)
	_, o := resultOf(t, fmt.Sprintf("\n- {name: OUT, type: call, url: '%s/static', inputs: {url: request.query.u}}", url), Message{RawQuery: "u=" + url + "/given"})
	require.Nil(t, o.Failure)
	assert.Equal(t, "/given", last.URI)
	_, o = resultOf(t, fmt.Sprintf("\n- {name: OUT, type: call, url: '%s/static', inputs: {url: request.query.u}}", url), Message{RawQuery: "u=" + other})
	require.NotNil(t, o.Failure, "another port is another service")
	_, o = resultOf(t, "\n- {name: OUT, type: call, allowed_hosts: [127.0.0.0/8], inputs: {url: request.query.u}}", Message{RawQuery: "u=" + other})
	require.Nil(t, o.Failure)
	assert.Equal(t, "/", lastOther.URI)
}

func TestCallRetries(t *testing.T) {
	t.Parallel()
	var tries atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if tries.Add(1)%3 != 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	for _, c := range []struct {
		node  string
		tries int
		fails bool
	}{
		{"", 1, true},
		{"retries: {count: 2, backoff_ms: 1}, ", 3, false},
		{"retries: {backoff_ms: 1}, ", 2, true},
		{"retries: {count: 2, on: [500]}, ", 1, true},
		{"method: POST, retries: {count: 2, backoff_ms: 1, any_method: true}, ", 3, false},
	} {
		tries.Store(0)
		_, o := resultOf(t, fmt.Sprintf("\n- {name: OUT, type: call, %s url: '%s'}", c.node, s.URL), Message{})
		assert.Equal(t, c.fails, o.Failure != nil, c.node)
		assert.EqualValues(t, c.tries, tries.Load(), c.node)
	}
}

// The workflow's time is the end of every wait.
func TestCallWithinTheBudget(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(s.Close)
	for _, c := range []struct{ plan, node, want string }{
		{"timeout_ms: 50, ", "", "the workflow took longer than 50ms (timeout_ms)"},
		{"timeout_ms: 50, ", "on_error: continue, retries: {count: 9}, ", "the workflow took longer than 50ms (timeout_ms)"},
		{"", "timeout: 50, ", "no answer from " + strings.TrimPrefix(s.URL, "http://") + " within 50ms"},
	} {
		began := time.Now()
		_, o := resultOf(t, fmt.Sprintf("{%s nodes: [{name: OUT, type: call, %s url: '%s'}]}", c.plan, c.node, s.URL), Message{})
		require.NotNil(t, o.Failure, c.node)
		assert.Equal(t, c.want, o.Failure.Err.Error())
		assert.Less(t, time.Since(began), 20*time.Second)
	}
}

func TestCallConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ node, want string }{
		{"", "url (C): required, unless the input url is connected"},
		{"url: x", "url (C): has no scheme"},
		{"url: 'ftp://x'", "url (C): is neither http nor https"},
		{"url: 'http://x', method: post", "method (C): \"post\" is no method"},
		{"url: 'http://x', timeout: -1", "timeout (C): -1 is not a whole number"},
		{"url: 'http://x', ssl_verify: 1", "ssl_verify (C): expected true or false"},
		{"url: 'http://x', on_error: ignore", `on_error (C): "ignore" is none of fail, continue`},
		{"url: 'http://x', accept_status: 200", "accept_status (C): expected a list"},
		{"url: 'http://x', accept_status: ['2xx']", "accept_status[0] (C): expected a response code"},
		{"url: 'http://x', max_response_bytes: 0", "max_response_bytes (C): 0 is not a whole number"},
		{"url: 'http://x', retries: 3", "retries (C): expected an object"},
		{"url: 'http://x', retries: {count: 99}", "retries.count (C): 99 is not a whole number from 1 to 10"},
		{"url: 'http://x', retries: {delay: 1}", "retries.delay"},
		{"url: 'http://x', retries: {on: [1]}", "retries.on[0] (C): expected a response code"},
		{"url: 'http://x', method: POST, retries: {count: 1}", "retries (C): a request of method POST may do something twice"},
		{"url: 'http://x', allowed_hosts: ['http://y']", "allowed_hosts[0] (C): expected a host name"},
		{"url: 'http://x', denied_hosts: [10.0.0.0/33]", "denied_hosts[0] (C): expected a host name"},
		{"url: 'http://x', inputs: {http_proxy: 'ftp://p'}", "inputs.http_proxy (C): "},
		{"url: 'http://x', outputs: {error: service_request.body}", "error"},
	} {
		text := strings.TrimSuffix("[{name: C, type: call, "+c.node, ", ") + "}]"
		_, err := compileText(t, text)
		if assert.ErrorContains(t, err, c.want, text) {
			assert.NotContains(t, err.Error(), "defect")
		}
	}
}

// Calls carry the trace of the request that they are made for.
func TestCallPassesTheTraceOn(t *testing.T) {
	t.Parallel()
	url, last := startService(t)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for given, want := range map[string][]string{parent: {parent}, "": nil, "secret\r\nX: y": nil} {
		_, o := resultOf(t, "\n- {name: OUT, type: call, url: '"+url+"'}", Message{TraceParent: given})
		require.Nil(t, o.Failure)
		assert.Equal(t, want, last.Header["Traceparent"])
	}
	_, o := resultOf(t, "\n- {name: H, type: static, values: {h: {traceparent: own}}}\n- {name: OUT, type: call, url: '"+url+"', inputs: {headers: H.h}}", Message{TraceParent: parent})
	require.Nil(t, o.Failure)
	assert.Equal(t, []string{"own"}, last.Header["Traceparent"])
}

func TestCallWhereKongVerifiesTLS(t *testing.T) {
	t.Setenv("KONG_TLS_CERTIFICATE_VERIFY", "on")
	url, _ := startService(t)
	_, o := resultOf(t, "\n- {name: OUT, type: call, ssl_verify: false, url: '"+url+"'}", Message{})
	require.Nil(t, o.Failure, "there is no certificate to look at")
	_, o = resultOf(t, "\n- {name: OUT, type: call, ssl_verify: false, url: 'https://127.0.0.1:1/'}", Message{})
	require.NotNil(t, o.Failure)
	assert.EqualError(t, o.Failure.Err, "ssl_verify: false is not allowed where tls_certificate_verify of the gateway is on")
	_, o = resultOf(t, "\n- {name: OUT, type: call, url: 'https://127.0.0.1:1/'}", Message{})
	require.NotNil(t, o.Failure)
	assert.Contains(t, o.Failure.Error(), "connection refused")
}

// BenchmarkCalls is a hundred requests at a time, each with a call of 50 ms.
func BenchmarkCalls(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"token":"x"}`)
	}))
	b.Cleanup(s.Close)
	p := mustCompile(b, `
- {name: CALL, type: call, url: '`+s.URL+`'}
- {name: H, type: jq, jq: '{Authorization: ("Bearer " + .token)}', input: CALL.body, output: service_request.headers}`)
	b.ReportAllocs()
	began := time.Now()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if o := p.Access(b.Context(), &testHost{}, false); len(o.Service.Headers) != 1 {
					b.Error(o.Failure)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "requests/s")
}
