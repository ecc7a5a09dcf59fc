package moesif

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An eventJSON is an event as a collector reads it.
type eventJSON struct {
	Request, Response struct {
		APIVersion       string `json:"api_version"`
		Headers          map[string]string
		Body             any
		TransferEncoding string `json:"transfer_encoding"`
	}
	UserID        string `json:"user_id"`
	CompanyID     string `json:"company_id"`
	SessionToken  string `json:"session_token"`
	TransactionID string `json:"transaction_id"`
	BlockedBy     string `json:"blocked_by"`
	Weight        int
}

// capturing returns a configuration whose events reach a collector, and a function that waits for them. There are no rates
// and no rules.
func capturing(t *testing.T, config string, flags ...string) (c *Config, events func(n int) []eventJSON) {
	t.Helper()
	return governed(t, config, `{}`, `[]`, flags...)
}

// governed is capturing under what the collector answers to /v1/config and /v1/rules, which are known when it returns.
func governed(t *testing.T, config, remoteConfig, rules string, flags ...string) (c *Config, events func(n int) []eventJSON) {
	t.Helper()
	url, got := serveBatches(t, created, map[string]string{"/v1/config": remoteConfig, "/v1/rules": rules})
	capture := newTestCapture(t)
	parseFlags(t, capture, flags...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own has ended by now
		defer cancel()
		assert.NoError(t, capture.Close(ctx))
	})
	c = configOf(t, capture, fmt.Sprintf(`{"application_id":"a","api_endpoint":%q,"flush_after_ms":10,"connect_timeout":60000,"send_timeout":60000%s}`, url, config))
	c.Prepare()
	app, done := c.lease.get(capture, c.settings())
	defer done()
	require.Eventually(t, func() bool { return app.rules().Known() }, time.Minute, time.Millisecond)
	return c, func(n int) (list []eventJSON) {
		t.Helper()
		require.Eventually(t, func() bool {
			list = nil
			for _, b := range got() {
				for _, e := range b.events {
					var one eventJSON
					if !assert.NoError(t, json.Unmarshal(e, &one)) {
						return true
					}
					list = append(list, one)
				}
			}
			return len(list) >= n
		}, time.Minute, 5*time.Millisecond)
		require.Len(t, list, n)
		return list
	}
}

// logOf is Kong's log entry of a request, with the transaction header that the upstream got.
func logOf(k *fakeKong, rest string) string {
	return fmt.Sprintf(`{"request":{"id":"req-1","url":"http://h:80/","method":"POST","headers":{"content-type":"application/json","x-moesif-transaction-id":%q,"authorization":"REDACTED"}},
		"response":{"status":200,"headers":{"content-type":"application/json"}}%s}`, k.vars[transactionVariable], rest)
}

func TestAWholeRequest(t *testing.T) {
	c, events := capturing(t, "")
	k := newFakeKong(t)
	k.buffered = true
	k.requestBody = &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte(`{"q":1}`)}}
	k.responseBody = []byte(`{"a":2}`)
	k.headers = map[string]any{"authorization": "Bearer " + jwt(`{"sub":"ann"}`)}
	k.credential = map[string]any{"key": "k-1", "id": "cred"}

	k.run("access", c.Access)
	id := k.toUpstream[transactionHeaderSent]
	assert.Len(t, id, 36)
	assert.Equal(t, id, k.responseHeader[transactionHeaderSent])
	delete(k.responseHeader, transactionHeaderSent)
	k.run("response", c.Response)
	assert.Equal(t, id, k.responseHeader[transactionHeaderSent], "what the upstream sent under that name is replaced")
	k.log = logOf(k, `,"authenticated_entity":{"id":"cred"}`)
	k.run("log", c.Log)

	e := events(1)[0]
	assert.Equal(t, id, e.TransactionID)
	assert.Equal(t, map[string]any{"q": 1.0}, e.Request.Body)
	assert.Equal(t, map[string]any{"a": 2.0}, e.Response.Body)
	assert.Equal(t, "ann", e.UserID)
	assert.Equal(t, "k-1", e.SessionToken)
	assert.Equal(t, redacted, e.Request.Headers["authorization"], "a token is read, not sent")
}

