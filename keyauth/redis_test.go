package keyauth

import (
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// startRedis starts a Redis of the test's own and returns its address.
func startRedis(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().(*net.TCPAddr)
	require.NoError(t, l.Close())
	server := exec.Command("redis-server", "--port", strconv.Itoa(address.Port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	require.NoError(t, server.Start(), "the Debian package redis-server has it")
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address.String())
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, kongdevtest.Patience, 5*time.Millisecond)
	return "redis://" + address.String()
}

// A key that one node writes into Redis counts on another one; without Redis it still does for a while, and all else is
// no "wrong key".
func TestRedisStore(t *testing.T) {
	url := startRedis(t)
	writer, err := store.OpenRedis(store.RedisOptions{URL: url, Prefix: "test:"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer func() { _ = writer.Close() }()
	hash := new(key.Hasher).Hash([]byte("shared"))
	credential := store.Credential{Hash: hash, Entry: store.Entry{ID: bobsCredential, ConsumerRef: "bob"}}
	require.NoError(t, writer.Import(t.Context(), nil, []store.Credential{credential}))

	g := startGateway(t, builtPlugin, route{"/", []string{"stores: [redis]", "credentials: []", "anonymous: anon",
		"redis: {url: '" + url + "', prefix: 'test:'}", "negative_ttl_ms: 0"}})
	e := echoOf(t, g.Send("GET", "/", "", "apikey", "shared"))
	assert.Equal(t, "bob", e.Headers["x-consumer-username"])
	assert.Equal(t, "true", echoOf(t, g.Send("GET", "/", "", "apikey", "other")).Headers["x-anonymous-consumer"])
	r := g.Send("GET", "/", "", "apikey", "shared")
	assert.Equal(t, 2, g.Flights(r, "keyauth"))
	assert.NotContains(t, g.Log(), "shared")
}
