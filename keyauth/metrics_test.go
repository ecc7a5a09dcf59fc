package keyauth

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

var requestCount = regexp.MustCompile(`(?m)^keyauth_requests_total\{result="(\w+)"\} (\d+)$`)

// requestCounts reads the counters that are not 0 from a plugin's socket of metrics.
func requestCounts(t *testing.T, socket string) map[string]int {
	t.Helper()
	text, err := io.ReadAll(readMetrics(t, socket))
	require.NoError(t, err)
	counts := map[string]int{}
	for _, m := range requestCount.FindAllStringSubmatch(string(text), -1) {
		if n, _ := strconv.Atoi(m[2]); n > 0 {
			counts[m[1]] = n
		}
	}
	return counts
}

// readMetrics asks a plugin's socket of metrics.
func readMetrics(t *testing.T, socket string) io.Reader {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(c.CloseIdleConnections)
	r, err := c.Get("http://metrics/metrics")
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Body.Close() })
	return r.Body
}
