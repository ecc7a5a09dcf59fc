package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScreenEvent(t *testing.T) {
	e, err := readEvent(json.RawMessage(`{
		"request": {"time":"2026-03-01T10:20:30.045Z","uri":"https://h:8443/v2/orders?limit=5","verb":"POST","ip_address":"203.0.113.7",
			"headers":{"content-type":["application/json","x"]},"body":{"a": 1},"transfer_encoding":"json"},
		"response": {"time":"2026-03-01T10:20:30.172Z","status":201,"headers":{"content-type":"text/plain"},"body":"b2s=","transfer_encoding":"base64"},
		"user_id":"u-42","company_id":"c-7"}`))
	require.NoError(t, err)
	var b bytes.Buffer
	newScreen(&b).event(e, "✓", "an order")
	assert.Equal(t, `✓ 201 POST   /v2/orders?limit=5  user u-42  company c-7  an order
    request  application/json  from 203.0.113.7  {"a":1}
    response text/plain  127 ms  ok
`, b.String())
}

func TestScreenColoursAndCuts(t *testing.T) {
	s := &screen{colour: true, width: 40}
	assert.Equal(t, "\x1b[33m404\x1b[0m \x1b[31m503\x1b[0m \x1b[32m200\x1b[0m", s.status(404)+" "+s.status(503)+" "+s.status(200))
	assert.Equal(t, strings.Repeat("é", 29)+"…", s.fit(strings.Repeat("é", 80), 10))
	assert.Equal(t, "short", s.fit("short", 10))
}

func TestEventPath(t *testing.T) {
	for uri, want := range map[string]string{"http://h:1/a?b": "/a?b", "http://h": "/", "http://h?x": "?x", "odd": "odd"} {
		var e event
		e.Request.URI = uri
		assert.Equal(t, want, e.path())
	}
}

func TestHalfDescribe(t *testing.T) {
	text := func(s string) half {
		quoted, _ := json.Marshal(base64.StdEncoding.EncodeToString([]byte(s)))
		return half{Body: quoted, TransferEncoding: "base64"}
	}
	assert.Empty(t, half{}.describe())
	assert.Empty(t, text("").describe())
	assert.Equal(t, "hello", text("hello").describe())
	assert.Equal(t, "(2 bytes)", text("\xff\xfe").describe())
	assert.Equal(t, "(unreadable body)", half{Body: json.RawMessage(`"*"`), TransferEncoding: "base64"}.describe())
	assert.True(t, strings.HasPrefix(text(strings.Repeat("x", 5000)).describe(), "(5000 bytes) xxx"))
	for in, want := range map[string]string{
		`{"authorization":"Bearer abc.def"}`: `{"authorization":"Bearer ..."}`,
		"Authorization: basic dTpw rest":     "Authorization: basic ... rest",
		"a bearer of news":                   "a bearer ... news",
	} {
		assert.Equal(t, want, text(in).describe())
	}
}

// Captured traffic is anybody's text: nothing of it may reach the terminal as
// anything but printable characters on its own line.
func FuzzScreenEvent(f *testing.F) {
	f.Add("GET", "http://h/\x1b[2J", "a\r\nb", "\x00\u202e", []byte("\x1b]0;x\x07"))
	f.Fuzz(func(t *testing.T, verb, uri, user, kind string, body []byte) {
		raw, err := json.Marshal(map[string]any{
			"request":  map[string]any{"verb": verb, "uri": uri, "headers": map[string]any{"content-type": kind}, "body": body, "transfer_encoding": "base64"},
			"response": map[string]any{"status": 200},
			"user_id":  user, "company_id": user,
		})
		if err != nil {
			t.Fatal(err)
		}
		e, err := readEvent(raw)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		newScreen(&b).event(e, "", "")
		if n := strings.Count(b.String(), "\n"); n < 1 || n > 3 {
			t.Fatalf("%d lines: %q", n, b.String())
		}
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("unprintable %q in %q", r, b.String())
			}
		}
		for line := range strings.Lines(b.String()) {
			if utf8.RuneCountInString(line) > plainWidth+40+2*utf8.RuneCountInString(user)+utf8.RuneCountInString(verb) {
				t.Fatalf("line of %d characters", utf8.RuneCountInString(line))
			}
		}
	})
}

func TestCount(t *testing.T) {
	assert.Equal(t, "1 event, 2 events, 0 events", fmt.Sprint(count(1, "event"), ", ", count(2, "event"), ", ", count(0, "event")))
}
