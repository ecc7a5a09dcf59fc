package keyauth

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/redistest"
	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// A key that one node writes into Redis counts on another one; without Redis it still does for a while, and all else is
// no "wrong key".
func TestRedisStore(t *testing.T) {
	url := "redis://" + redistest.Start(t).Addr()
	writer, err := store.OpenRedis(store.RedisOptions{URL: url, Prefix: "test:"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { _ = writer.Close() }()
	hash := new(key.Hasher).Hash([]byte("shared"))
	credential := store.Credential{Hash: hash, Entry: store.Entry{ID: bobsCredential, ConsumerRef: "bob"}}
	_, err = writer.Mirror(t.Context(), nil, []store.Credential{credential}, false)
	require.NoError(t, err)

	g := startGateway(t, builtPlugin, route{"/", []string{"stores: [redis]", "credentials: []", "anonymous: anon",
		"redis: {url: '" + url + "', prefix: 'test:'}", "negative_ttl_ms: 0"}})
	e := echoOf(t, g.Send("GET", "/", "", "apikey", "shared"))
	assert.Equal(t, "bob", e.Headers["x-consumer-username"])
	assert.Equal(t, "true", echoOf(t, g.Send("GET", "/", "", "apikey", "other")).Headers["x-anonymous-consumer"])
	r := g.Send("GET", "/", "", "apikey", "shared")
	assert.Equal(t, 2, g.Flights(r, "keyauth"))
	assert.NotContains(t, g.Log(), "shared")
}
