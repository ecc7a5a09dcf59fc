package pluginserver

import (
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// The setters write what the PDK's own write.
func TestSettersAreThePDKs(t *testing.T) {
	long := strings.Repeat("long ", 100)
	consumer := &entities.Consumer{Id: "c-1", CreatedAt: 1700000000, Username: "ann", CustomId: long, Tags: []string{"a", "", "b"}}
	credential := &client.AuthenticatedCredential{Id: "k-1", ConsumerId: "c-1"}
	for _, c := range []struct {
		name      string
		ours, pdk func(kong *pdk.PDK) error
	}{
		{"header", func(k *pdk.PDK) error { return SetServiceHeader(k, "X-A", "b") }, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", "b") }},
		{"empty header", func(k *pdk.PDK) error { return SetServiceHeader(k, "X-A", "") }, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", "") }},
		{"long header", func(k *pdk.PDK) error { return SetServiceHeader(k, "X-A", long) }, func(k *pdk.PDK) error { return k.ServiceRequest.SetHeader("X-A", long) }},
		{"response header", func(k *pdk.PDK) error { return SetResponseHeader(k, "X-A", "b") }, func(k *pdk.PDK) error { return k.Response.SetHeader("X-A", "b") }},
		{"long response header", func(k *pdk.PDK) error { return SetResponseHeader(k, "X-A", long) }, func(k *pdk.PDK) error { return k.Response.SetHeader("X-A", long) }},
		{"flag on", func(k *pdk.PDK) error { return SetCtxFlag(k, "a", true) }, func(k *pdk.PDK) error { return k.Nginx.SetCtx("a", true) }},
		{"flag off", func(k *pdk.PDK) error { return SetCtxFlag(k, "a", false) }, func(k *pdk.PDK) error { return k.Nginx.SetCtx("a", false) }},
		{"cleared header", func(k *pdk.PDK) error { return ClearServiceHeader(k, "X-A") }, func(k *pdk.PDK) error { return k.ServiceRequest.ClearHeader("X-A") }},
		{"query", func(k *pdk.PDK) error { return SetServiceQuery(k, "a=b") }, func(k *pdk.PDK) error { return k.ServiceRequest.SetRawQuery("a=b") }},
		{"empty query", func(k *pdk.PDK) error { return SetServiceQuery(k, "") }, func(k *pdk.PDK) error { return k.ServiceRequest.SetRawQuery("") }},
		{"body", func(k *pdk.PDK) error { return SetServiceBody(k, long) }, func(k *pdk.PDK) error { return k.ServiceRequest.SetRawBody(long) }},
		{"both", func(k *pdk.PDK) error { return Authenticate(k, consumer, credential) }, func(k *pdk.PDK) error { return k.Client.Authenticate(consumer, credential) }},
		{"consumer", func(k *pdk.PDK) error { return Authenticate(k, consumer, nil) }, func(k *pdk.PDK) error { return k.Client.Authenticate(consumer, nil) }},
		{"empty credential", func(k *pdk.PDK) error { return Authenticate(k, nil, &client.AuthenticatedCredential{}) }, func(k *pdk.PDK) error { return k.Client.Authenticate(nil, &client.AuthenticatedCredential{}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls []pdkCall
			onBothServers(t, func(call pdkCall) ([]byte, bool) { calls = append(calls, call); return nil, true }, func(t *testing.T, kong *pdk.PDK) {
				assert.NoError(t, c.ours(kong))
				assert.NoError(t, c.pdk(kong))
			})
			require.Len(t, calls, 4)
			for _, call := range calls[1:] {
				assert.Equal(t, calls[0], call)
			}
		})
	}
}

// Headers of one call are what Kong understands: texts, and empty lists for those that are to go.
func TestSetServiceHeaders(t *testing.T) {
	var calls []pdkCall
	onBothServers(t, func(call pdkCall) ([]byte, bool) { calls = append(calls, call); return nil, true }, func(t *testing.T, kong *pdk.PDK) {
		assert.NoError(t, SetServiceHeaders(kong, ServiceHeader{"X-A", "b"}, ServiceHeader{"X-Gone", ""}, ServiceHeader{"X-Long", strings.Repeat("long ", 500)}))
	})
	require.Len(t, calls, 2)
	assert.Equal(t, calls[0], calls[1])
	assert.True(t, areHeaders(calls[0].args), "it waits for nothing")
	var got structpb.Struct
	require.NoError(t, proto.Unmarshal(calls[0].args, &got))
	assert.Equal(t, map[string]any{"X-A": "b", "X-Gone": []any{}, "X-Long": strings.Repeat("long ", 500)}, got.AsMap())
}

// Bytes that are not UTF-8 and large bodies pass, and the stream stays in step.
func TestSettersTakeAnyBytes(t *testing.T) {
	large := strings.Repeat("\xff\x00", 200_000)
	var calls []pdkCall
	onBothServers(t, func(call pdkCall) ([]byte, bool) { calls = append(calls, call); return nil, true }, func(t *testing.T, kong *pdk.PDK) {
		assert.NoError(t, SetServiceQuery(kong, "a=\xff"))
		assert.NoError(t, SetServiceBody(kong, large))
		assert.NoError(t, ClearServiceHeader(kong, "X-A"))
		assert.Error(t, Authenticate(kong, nil, nil))
	})
	require.Len(t, calls, 6)
	for i := range 3 {
		assert.Equal(t, calls[i], calls[i+3])
	}
	text, ok := textArg(calls[1].args)
	assert.True(t, ok)
	assert.Equal(t, large, string(text))
}
