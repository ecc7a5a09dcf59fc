package keyauth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// Keys of a Kong's Admin API count as soon as they are read, with the consumers that it has.
func TestAdminAPIStore(t *testing.T) {
	const id = "0a1b2c3d-0000-4000-8000-000000000001"
	var ready, asked atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case ready.Load() == 0 || r.Header.Get("Authorization") != "Bearer admin-token":
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/key-auths":
			asked.Add(1)
			fmt.Fprintf(w, `{"data":[{"id":%q,"key":"from-the-api","consumer":{"id":%q}}],"next":null}`, bobsCredential, id)
		case r.URL.Path == "/consumers":
			fmt.Fprintf(w, `{"data":[{"id":%q,"username":"carol"}],"next":null}`, id)
		}
	}))
	defer api.Close()
	g := startGateway(t, builtPlugin, route{"/", []string{"stores: [node, admin_api]", "admin_api: {url: " + api.URL + ", token: admin-token, token_header: Authorization, interval_ms: 1000}"}})
	assert.Equal(t, 200, g.Send("GET", "/", "", "apikey", bobsKey).Status, "the node's keys come first")
	assert.Equal(t, 500, g.Send("GET", "/", "", "apikey", "from-the-api").Status, "nothing is known yet")
	ready.Store(1)
	var r *kongdevtest.Response
	assert.Eventually(t, func() bool {
		r = g.Send("GET", "/", "", "apikey", "from-the-api")
		return r.Status == 200
	}, kongdevtest.Patience, 20*time.Millisecond)
	headers := echoOf(t, r).Headers
	assert.Equal(t, "carol", headers["x-consumer-username"])
	assert.Equal(t, bobsCredential, headers["x-credential-identifier"])
	assert.Equal(t, 401, g.Send("GET", "/", "", "apikey", "unknown").Status)
	assert.Equal(t, 2, g.Flights(r, "keyauth"), "the store knows the consumer")
	assert.NotContains(t, g.Log(), "admin-token")
	assert.NotContains(t, g.Log(), "from-the-api")
}