// What each phase asks of Kong, and tells it: every call costs time.
func TestCalls(t *testing.T) {
	const (
		theirID = " nginx.get_var " + transactionVariable
		setID   = "access service.request.set_header"
		setHead = " response.set_header"
		accept  = "access nginx.get_var http_accept"
		media   = "access nginx.get_var http_content_type"
		method  = "access nginx.get_var request_method"
		length  = "access nginx.get_var http_content_length"
		id      = " nginx.get_var kong_request_id"
		isOn    = " nginx.get_ctx buffered_proxying"
		turn    = "access nginx.set_ctx"
		body    = " request.get_raw_body"
		log     = "log log.serialize"
		answer  = "log service.response.get_raw_body"
		noID    = `,"disable_transaction_id":true`
	)
	list := func(calls ...string) []string { return calls }
	for _, c := range []struct {
		name, config, log string
		flags             []string
		clientID          string
		notBuffered       bool
		want              []string
	}{
		{name: "full", want: list("access"+theirID, accept, media, method, setID, "access"+setHead,
			"response"+id, "response"+body, "response"+theirID, "response"+setHead, log, answer, "log request.get_header authorization")},
		{name: "the client has an id", log: `,"consumer":{"id":"i"}`, clientID: "x", want: list("access"+theirID, accept, media, method, "access"+setHead,
			"response"+id, "response"+body, "response"+theirID, "response"+setHead, log, answer)},
		{name: "no ids", config: noID + `,"authorization_header_name":""`, want: list(accept, media, method, "response"+id, "response"+body, log, answer)},
		{name: "buffering left alone", config: noID, flags: list("-buffer", "always"), log: `,"consumer":{"id":"i"}`,
			want: list("response"+id, "response"+body, log, answer)},
		{name: "no bodies", config: noID + `,"disable_capture_request_body":true,"disable_capture_response_body":true`, log: `,"consumer":{"id":"i"}`,
			want: list(turn, log)},
		{name: "no bodies, an id", config: `,"disable_capture_request_body":true,"disable_capture_response_body":true`, log: `,"consumer":{"id":"i"}`,
			want: list("access"+theirID, "access"+isOn, setID, "access"+setHead, turn, log)},
		{name: "response bodies alone", config: noID + `,"disable_capture_request_body":true`, log: `,"consumer":{"id":"i"}`,
			want: list(accept, media, method, "response"+id, log, answer)},
		{name: "request bodies alone", config: noID + `,"disable_capture_response_body":true`, log: `,"consumer":{"id":"i"}`,
			want: list(media, length, method, "access"+isOn, "access"+body, "access"+id, turn, log)},
		{name: "answered by Kong", config: noID, log: `,"consumer":{"id":"i"},"authenticated_entity":{"id":"c"}`, notBuffered: true,
			want: list(accept, media, method, log, "log nginx.get_ctx "+credentialKey)},
		{name: "log alone", flags: list("-phases", "log"), log: `,"consumer":{"id":"i"}`, want: list(log)},
		{name: "without response", config: noID, flags: list("-phases", "access,log"), log: `,"consumer":{"id":"i"}`,
			want: list(media, length, method, "access"+body, "access"+id, log)},
		{name: "on demand", config: noID, flags: list("-phases", "access,log", "-buffer", "on-demand"), log: `,"consumer":{"id":"i"}`,
			want: list(accept, media, length, method, "access"+body, "access"+id, turn, log, "log"+isOn, answer)},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, events := capturing(t, c.config, c.flags...)
			m := config.capture.started()
			k := newFakeKong(t)
			k.vars[transactionVariable] = c.clientID
			k.requestBody = &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte(`{"q":1}`)}}
			k.context[bufferingKey] = m.buffersAll()
			if m.has("access") {
				k.run("access", config.Access)
			}
			if k.buffered = !c.notBuffered && k.context[bufferingKey] == true; k.buffered && m.has("response") {
				k.run("response", config.Response)
			}
			k.log = logOf(k, c.log)
			k.run("log", config.Log)
			assert.Equal(t, c.want, k.calls)
			events(1)
		})
	}
}

