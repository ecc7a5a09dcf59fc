package send

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// counterValue returns the sum of a counter, or of a gauge, over its labels.
func counterValue(t testing.TB, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(c))
	families, err := r.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is nil, and its value 0
		}
	}
	return sum
}

// droppedBy returns how many events were dropped for a reason.
func droppedBy(t testing.TB, m *Metrics, reason string) float64 {
	t.Helper()
	return counterValue(t, m.dropped.WithLabelValues(reason))
}
