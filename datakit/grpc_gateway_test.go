package datakit_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// A gRPC stream is not held: it goes through without the response phase, and the operator is told once. What the workflow
// does before the request is proxied is done.
func TestGRPCStreamsGoThrough(t *testing.T) {
	finish := make(chan struct{})
	asked := make(chan string, 10)
	g := kongdevtest.Start(t, kongdevtest.Options{
		Plugins: map[string]string{"datakit": kongdevtest.Self}, Workers: 1,
		Config: `
_format_version: "3.0"
services:
- name: stream
  url: http://stream.test
  routes:
  - {name: all, paths: [/]}
plugins:
- name: datakit
  config:
    nodes:
    - {name: A, type: jq, jq: '{"X-Q": .q}', input: request.query, output: service_request.headers}
    - {name: B, type: jq, jq: '{"X-Late": .}', input: service_response.status, output: response.headers}
`,
		Hosts: map[string]http.Handler{"stream.test": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- r.Header.Get("X-Q")
			_, _ = io.WriteString(w, "first")
			if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
				_ = http.NewResponseController(w).Flush()
				<-finish
			}
		})},
	})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	t.Cleanup(client.CloseIdleConnections)
	send := func() *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), "POST", g.URL()+"/shop.Orders/Watch?q=1", strings.NewReader("x"))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/grpc+proto")
		answer, err := client.Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer
	}
	for range 2 {
		answer := send()
		assert.Equal(t, "1", <-asked)
		first := make([]byte, 5)
		_, err := io.ReadFull(answer.Body, first)
		require.NoError(t, err, "while the upstream has not ended")
		assert.Equal(t, "first", string(first))
		assert.Empty(t, answer.Header.Get("X-Late"))
	}
	close(finish)
	g.WaitLog("gRPC request")
	r := g.Send("POST", "/orders?q=2", "x", "Content-Type", "application/grpc-web")
	assert.Equal(t, "2", <-asked)
	assert.Equal(t, "200", r.Header.Get("X-Late"), "other requests have their response phase")
	assert.Equal(t, 1, strings.Count(g.Log(), "[datakit] datakit: a gRPC request is proxied without the response phase of its workflow"), g.Log())
}