// Kong does not wait for a response handler that tells it nothing: log finds the request's body all the same.
func TestLogBeforeTheBodyIsKept(t *testing.T) {
	c, events := capturing(t, `,"disable_transaction_id":true`)
	asked, release, serialized := make(chan struct{}), make(chan struct{}), make(chan struct{})
	first, second := newFakeKong(t), newFakeKong(t)
	first.requestBody = &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte(`{"q":1}`)}}
	first.before = func(method string) {
		if method == "kong.request.get_raw_body" {
			close(asked)
			<-release
		}
	}
	second.log, second.buffered, second.responseBody = logOf(second, ""), true, []byte(`{"a":2}`)
	second.before = func(method string) {
		if method == "kong.log.serialize" {
			close(serialized)
		}
	}
	var both sync.WaitGroup
	both.Go(func() { first.run("response", c.Response) })
	<-asked
	both.Go(func() { second.run("log", c.Log) })
	<-serialized
	time.Sleep(30 * time.Millisecond) // log looks for the body, and it is not there
	close(release)
	both.Wait()
	e := events(1)[0]
	assert.Equal(t, map[string]any{"q": 1.0}, e.Request.Body)
	assert.Equal(t, map[string]any{"a": 2.0}, e.Response.Body)
}

// D21.
func TestClientsTransactionIDD21(t *testing.T) {
	c, events := capturing(t, "")
	for sent, kept := range map[string]bool{"my-id": true, "a, b": true, "  ": false, "a\xff": false, strings.Repeat("x", 1000): false} {
		k := newFakeKong(t)
		k.vars[transactionVariable] = sent
		k.run("access", c.Access)
		if kept {
			assert.NotContains(t, k.toUpstream, transactionHeaderSent)
			assert.Equal(t, sent, k.responseHeader[transactionHeaderSent])
		} else {
			assert.Len(t, k.toUpstream[transactionHeaderSent], 36, "sent %q", sent)
			assert.Equal(t, k.toUpstream[transactionHeaderSent], k.responseHeader[transactionHeaderSent])
		}
	}
	k := newFakeKong(t)
	k.vars[transactionVariable] = "my-id"
	k.log = logOf(k, "")
	k.run("log", c.Log)
	assert.Len(t, events(1)[0].TransactionID, 36, "the event has an id of its own")
}

// Bodies that Kong has spooled to a file are read from it, up to the limit; one that cannot be read costs only itself.
func TestSpooledBody(t *testing.T) {
	folder := t.TempDir()
	spooled := func(name, content string) *kong_plugin_protocol.RawBodyResult {
		path := filepath.Join(folder, name)
		if content != "" {
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		}
		return &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: path}}
	}
	large := `{"data":"` + strings.Repeat("x", 20000) + `"}`
	for _, c := range []struct {
		name string
		body *kong_plugin_protocol.RawBodyResult
		want any
	}{
		{"20 KB", spooled("a", large), map[string]any{"data": strings.Repeat("x", 20000)}},
		{"over the limit", spooled("b", strings.Repeat("x", 30001)), nil},
		{"gone", spooled("missing", ""), nil},
		{"refused by Kong", &kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Error{Error: "no"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, events := capturing(t, `,"request_max_body_size_limit":30000`)
			k := newFakeKong(t)
			k.requestBody, k.buffered = c.body, true
			k.run("response", config.Response)
			k.log = logOf(k, "")
			k.run("log", config.Log)
			assert.Equal(t, c.want, events(1)[0].Request.Body)
		})
	}
}

func TestUnreadableBodyIsSaid(t *testing.T) {
	said := make(chan string, 100)
	capture := NewCapture(func(_, text string) { said <- text })
	t.Cleanup(func() { _ = capture.Close(t.Context()) })
	c := configOf(t, capture, `{"application_id":"a","api_endpoint":"file://`+t.TempDir()+`/events.ndjson"}`)
	k := newFakeKong(t)
	gone := &kong_plugin_protocol.RawBodyResult_BodyFilepath{BodyFilepath: filepath.Join(t.TempDir(), "gone")}
	k.requestBody, k.buffered = &kong_plugin_protocol.RawBodyResult{Kind: gone}, true
	k.run("response", c.Response)
	for text := range said {
		if strings.Contains(text, "the request's body cannot be read: ") {
			return
		}
	}
}

