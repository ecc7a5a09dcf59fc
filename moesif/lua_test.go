package moesif

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// A luaEvent is an event that Moesif's Lua plugin 2.1.2 posted, with what is needed to send its request again.
type luaEvent struct {
	raw     json.RawMessage
	Request struct {
		URI              string                     `json:"uri"`
		Verb             string                     `json:"verb"`
		Headers          map[string]json.RawMessage `json:"headers"`
		Body             json.RawMessage            `json:"body"`
		TransferEncoding string                     `json:"transfer_encoding"`
	} `json:"request"`
	Response struct {
		Status  int                        `json:"status"`
		Headers map[string]json.RawMessage `json:"headers"`
		Body    json.RawMessage            `json:"body"`
	} `json:"response"`
}

// luaEvents reads the recording: what the Lua plugin in a real Kong 3.9.1 posted to a collector, with debug on,
// user_id_header x-user, company_id_header x-company and a mask on x-hide.
func luaEvents(t *testing.T) (events []luaEvent) {
	t.Helper()
	recording, err := os.ReadFile("testdata/lua_plugin.jsonl")
	require.NoError(t, err)
	for line := range bytes.Lines(recording) {
		var post struct {
			URI  string          `json:"uri"`
			Body json.RawMessage `json:"body"`
		}
		require.NoError(t, json.Unmarshal(line, &post))
		if post.URI != "/v1/events/batch" {
			continue
		}
		var batch []json.RawMessage
		require.NoError(t, json.Unmarshal(post.Body, &batch))
		for _, raw := range batch {
			e := luaEvent{raw: raw}
			require.NoError(t, json.Unmarshal(raw, &e))
			events = append(events, e)
		}
	}
	require.Len(t, events, 8)
	return events
}

// luaDifferences are where our event may differ from the Lua plugin's, by path, each with its reason. A path that never
// differs fails the test: the list has no entry too many.
var luaDifferences = map[string]string{ // read-only
	`^request\.time$`:                           "three decimals and a Z; the Lua plugin writes 7 ms as .7",
	`^response\.time$`:                          "the same",
	`^request\.body$`:                           "no body is no member, and bodies over 8 KB are there",
	`^request\.transfer_encoding$`:              "goes with the body",
	`^request\.headers\.authorization$`:         "credentials are never sent",
	`^response\.headers\.X-Kong-PID$`:           "the Lua plugin adds it in debug mode",
	`^transaction_id$`:                          "the collector tells events by it that came twice",
	`^metadata\.kong\.(route_name|request_id)$`: "additions",
	`^(request|response)\.headers\.(date|x-kong-request-id|x-kong-(proxy|upstream)-latency|x-moesif-transaction-id|server|via|connection|content-length|transfer-encoding)$`: "of this request, or the gateway's",
}

// Whoever changes from the Lua plugin to this one finds the same events, but for what is listed.
func TestEventsOfTheLuaPlugin(t *testing.T) {
	recorded := luaEvents(t)
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.Header.Get("X-Case"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		e := recorded[i]
		for name, v := range e.Response.Headers {
			if name == "content-type" || name == "x-up" {
				w.Header().Set(name, luaText(v))
			}
		}
		w.WriteHeader(e.Response.Status)
		_, _ = w.Write(e.Response.Body)
	})
	g := kongdevtest.Start(t, kongdevtest.Options{Plugins: map[string]string{"moesif": builtPlugin}, Hosts: map[string]http.Handler{"up.test": upstream}, Config: `
_format_version: "3.0"
services:
- name: up
  url: http://up.test
  routes: [{name: all, paths: [/], strip_path: false}]
plugins:
- name: moesif
  config: {application_id: appid, api_endpoint: "http://collector.kongdev", debug: true, user_id_header: x-user,
    company_id_header: x-company, request_header_masks: [x-hide, x-case], flush_after_ms: 20, send_timeout: 60000, spool_dir: ""}
`})

	used := map[string]bool{}
	for i, e := range recorded {
		t.Run(strings.TrimPrefix(e.Request.URI, "http://127.0.0.1:8200"), func(t *testing.T) {
			g.Collector.Reset()
			g.Send(e.Request.Verb, strings.TrimPrefix(e.Request.URI, "http://127.0.0.1:8200"), luaBody(t, e), luaHeaders(e, i)...)
			ours, theirs := flatten(t, g.Events(1)[0]), flatten(t, e.raw)
			paths := map[string]bool{}
			for p := range ours {
				paths[p] = true
			}
			for p := range theirs {
				paths[p] = true
			}
			for p := range paths {
				if ours[p] == theirs[p] {
					continue
				}
				reason := luaDifference(p)
				assert.NotEmpty(t, reason, "%s is %s; the Lua plugin has %s", p, ours[p], theirs[p])
				used[reason] = true
			}
		})
	}
	for _, reason := range luaDifferences {
		assert.True(t, used[reason] || reason == "the same", "an accepted difference that there is not: %s", reason)
	}
}

func luaDifference(path string) string {
	for pattern, reason := range luaDifferences {
		if regexp.MustCompile(pattern).MatchString(path) {
			return reason
		}
	}
	return ""
}

// luaBody is the body that the client sent; the one over 8 KB, which the Lua plugin missed, is made up.
func luaBody(t *testing.T, e luaEvent) string {
	t.Helper()
	if e.Request.TransferEncoding == "json" {
		return string(e.Request.Body)
	}
	if e.Request.Body == nil {
		return `{"data":"` + strings.Repeat("x", 20011-len(`{"data":""}`)) + `"}`
	}
	b, err := base64.StdEncoding.DecodeString(luaText(e.Request.Body))
	require.NoError(t, err)
	return string(b)
}

func luaHeaders(e luaEvent, i int) []string {
	headers := []string{"X-Case", fmt.Sprint(i), "Host", "127.0.0.1:8200", "X-Hide", "secret"}
	for name, v := range e.Request.Headers {
		if !slices.Contains([]string{"host", "content-length", transactionHeader}, name) {
			headers = append(headers, name, strings.ReplaceAll(luaText(v), "\ufffd", "\xff")) // the byte that was sent
		}
	}
	return headers
}

func luaText(v json.RawMessage) string {
	var s string
	_ = json.Unmarshal(v, &s)
	return s
}

// flatten returns an event's members by path, the gateway's port taken out. The value of a body is one text.
func flatten(t *testing.T, event json.RawMessage) map[string]string {
	t.Helper()
	flat := map[string]string{}
	var walk func(prefix string, v json.RawMessage)
	walk = func(prefix string, v json.RawMessage) {
		var members map[string]json.RawMessage
		if !strings.HasSuffix(prefix, ".body") && json.Unmarshal(v, &members) == nil {
			for name, m := range members {
				walk(strings.TrimPrefix(prefix+"."+name, "."), m)
			}
			return
		}
		var compact bytes.Buffer
		require.NoError(t, json.Compact(&compact, v))
		flat[prefix] = compact.String()
	}
	walk("", event)
	flat["request.uri"] = regexp.MustCompile(`:\d+/`).ReplaceAllString(flat["request.uri"], ":port/")
	return flat
}
