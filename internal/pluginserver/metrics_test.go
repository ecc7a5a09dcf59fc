package pluginserver

import (
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// One dashboard fits every instance of a plugin, whatever -name calls it, and the worker's names agree with the supervisor's.
func TestMetricsAreNamedForThePlugin(t *testing.T) {
	r := prometheus.NewRegistry()
	newRig(t, testHandlers{}, func(s *serverConfig) { s.name, s.registerer = "test-eu", r })
	text, err := metricsText(r)
	require.NoError(t, err)
	require.Contains(t, string(text), "\ntest_server_connections 0")
	require.NotContains(t, string(text), "test_eu")
}

func TestMetricsFolder(t *testing.T) {
	_, err := listenMetrics("unix", "/nowhere/metrics")
	require.ErrorContains(t, err, "/nowhere is no folder; make it, or name another one with -metrics")
	l, err := listenMetrics("unix", filepath.Join(prefixFolder(t), "m"))
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
