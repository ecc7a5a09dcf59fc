package keyauth

import (
	"log/slog"
	"testing"
	"time"

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
	writer, err := store.OpenRedis(store.RedisOptions{URL: url, Prefix: "test:", Timeout: time.Minute}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { _ = writer.Close() }()
	hash := new(key.Hasher).Hash([]byte("the-shared-key"))
	credential := store.Credential{Hash: hash, Entry: store.Entry{ID: bobsCredential, ConsumerRef: "bob"}}
	_, err = writer.Mirror(t.Context(), nil, []store.Credential{credential}, false)
	require.NoError(t, err)

	g := startGateway(t, builtPlugin, route{"/", []string{"stores: [redis]", "credentials: []", "anonymous: anon",
		"redis: {url: '" + url + "', prefix: 'test:', timeout_ms: 60000}", "negative_ttl_ms: 0"}})
	e := echoOf(t, g.Send("GET", "/", "", "apikey", "the-shared-key"))
	assert.Equal(t, "bob", e.Headers["x-consumer-username"])
	assert.Equal(t, "true", echoOf(t, g.Send("GET", "/", "", "apikey", "other")).Headers["x-anonymous-consumer"])
	r := g.Send("GET", "/", "", "apikey", "the-shared-key")
	assert.Equal(t, 2, g.Flights(r, "keyauth"))
	assert.NotContains(t, g.Log(), "the-shared-key")
}

// A store may take as long as the configuration says: a cache before it does not give up earlier.
func TestRedisThatTakesLong(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := New(newTestGate(t))
	require.NoError(t, c.UnmarshalJSON([]byte(`{"stores":["redis"],"redis":{"url":"redis://`+server.Addr()+`","timeout_ms":60000},"negative_ttl_ms":0}`)))
	t.Cleanup(c.Close)
	c.Prepare()
	chain := c.lease.ready.Load()
	require.NotNil(t, chain)
	find := func() error {
		_, err := store.Find(t.Context(), *chain, []byte("unknown"), new(key.Hasher).Digests([]byte("unknown")))
		return err
	}
	require.ErrorIs(t, find(), store.ErrNotFound)
	server.Hang()
	found := make(chan error, 1)
	go func() { found <- find() }()
	time.Sleep(3500 * time.Millisecond) // longer than a cache's own limit
	server.Resume()
	require.ErrorIs(t, <-found, store.ErrNotFound)
}
