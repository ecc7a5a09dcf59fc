package keyauth

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A gRPC client is refused in its own way.
func TestRefusedGRPC(t *testing.T) {
	g := startGateway(t, builtPlugin, route{"/", nil})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL()+"/orders.Orders/List", nil)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("apikey", "wrong")
	response, err := transport.RoundTrip(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	assert.Equal(t, 401, response.StatusCode)
	assert.Equal(t, "application/grpc", response.Header.Get("Content-Type"))
	assert.Equal(t, "Key", response.Header.Get("WWW-Authenticate"))
	assert.Equal(t, "16", response.Header.Get("Grpc-Status"))
	assert.Equal(t, "Unauthenticated", response.Header.Get("Grpc-Message"))
}
