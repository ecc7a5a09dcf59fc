package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev"
)

func wireBytes(n protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
}

func wireNumber(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestFramePrinter(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 20, 30, 1000, time.UTC)
	frames := []kongdev.Frame{
		{Kind: "connect"},
		{Kind: "RpcCall", ToPlugin: true, Data: join(wireNumber(1, 7), wireBytes(33, join(wireBytes(1, []byte("moesif")), wireBytes(2, []byte(`{"b":"topsecret","a":1}`)))))},
		{Kind: "RpcReturn"},
		{Kind: "RpcCall", ToPlugin: true, Data: join(wireNumber(1, 8), wireBytes(36, join(wireNumber(1, 4), wireBytes(2, []byte("access")))))},
		{Kind: "step_method", Method: "kong.request.get_header", Data: []byte("kong.request.get_header")},
		{Kind: "step_args", Method: "kong.request.get_header", Data: wireBytes(1, []byte("x-test"))},
		{Kind: "step_reply", Method: "kong.request.get_header", ToPlugin: true, Data: wireBytes(1, []byte("yes"))},
		{Kind: "step_args", Method: "kong.request.get_header", Data: wireBytes(1, []byte("Authorization"))},
		{Kind: "step_reply", Method: "kong.request.get_header", ToPlugin: true, Data: wireBytes(1, []byte("Bearer topsecret"))},
		{Kind: "step_args", Method: "kong.service.request.set_header", Data: join(wireBytes(1, []byte("apikey")), wireBytes(2, wireBytes(3, []byte("topsecret"))))},
		{Kind: "step_args", Method: "kong.response.exit", Data: join(wireNumber(1, 418), wireBytes(2, []byte("topsecret")))},
		{Kind: "step_args", Method: "kong.response.set_status", Data: wireNumber(1, 201)},
		{Kind: "end_of_event"},
		{Kind: "RpcCall", ToPlugin: true, Data: join(wireNumber(1, 9), wireBytes(35, wireNumber(1, 4)))},
		{Kind: "close", ToPlugin: true},
	}
	var b bytes.Buffer
	p := newFramePrinter(&b)
	for _, f := range frames {
		f.Time, f.Conn, f.Worker = at, 3, 1
		p.print(f)
	}
	got := strings.ReplaceAll(b.String(), "10:20:30.000001 w1 c3   ", "")
	assert.Equal(t, `-- connect
-> start instance of "moesif" with (23 bytes): a b
<- RpcReturn
-> access of instance 4
<- kong.request.get_header("x-test")
-> = "yes"
<- kong.request.get_header("Authorization")
-> = (18 bytes)
<- kong.service.request.set_header("apikey", (11 bytes))
<- kong.response.exit((14 bytes))
<- kong.response.set_status(201)
<- end of event
-> close instance 4
-- close
`, got)
	assert.NotContains(t, got, "topsecret")
}

// Whatever a frame holds, it is at most one line of bounded length.
func FuzzFramePrinter(f *testing.F) {
	f.Add("step_args", "kong.response.set_header", wireBytes(1, []byte("a\nb")))
	f.Add("RpcCall", "", join(wireNumber(1, 7), wireBytes(33, wireBytes(2, []byte(`{"a":1}`)))))
	f.Add("step_reply", "", bytes.Repeat([]byte{0x0a, 0x7f}, 100))
	f.Fuzz(func(t *testing.T, kind, method string, data []byte) {
		if strings.ContainsAny(kind+method, "\n") || len(kind)+len(method) > 100 {
			return // these come from the gateway itself
		}
		var b bytes.Buffer
		newFramePrinter(&b).print(kongdev.Frame{Kind: kind, Method: method, Data: data})
		if n := strings.Count(b.String(), "\n"); n > 1 || b.Len() > 4*maxShown+300 {
			t.Fatalf("%d lines, %d bytes: %q", n, b.Len(), b.String())
		}
	})
}
