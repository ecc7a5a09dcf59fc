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

	"kong-go-plugins/moesif/send"
)

// An eventJSON is an event as a collector reads it.
type eventJSON struct {
	Request, Response struct {
		Headers          map[string]string
		Body             any
		TransferEncoding string `json:"transfer_encoding"`
	}
	UserID        string `json:"user_id"`
	CompanyID     string `json:"company_id"`
	SessionToken  string `json:"session_token"`
	TransactionID string `json:"transaction_id"`
}

// capturing returns a configuration whose events reach a collector, and a function that waits for them.
func capturing(t *testing.T, config string) (c *Config, events func(n int) []eventJSON) {
	t.Helper()
	url, got := serveBatches(t, created)
	capture := newTestCapture(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // the test's own has ended by now
		defer cancel()
		assert.NoError(t, capture.Close(ctx))
	})
	c = configOf(t, capture, fmt.Sprintf(`{"application_id":"a","api_endpoint":%q,"flush_after_ms":10%s}`, url, config))
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
		}, 10*time.Second, 5*time.Millisecond)
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

// What each phase asks of Kong: every call costs time.
func TestCalls(t *testing.T) {
	const (
		setID    = "access kong.service.request.set_header"
		setHead  = "access kong.response.set_header"
		accessID = "access kong.nginx.get_var"
		variable = "response kong.nginx.get_var"
	)
	for _, c := range []struct {
		name, config, log string
		clientID          string
		notBuffered       bool
		want              []string
	}{
		{"full", "", "", "", false, []string{accessID, setID, setHead, "response kong.request.get_raw_body", variable, variable, "response kong.response.set_header",
			"log kong.log.serialize", "log kong.service.response.get_raw_body", "log kong.request.get_headers"}},
		{"the client has an id", "", `,"consumer":{"id":"i"}`, "x", false, []string{accessID, setHead, "response kong.request.get_raw_body", variable, variable, "response kong.response.set_header",
			"log kong.log.serialize", "log kong.service.response.get_raw_body"}},
		{"no ids", `,"disable_transaction_id":true,"authorization_header_name":""`, "", "", false,
			[]string{"response kong.request.get_raw_body", variable, "log kong.log.serialize", "log kong.service.response.get_raw_body"}},
		{"no bodies", `,"disable_capture_request_body":true,"disable_capture_response_body":true,"disable_transaction_id":true`, `,"consumer":{"id":"i"}`, "", false,
			[]string{"log kong.log.serialize"}},
		{"response bodies alone", `,"disable_capture_request_body":true,"disable_transaction_id":true`, `,"consumer":{"id":"i"}`, "", false,
			[]string{variable, "log kong.log.serialize", "log kong.service.response.get_raw_body"}},
		{"request bodies alone", `,"disable_capture_response_body":true,"disable_transaction_id":true`, `,"consumer":{"id":"i"}`, "", false,
			[]string{"response kong.request.get_raw_body", variable, "log kong.log.serialize"}},
		{"answered by Kong", `,"disable_transaction_id":true`, `,"consumer":{"id":"i"},"authenticated_entity":{"id":"c"}`, "", true,
			[]string{"log kong.log.serialize", "log kong.nginx.get_ctx"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, events := capturing(t, c.config)
			k := newFakeKong(t)
			k.vars[transactionVariable] = c.clientID
			k.run("access", config.Access)
			if k.buffered = !c.notBuffered; k.buffered {
				k.run("response", config.Response)
			}
			k.log = logOf(k, c.log)
			k.run("log", config.Log)
			assert.Equal(t, c.want, k.calls)
			events(1)
		})
	}
}

func TestClientsTransactionID(t *testing.T) {
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
		assert.Equal(t, want, strings.Contains(strings.Join(k.calls, " "), "log kong.service.response.get_raw_body"), log)
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

// Configurations come and go; the queue of an application stays, and one is made for each application.
func TestQueuesAreSharedByApplication(t *testing.T) {
	capture := newTestCapture(t)
	config := func(application, endpoint string, batch int) *Config {
		return configOf(t, capture, fmt.Sprintf(`{"application_id":%q,"api_endpoint":%q,"batch_size":%d}`, application, endpoint, batch))
	}
	queueOf := func(c *Config) *send.Queue {
		q, done := c.lease.get(capture, c.settings())
		done()
		return q
	}
	const base, other = "http://127.0.0.1:1", "http://127.0.0.1:2"
	a := config("application-0123456789", base, 10)
	first := queueOf(a)
	assert.Same(t, first, queueOf(a))
	assert.Same(t, first, queueOf(config("application-0123456789", base+"/", 20)), "a trailing slash is no difference")
	assert.Equal(t, 20, first.Settings().BatchEvents, "the newest configuration counts")
	assert.NotSame(t, first, queueOf(config("Application-0123456789", base, 10)), "the whole id counts")
	assert.NotSame(t, first, queueOf(config("application-0123456789", other, 10)))
	a.Close()
	a.Close()
	assert.Same(t, first, queueOf(a), "a late event still finds its queue")
	assert.Equal(t, 20, first.Settings().BatchEvents, "which does not bring the old settings back")
	require.NoError(t, capture.Close(t.Context()))
	assert.False(t, first.Add([]byte("late")))
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
		q, done := c.lease.get(capture, c.settings())
		defer done()
		assert.False(t, q.Add(make([]byte, 2<<20)))
	}
	require.NoError(t, capture.Close(t.Context()))
	assert.Len(t, causes, 2)
}
