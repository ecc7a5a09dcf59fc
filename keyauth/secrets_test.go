package keyauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/keyauth/key"
)

// No key, digest, pepper or password stands in a log or a metric, whatever goes wrong.
func TestNothingSecretIsShown(t *testing.T) {
	const pepper, password = "a-pepper-of-32-characters-012345", "hunter2hunter2"
	hasher, err := key.NewHasher(pepper)
	require.NoError(t, err)
	peppered := hasher.Hash([]byte(bobsKey))
	plainSum := sha256.Sum256([]byte(bobsKey))
	metrics := metricsSocket(t)
	g := startWith(t, kongdevtest.Options{LogLevel: "debug", Flags: map[string][]string{"keyauth": {"-metrics", "unix:" + metrics, "-log-level", "debug"}}, Config: gatewayConfig(t,
		route{"/fine", []string{"pepper: " + pepper, "credentials: [{digest: '" + peppered.String() + "', consumer: bob}]", "hide_credentials: true"}},
		route{"/disabled", []string{"credentials: [{digest: '" + digestOf(t, bobsKey) + "', consumer: bob, disabled: true}]"}},
		route{"/twice", []string{"credentials: [{digest: '" + digestOf(t, bobsKey) + "', consumer: bob}, {digest: '" + digestOf(t, bobsKey) + "', consumer: bob}]"}},
		route{"/peppers", []string{"pepper: " + pepper, "previous_peppers: [" + pepper + "]"}},
		route{"/pepperless", []string{"credentials: [{digest: '" + peppered.String() + "', consumer: bob}]"}},
		route{"/postgres", []string{"stores: [postgres]", "credentials: []", "postgres: {dsn: 'postgres://reader:" + password + "@127.0.0.1:1/kong'}"}},
		route{"/dsn", []string{"stores: [postgres]", "credentials: []", "postgres: {dsn: 'postgres://reader:" + password + "@127.0.0.1:port/kong'}"}},
		route{"/redis", []string{"stores: [redis]", "credentials: []", "redis: {url: 'redis://reader:" + password + "@127.0.0.1:1/0'}"}},
		route{"/url", []string{"stores: [redis]", "credentials: []", "redis: {url: 'redis://reader:" + password + "@127.0.0.1:port/0'}"}},
		route{"/api", []string{"stores: [admin_api]", "credentials: []", "admin_api: {url: 'http://127.0.0.1:1', token: " + password + ", key: '" + password + "'}"}},
	)})
	want := map[string]int{"/fine": 200, "/disabled": 401, "/twice": 500, "/peppers": 500, "/pepperless": 500, "/postgres": 500, "/dsn": 500, "/redis": 500, "/url": 500, "/api": 500}
	answers := ""
	for path, status := range want {
		for _, r := range []*kongdevtest.Response{g.Send("GET", path, "", "apikey", bobsKey), g.Send("GET", path+"?apikey="+bobsKey, "")} {
			assert.Equal(t, status, r.Status, path)
			if status != 200 { // there the upstream shows what it got
				answers += r.Body
			}
		}
	}
	metricsText := readMetrics(t, metrics)
	require.NoError(t, g.Close())
	for name, text := range map[string]string{"the log": g.Log(), "metrics": metricsText, "an answer": answers} {
		for _, secret := range []string{
			bobsKey, pepper, password, hex.EncodeToString(plainSum[:]), base64.RawURLEncoding.EncodeToString(plainSum[:]), base64.StdEncoding.EncodeToString(plainSum[:]),
			hex.EncodeToString(peppered.Digest[:]), base64.RawURLEncoding.EncodeToString(peppered.Digest[:]),
		} {
			assert.NotContains(t, text, secret, name)
		}
	}
}
