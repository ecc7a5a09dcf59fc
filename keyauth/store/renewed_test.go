package store_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/redistest"
	"kong-go-plugins/keyauth/store"
	"kong-go-plugins/keyauth/store/storetest"
)

// put replaces a file as programs that renew certificates do.
func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// Files with certificates are renewed while the plugin runs. Each new connection takes what they hold by then.
func TestRedisTakesRenewedCertificates(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	w := redisStore(t, store.RedisOptions{URL: "redis://" + s.Addr()})
	mirror(t, w, nil, []store.Credential{credential("1", "a")})
	require.NoError(t, w.Close())
	other, _ := selfSigned(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	put(t, ca, other)
	r := redisStore(t, store.RedisOptions{URL: "rediss://" + s.TLSAddr(), TLS: store.TLSOptions{CA: ca}})
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	_, err := r.Lookup(t.Context(), digest("a"))
	require.ErrorContains(t, err, "unknown authority")
	good, err := os.ReadFile(s.CAFile)
	require.NoError(t, err)
	put(t, ca, string(good))
	require.Eventually(t, func() bool { _, err := r.Lookup(t.Context(), digest("a")); return err == nil }, time.Minute, 5*time.Millisecond)
}

func TestAdminAPITakesRenewedCertificates(t *testing.T) {
	t.Parallel()
	k := newFakeKong([]storetest.Given{given(1, "a")})
	var requests atomic.Int64
	var shown atomic.Pointer[[]byte] // the client's certificate
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown.Store(&r.TLS.PeerCertificates[0].Raw)
		requests.Add(1)
		k.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.SetKeepAlivesEnabled(false) // each request has a connection of its own
	server.StartTLS()
	t.Cleanup(server.Close)
	folder := t.TempDir()
	ca, cert, key := filepath.Join(folder, "ca"), filepath.Join(folder, "cert"), filepath.Join(folder, "key")
	first, firstKey := selfSigned(t)
	put(t, ca, first)
	put(t, cert, first)
	put(t, key, firstKey)
	a, err := store.OpenAdminAPI(store.AdminAPIOptions{
		URL: server.URL, TLS: store.TLSOptions{CA: ca, Cert: cert, Key: key}, Interval: 10 * time.Millisecond,
	}, &hasher, quiet)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.Close()) })
	require.Eventually(t, func() bool { // a reading in which the machine stood still for long says that its time was over
		_, err := a.Lookup(t.Context(), digest("a"))
		return err != nil && strings.Contains(err.Error(), "unknown authority")
	}, time.Minute, 5*time.Millisecond)
	put(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	require.Eventually(t, func() bool { _, err := a.Lookup(t.Context(), digest("a")); return err == nil }, time.Minute, 5*time.Millisecond)

	isShown := func(text string) bool {
		block, _ := pem.Decode([]byte(text))
		return string(*shown.Load()) == string(block.Bytes)
	}
	assert.True(t, isShown(first))
	second, secondKey := selfSigned(t)
	put(t, cert, second) // and for a moment the key is that of the first
	before := requests.Load()
	require.Eventually(t, func() bool { return requests.Load() > before+2 }, time.Minute, 5*time.Millisecond)
	assert.True(t, isShown(first))
	put(t, key, secondKey)
	require.Eventually(t, func() bool { return isShown(second) }, time.Minute, 5*time.Millisecond)
}

func TestPostgresTakesRenewedCertificates(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(c, make([]byte, 8)) // the question whether there is TLS
			_, _ = c.Write([]byte("S"))
			_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
			_ = c.Close() // it is trusted or not; there is no more to this server
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	other, _ := selfSigned(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	put(t, ca, other)
	s, err := store.OpenPostgres(store.PostgresOptions{DSN: "postgres://u@" + l.Addr().String() + "/kong?sslmode=verify-full&sslrootcert=" + ca, Timeout: patience}, &hasher, quiet)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	_, err = rawFind(t.Context(), s, "a")
	require.ErrorContains(t, err, "unknown authority")
	put(t, ca, cert)
	_, err = rawFind(t.Context(), s, "a")
	require.Error(t, err)
	assert.False(t, strings.Contains(err.Error(), "unknown authority"), err)
}