// A response that is certainly over the limit does not cross the socket.
func TestLargeResponseIsNotAsked(t *testing.T) {
	for log, want := range map[string]bool{
		`{"request":{"id":"req-1"},"response":{"size":946,"headers":{"content-length":"100"}}}`:    true,
		`{"request":{"id":"req-1"},"response":{"size":946,"headers":{"content-length":"100001"}}}`: false,
		`{"request":{"id":"req-1"},"response":{"size":400000,"headers":{}}}`:                       false,
		`{"request":{"id":"req-1"},"response":{"size":150000,"headers":{}}}`:                       true, // headers and chunks are in it
	} {
		config, events := capturing(t, "")
		k := newFakeKong(t)
		k.buffered = true
		k.run("response", config.Response)
		k.log = log
		k.run("log", config.Log)
		events(1)
		assert.Equal(t, want, strings.Contains(strings.Join(k.calls, " "), "log service.response.get_raw_body"), log)
	}
}

func TestLostConnection(t *testing.T) {
	c, _ := capturing(t, "")
	k := newFakeKong(t)
	k.serializeFail = true
	k.run("log", c.Log)
	assert.Equal(t, 1.0, droppedBy(t, c.capture, dropUnread))
}

func TestBadConfigurationAsksNothing(t *testing.T) {
	c := configOf(t, newTestCapture(t), `{"application_id":"a","batch_size":-1}`)
	k := newFakeKong(t)
	k.run("access", c.Access)
	k.run("response", c.Response)
	k.run("log", c.Log)
	assert.Empty(t, k.calls)
	assert.Equal(t, 1.0, counterValue(t, c.capture.stats.configErrors))
	assert.Equal(t, 1.0, counterValue(t, c.capture.stats.received))
	assert.Equal(t, 1.0, droppedBy(t, c.capture, dropConfig), "an event that is not captured is counted")
}

// D27. Configurations come and go; an application stays, and each application is its own.
func TestApplicationsAreIsolatedD27(t *testing.T) {
	capture := newTestCapture(t)
	config := func(application, endpoint string, batch int) *Config {
		return configOf(t, capture, fmt.Sprintf(`{"application_id":%q,"api_endpoint":%q,"batch_size":%d}`, application, endpoint, batch))
	}
	of := func(c *Config) *application {
		a, done := c.lease.get(capture, c.settings())
		done()
		return a
	}
	const base, other = "http://127.0.0.1:1", "http://127.0.0.1:2"
	a := config("application-0123456789", base, 10)
	first := of(a)
	assert.Same(t, first, of(a))
	assert.Same(t, first, of(config("application-0123456789", base+"/", 20)), "a trailing slash is no difference")
	second := of(config("Application-0123456789", base, 10))
	for _, b := range []*application{second, of(config("application-0123456789", other, 10))} {
		assert.NotSame(t, first.queue, b.queue, "the whole id counts, and the collector")
		assert.NotSame(t, first.source, b.source)
	}
	a.Close()
	a.Close()
	assert.Same(t, first, of(a), "a late event still finds its queue")
	require.NoError(t, capture.Close(t.Context()))
	assert.False(t, first.queue.Add([]byte("late")))
}

// Two applications that have trouble with one collector are two troubles: the line of one does not swallow the other's.
func TestEachQueueSaysWhatItDrops(t *testing.T) {
	causes := map[string]bool{}
	var mu sync.Mutex
	capture := NewCapture(func(cause, text string) {
		mu.Lock()
		defer mu.Unlock()
		causes[cause] = true
		assert.NotContains(t, cause+text, "application-")
	})
	for _, application := range []string{"application-1", "application-2"} {
		c := configOf(t, capture, fmt.Sprintf(`{"application_id":%q,"api_endpoint":"http://127.0.0.1:1","queue_max_bytes":1048576}`, application))
		a, done := c.lease.get(capture, c.settings())
		defer done()
		assert.False(t, a.queue.Add(make([]byte, 2<<20)))
	}
	require.NoError(t, capture.Close(t.Context()))
	assert.True(t, causes["dropped of application 1"] && causes["dropped of application 2"], "%v", causes)
}
