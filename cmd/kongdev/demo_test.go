package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The project's main job: traffic through the gateway, captured by the plugin,
// received by the collector, every event complete.
func TestDemoOnce(t *testing.T) {
	dir := builtMoesif(t)
	code, stdout, stderr := runCommand(t, "-demo", "-once", "-v", "-plugins", dir, "-f", "../../examples/quickstart/kong.yml")
	require.Equal(t, 0, code, "stdout:\n%s\nstderr:\n%s", stdout, stderr)
	n := len(demoCalls())
	assert.Equal(t, n, strings.Count(stdout, "✓"))
	assert.Contains(t, stdout, fmt.Sprintf("%d requests, %d events: every event is complete", n, n))
	assert.Contains(t, stdout, "0 calls that kongdev does not know")
	assert.Contains(t, stdout, "user alice")
	assert.NotContains(t, stdout, "\x1b[", "no colour but on a terminal")
	assert.Contains(t, stderr, "├─ access of moesif: ")
	for _, secret := range []string{demoToken("alice"), "quickstart-application-id"} {
		assert.NotContains(t, stdout+stderr, secret)
	}
}

// Events that do not come make the demo fail, by name and with their number.
func TestDemoFailsWithoutEvents(t *testing.T) {
	st, err := start(t.Context(), settings{
		file: writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), `_format_version: "3.0"
services: [{url: "http://echo.kongdev", routes: [{paths: [/], strip_path: false}]}]
`, 0o600),
		listen: "127.0.0.1:0", admin: "off", workers: 1, ready: 10 * time.Second, patience: 500 * time.Millisecond,
	}, io.Discard)
	require.NoError(t, err)
	defer st.close()
	var out bytes.Buffer
	assert.Equal(t, 1, demo(t.Context(), st, true, newScreen(&out)))
	n := len(demoCalls())
	assert.Equal(t, n, strings.Count(out.String(), "✗"))
	assert.Contains(t, out.String(), "no event arrived for POST /orders")
	assert.Contains(t, out.String(), fmt.Sprintf("%d of %d events are missing or differ", n, n))
	assert.Contains(t, out.String(), fmt.Sprintf("0 of %d events arrived", n))
}

func TestFaultsOfACallWithoutEvent(t *testing.T) {
	c := demoCalls()[1]
	assert.Equal(t, []string{"no event arrived for POST /orders"}, c.faults(reply{status: 200}, nil))
	assert.Len(t, c.faults(reply{status: 404}, nil), 2)
}

// eventOf is the event that a call and its reply should make.
func eventOf(t *testing.T, c call, number int, responseBody string) json.RawMessage {
	t.Helper()
	body := "null"
	if c.body != nil {
		body = string(c.body)
	}
	return json.RawMessage(fmt.Sprintf(`{"request":{"verb":%q,"uri":"http://h:1%s","headers":{"x-demo-request":"%d"},"body":%s,"transfer_encoding":"json"},
		"response":{"status":%d,"body":%s,"transfer_encoding":"json"},"user_id":%q}`, c.method, c.path, number, body, c.status, responseBody, c.user))
}

func TestFaults(t *testing.T) {
	c := demoCalls()[1] // a JSON body with a number that no double holds
	good := reply{status: 200, body: []byte("{ \"ok\": true }")}
	tests := []struct {
		name     string
		reply    reply
		old, new string
		want     string
	}{
		{"complete", good, "", "", ""},
		{"method", good, "POST", "PUT", "method: the event has PUT, it was POST"},
		{"target", good, "h:1/orders", "h:1/order", "target: the event has /order, it was /orders"},
		{"status", good, `"status":200`, `"status":201`, "status: the event has 201, it was 200"},
		{"user", good, `"user_id":""`, `"user_id":"eve"`, "user: the event has eve, it was "},
		{"a digit lost", good, "12345678901234567890", "12345678901234567000", "request body: the event has 63 bytes that differ from the 63 there were"},
		{"body lost", good, `"body":{"sku":"A-1","qty":2,"gift":false,"price":12345678901234567890}`, `"body":""`, "request body: the event has 2 bytes that differ"},
		{"response body", good, `{"ok":true}`, `{"ok":false}`, "response body: the event has 12 bytes that differ from the 14 there were"},
		{"unreadable", good, `"body":{"ok":true},"transfer_encoding":"json"`, `"body":"*","transfer_encoding":"base64"`, "response body: unreadable"},
		{"client's status", reply{status: 500, body: good.body}, `"status":200`, `"status":500`, "the client got status 500, not 200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := string(eventOf(t, c, 1, `{"ok":true}`))
			if tt.old != "" {
				require.Contains(t, raw, tt.old)
				raw = strings.Replace(raw, tt.old, tt.new, 1)
			}
			e, err := readEvent(json.RawMessage(raw))
			require.NoError(t, err)
			faults := strings.Join(c.faults(tt.reply, &e), "\n")
			if tt.want == "" {
				assert.Empty(t, faults)
			} else {
				assert.Contains(t, faults, tt.want)
			}
		})
	}
}

func TestSortEvents(t *testing.T) {
	c := demoCalls()[0]
	found, extra := sortEvents([]json.RawMessage{
		eventOf(t, c, 1, "{}"), eventOf(t, c, 0, "{}"), eventOf(t, c, 1, "{}"), eventOf(t, c, 9, "{}"), json.RawMessage(`{}`), json.RawMessage(`[`),
	}, 3)
	assert.NotNil(t, found[0])
	assert.NotNil(t, found[1])
	assert.Nil(t, found[2])
	assert.Equal(t, 4, extra, "a second one, one of no call, two that are none")
}

func TestDemoCallsDiffer(t *testing.T) {
	abouts := map[string]bool{}
	large := false
	for _, c := range demoCalls() {
		abouts[c.about] = true
		large = large || len(c.body) > 20_000
	}
	assert.Len(t, abouts, len(demoCalls()))
	assert.True(t, large, "one is larger than what the gateway keeps in memory")
}
