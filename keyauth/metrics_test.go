package keyauth

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

var requestCount = regexp.MustCompile(`(?m)^keyauth_requests_total\{result="(\w+)"\} (\d+)$`)

// metricsSocket is where a plugin's metrics are to be asked for. Its folder is a short one: socket paths are limited.
func metricsSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "km")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "metrics")
}

// requestCounts reads the counters that are not 0 from a plugin's socket of metrics.
func requestCounts(t *testing.T, socket string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, m := range requestCount.FindAllStringSubmatch(readMetrics(t, socket), -1) {
		if n, _ := strconv.Atoi(m[2]); n > 0 {
			counts[m[1]] = n
		}
	}
	return counts
}

// readMetrics asks a plugin's socket of metrics, until the worker's are among them: the supervisor answers without them when the
// worker takes long, and listens when it comes to it.
func readMetrics(t *testing.T, socket string) (metrics string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer c.CloseIdleConnections()
	require.Eventually(t, func() bool {
		r, err := c.Get("http://metrics/metrics")
		if err != nil {
			return false
		}
		defer func() { _ = r.Body.Close() }()
		text, err := io.ReadAll(r.Body)
		metrics = string(text)
		return err == nil && strings.Contains(metrics, "keyauth_requests_total")
	}, kongdevtest.Patience, 10*time.Millisecond)
	return metrics
}
