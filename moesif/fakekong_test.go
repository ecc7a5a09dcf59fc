package moesif

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// A fakeKong answers the PDK calls of one request, frame by frame as Kong does, and fails the test on a call that Kong
// refuses in that phase. Behind it the handlers run as under go-pdk's own server.
type fakeKong struct {
	t *testing.T

	vars          map[string]string
	requestBody   *kong_plugin_protocol.RawBodyResult
	responseBody  []byte
	log           string
	headers       map[string]any
	credential    map[string]any
	buffered      bool // ServiceResponse.GetRawBody works in log
	serializeFail bool // Kong drops the connection

	path     string
	clientIP string
	consumer *kong_plugin_protocol.Consumer
	context  map[string]any // Kong's, beside the credential
	shared   map[string]any

	before func(method string) // nil, or called before each answer

	calls          []string
	toUpstream     map[string]string
	responseHeader map[string]string
	exit           *kong_plugin_protocol.ExitArgs
}

func newFakeKong(t *testing.T) *fakeKong {
	return &fakeKong{t: t, vars: map[string]string{"kong_request_id": "req-1", "request_method": "POST"}, context: map[string]any{bufferingKey: true},
		toUpstream: map[string]string{}, responseHeader: map[string]string{}, shared: map[string]any{}}
}

// run calls a handler in a phase.
func (k *fakeKong) run(phase string, handler func(*pdk.PDK)) {
	k.t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = theirs.Close() }()
		for {
			method, err := readTestFrame(theirs)
			if err != nil {
				return
			}
			args, err := readTestFrame(theirs)
			if err != nil {
				return
			}
			reply := k.answer(phase, string(method), args)
			if reply == nil {
				return
			}
			b, err := proto.Marshal(reply)
			if !assert.NoError(k.t, err) || writeTestFrame(theirs, b) != nil {
				return
			}
		}
	}()
	handler(pdk.Init(ours))
	_ = ours.Close()
	<-done
}

func readTestFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.LittleEndian.Uint32(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeTestFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// phasesOfCall are the phases in which Kong 3.9 answers a call.
func phasesOfCall() map[string][]string {
	return map[string][]string{
		"kong.nginx.get_var":                 {"access", "response"},
		"kong.request.get_raw_body":          {"access", "response"},
		"kong.service.request.set_header":    {"access"},
		"kong.response.set_header":           {"access", "response"},
		"kong.service.response.get_raw_body": {"response", "log"},
		"kong.log.serialize":                 {"log"},
		"kong.request.get_headers":           {"access", "response", "log"},
		"kong.request.get_header":            {"access", "response", "log"},
		"kong.nginx.get_ctx":                 {"access", "response", "log"},
		"kong.nginx.set_ctx":                 {"access", "response", "log"},
		"kong.ctx.shared.get":                {"access", "response", "log"},
		"kong.ctx.shared.set":                {"access", "response", "log"},
		"kong.request.get_path":              {"access", "response"},
		"kong.client.get_ip":                 {"access", "response"},
		"kong.client.get_consumer":           {"access", "response", "log"},
		"kong.response.exit":                 {"access", "response"},
		"kong.service.set_target":            {"access"},
	}
}

// answer returns nil where Kong would drop the connection.
func (k *fakeKong) answer(phase, method string, args []byte) proto.Message {
	k.record(phase, method, args)
	if k.before != nil {
		k.before(method)
	}
	if !slices.Contains(phasesOfCall()[method], phase) {
		k.t.Errorf("Kong refuses %s in %s", method, phase)
		return nil
	}
	text := func() string {
		var s kong_plugin_protocol.ByteString
		require.NoError(k.t, proto.Unmarshal(args, &s))
		return string(s.V)
	}
	pair := func(into map[string]string) proto.Message {
		var kv kong_plugin_protocol.KV
		require.NoError(k.t, proto.Unmarshal(args, &kv))
		into[kv.K] = kv.V.GetStringValue()
		return &emptypb.Empty{}
	}
	bytes := func(s string) proto.Message { return &kong_plugin_protocol.ByteString{V: []byte(s)} } // as String on the wire
	switch method {
	case "kong.nginx.get_var":
		return bytes(k.vars[text()])
	case "kong.service.request.set_header":
		reply := pair(k.toUpstream)
		if id := k.toUpstream[transactionHeaderSent]; id != "" {
			k.vars[transactionVariable] = id // nginx's variables follow the request
		}
		return reply
	case "kong.response.set_header":
		return pair(k.responseHeader)
	case "kong.request.get_raw_body":
		if k.requestBody == nil {
			return &kong_plugin_protocol.RawBodyResult{}
		}
		return k.requestBody
	case "kong.service.response.get_raw_body":
		if phase == "log" && !k.buffered {
			k.t.Error("Kong refuses ServiceResponse.GetRawBody in log for a request that was not buffered")
			return nil
		}
		return bytes(string(k.responseBody))
	case "kong.log.serialize":
		if k.serializeFail {
			return nil
		}
		return bytes(k.log)
	case "kong.request.get_headers":
		s, err := structpb.NewStruct(k.headers)
		require.NoError(k.t, err)
		return s
	case "kong.request.get_header":
		switch v := k.headers[text()].(type) {
		case string:
			return bytes(v)
		case []any:
			return bytes(v[0].(string))
		}
		return &emptypb.Empty{}
	case "kong.request.get_path":
		return bytes(k.path)
	case "kong.client.get_ip":
		return bytes(k.clientIP)
	case "kong.client.get_consumer":
		if k.consumer == nil {
			return &kong_plugin_protocol.Consumer{}
		}
		return k.consumer
	case "kong.response.exit":
		k.exit = &kong_plugin_protocol.ExitArgs{}
		require.NoError(k.t, proto.Unmarshal(args, k.exit))
		return nil // Kong never answers
	case "kong.service.set_target":
		return &emptypb.Empty{}
	case "kong.nginx.set_ctx":
		return k.set(k.context, args)
	case "kong.ctx.shared.set":
		return k.set(k.shared, args)
	case "kong.ctx.shared.get":
		return k.value(k.shared[text()])
	default: // kong.nginx.get_ctx
		if key := text(); key != credentialKey {
			return k.value(k.context[key])
		}
		return k.value(k.credential)
	}
}

// record keeps a call as "phase method", with what a question names.
func (k *fakeKong) record(phase, method string, args []byte) {
	call := phase + " " + strings.TrimPrefix(method, "kong.")
	if method == "kong.nginx.get_var" || method == "kong.nginx.get_ctx" || method == "kong.request.get_header" {
		var s kong_plugin_protocol.ByteString
		require.NoError(k.t, proto.Unmarshal(args, &s))
		call += " " + string(s.V)
	}
	k.calls = append(k.calls, call)
}

func (k *fakeKong) set(into map[string]any, args []byte) proto.Message {
	var kv kong_plugin_protocol.KV
	require.NoError(k.t, proto.Unmarshal(args, &kv))
	into[kv.K] = kv.V.AsInterface()
	return &emptypb.Empty{}
}

func (k *fakeKong) value(v any) proto.Message {
	if m, ok := v.(map[string]any); ok && m == nil {
		v = nil
	}
	p, err := structpb.NewValue(v)
	require.NoError(k.t, err)
	return p
}
