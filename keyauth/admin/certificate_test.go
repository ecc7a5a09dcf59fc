package admin

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A renewed certificate counts without a restart. Half of a renewal, or garbage, does not take the place of the one before.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(time.Hour)
	before, cert, key := certificate(t, end)
	after, newCert, newKey := certificate(t, end.Add(time.Hour))
	var log strings.Builder
	c, err := openCertificate(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	now := time.Now()
	c.now = func() time.Time { return now }
	stamp := now
	put := func(from, to string) {
		t.Helper()
		text, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, text, 0o600))
		stamp = stamp.Add(time.Hour)
		require.NoError(t, os.Chtimes(to, stamp, stamp))
	}
	served := func() []byte {
		t.Helper()
		pair, err := c.get(nil)
		require.NoError(t, err)
		return pair.Certificate[0]
	}
	require.Equal(t, before, served())

	put(newCert, cert)
	require.Equal(t, before, served(), "files are not looked at for each connection")
	now = now.Add(certificateEvery)
	require.Equal(t, before, served(), "the key is still the other one's")
	assert.Contains(t, log.String(), "cannot be used; the one before is")
	put(newKey, key)
	now = now.Add(certificateEvery)
	require.Equal(t, after, served())
	assert.Contains(t, log.String(), "was read again")

	require.NoError(t, os.Remove(cert))
	now = now.Add(certificateEvery)
	require.Equal(t, after, served())
	require.NoError(t, os.WriteFile(cert, []byte("garbage"), 0o600))
	now = now.Add(certificateEvery)
	require.Equal(t, after, served())
	said := strings.Count(log.String(), "cannot be used")
	now = now.Add(certificateEvery)
	require.Equal(t, after, served())
	assert.Equal(t, said, strings.Count(log.String(), "cannot be used"), "it is said once")

	garbage, err := os.Stat(cert)
	require.NoError(t, err)
	put(newCert, cert) // what lets a file be read, a right for instance, does not change its time
	require.NoError(t, os.Chtimes(cert, garbage.ModTime(), garbage.ModTime()))
	now = now.Add(certificateEvery)
	require.Equal(t, after, served())
	assert.Equal(t, 2, strings.Count(log.String(), "was read again"))
	assert.NotContains(t, log.String(), "PRIVATE")
}
