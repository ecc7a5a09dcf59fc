package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev"
)

func wireBytes(n protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func tracedCall(flight int, method string, args, reply []byte) kongdev.TraceCall {
	return kongdev.TraceCall{Method: method, Args: args, Reply: reply, ArgSize: len(args), RepSize: len(reply), Flight: flight, Took: 12 * time.Microsecond}
}

func TestTreeText(t *testing.T) {
	const us = time.Microsecond
	wrong := tracedCall(1, "kong.response.get_status", nil, nil)
	wrong.Error = "function cannot be called in access phase"
	exit := tracedCall(2, "kong.response.exit", wireBytes(2, []byte("topsecret")), nil)
	exit.Error = "exit 418"
	cut := tracedCall(1, "kong.service.response.get_raw_body", nil, []byte("topsecr"))
	cut.RepSize = 70000
	trace := kongdev.Trace{
		RequestID: "5e45", Method: "GET", URI: "/a?key=topsecret&x=1", Status: 200, Source: "service", Bytes: 431, Answered: 3214 * us,
		Route: "all", Service: "echo", Consumer: "ann\x1b[2J",
		Upstream: []kongdev.TraceTry{{Address: "127.0.0.1:1", Start: 70 * us, End: 80 * us, Status: 502, Failed: true}, {Address: "127.0.0.1:2", Start: 80 * us, End: 180 * us, Status: 200}},
		Events: []kongdev.TraceEvent{
			{Plugin: "p", Phase: "access", Start: 1 * us, End: 61 * us, Flights: 2, Conn: 3, Instance: 7, Started: 20 * us, Calls: []kongdev.TraceCall{
				tracedCall(1, "kong.request.get_header", wireBytes(1, []byte("x-test")), wireBytes(1, []byte("yes"))),
				tracedCall(1, "kong.request.get_header", wireBytes(1, []byte("Authorization")), wireBytes(1, []byte("Bearer topsecret"))),
				tracedCall(2, "kong.service.request.set_header", join(wireBytes(1, []byte("X-A")), wireBytes(2, wireBytes(3, []byte("b")))), nil),
			}},
			{Plugin: "q", Phase: "access", Start: 61 * us, End: 65 * us, Flights: 2, Conn: 4, Exit: 418, Calls: []kongdev.TraceCall{exit}},
			{Plugin: "r", Phase: "access", Start: 65 * us, End: 69 * us, Flights: 1, Conn: 5, Error: wrong.Error, Calls: []kongdev.TraceCall{wrong}},
			{Plugin: "kongdev-auth", Phase: "access", Start: 69 * us, End: 70 * us},
			{Plugin: "p", Phase: "log", Start: 200 * us, End: 230 * us, Error: "connection refused"},
			{Plugin: "p", Phase: "log", Start: 230 * us, End: 260 * us, Flights: 1, Conn: 3, Instance: 7, Calls: []kongdev.TraceCall{cut}},
		},
	}
	got := treeText(trace)
	assert.Equal(t, `GET /a?key=(9 bytes)&x=1: 200 from the service, 431 bytes in 3214 µs, route all, service echo, consumer ann�[2J, request 5e45
├─ access of p: 2 flights, 60 µs, connection 3, instance 7 started in 20 µs
│  ├─ flight 1: kong.request.get_header("x-test") = "yes", 12 µs
│  ├─ flight 1: kong.request.get_header("Authorization") = (18 bytes), 12 µs
│  └─ flight 2: kong.service.request.set_header("X-A", "b"), 12 µs
├─ access of q: 2 flights, 4 µs, connection 4, answered 418
│  └─ flight 2: kong.response.exit((11 bytes)), 12 µs
├─ access of r: 1 flight, 4 µs, connection 5, failed: function cannot be called in access phase
│  └─ flight 1: kong.response.get_status() refused: function cannot be called in access phase
├─ access of kongdev-auth: inside kongdev, 1 µs
├─ upstream 127.0.0.1:1: failed after 10 µs, Kong answers 502
├─ upstream 127.0.0.1:2: 200 in 100 µs
├─ log of p: 0 flights, 30 µs, failed: connection refused
└─ log of p: 1 flight, 30 µs, connection 3, instance 7
   └─ flight 1: kong.service.response.get_raw_body() = (70000 bytes), 12 µs
`, got)
	assert.NotContains(t, got, "topsecr")
	assert.Contains(t, treeText(kongdev.Trace{Source: "exit"}), "from a plugin or Kong")
	assert.Contains(t, treeText(kongdev.Trace{Source: "error"}), "from Kong, an error")
}

// Whatever clients and plugins send, a line of the tree is one printable line of bounded length.
func FuzzTreeText(f *testing.F) {
	f.Add("GET", "/a?b", "kong.response.set_header", "why", wireBytes(1, []byte("a\nb")))
	f.Add("\x1b[2J", "/\r\n", "kong.response.exit", "\x00", []byte{0xff})
	f.Fuzz(func(t *testing.T, method, uri, call, text string, data []byte) {
		if len(method)+len(call)+len(text) > 100 {
			return
		}
		got := treeText(kongdev.Trace{Method: method, URI: uri, Consumer: text, Events: []kongdev.TraceEvent{{
			Plugin: text, Error: text, Calls: []kongdev.TraceCall{tracedCall(1, call, data, data), {Method: call, Error: text}},
		}}})
		if n := strings.Count(got, "\n"); n != 4 {
			t.Fatalf("%d lines: %q", n, got)
		}
		for line := range strings.Lines(got) {
			if len(line) > 1600 {
				t.Fatalf("%d bytes", len(line))
			}
		}
		for _, r := range got {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("unprintable %q in %q", r, got)
			}
		}
	})
}

func TestWaitsFor(t *testing.T) {
	for want, trace := range map[string]kongdev.Trace{
		"waits for access of p after kong.request.get_header": {Events: []kongdev.TraceEvent{
			{Plugin: "o", Phase: "access", End: 1}, {Plugin: "p", Phase: "access", Calls: []kongdev.TraceCall{tracedCall(1, "kong.request.get_header", nil, nil)}},
		}},
		"waits for log of p, log of q":           {Status: 200, Events: []kongdev.TraceEvent{{Plugin: "p", Phase: "log"}, {Plugin: "q", Phase: "log"}}},
		"waits for the upstream":                 {Upstream: []kongdev.TraceTry{{End: 1, Failed: true}, {}}},
		"the answer is under way":                {Upstream: []kongdev.TraceTry{{End: 1}}},
		"waits for the client or a place to run": {},
	} {
		assert.Equal(t, want, waitsFor(trace))
	}
}

// A request that hangs shows before its end.
func TestStillRunning(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), `_format_version: "3.0"
services: [{name: up, url: "http://echo.kongdev", routes: [{name: all, paths: [/]}]}]
`, 0o600)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out, errOut output
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"-f", file, "-listen", "127.0.0.1:0", "-admin", "off", "-v", "--", "sh", "-c", "exec curl -s $KONGDEV_URL/delay/30000?apikey=hidden"}, &out, &errOut)
	}()
	require.Eventually(t, func() bool { return strings.Contains(errOut.String(), " s, waits for the upstream, request ") }, time.Minute, 20*time.Millisecond, "%s", &errOut)
	assert.Contains(t, errOut.String(), "GET /delay/30000?apikey=(6 bytes): still running after ")
	cancel()
	<-ended
}
