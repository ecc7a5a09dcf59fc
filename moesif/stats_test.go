package moesif

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counterValue returns the sum of a metric over its labels.
func counterValue(t testing.TB, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(c))
	families, err := r.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

// droppedBy returns how many events were dropped for a reason.
func droppedBy(t testing.TB, c *Capture, reason string) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	c.Register(r)
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "moesif_events_dropped_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	require.Fail(t, "no such reason", reason)
	return 0
}

func TestMetricNames(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	newTestCapture(t).Register(r)
	families, err := r.Gather()
	require.NoError(t, err)
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
		assert.NotEmpty(t, f.GetHelp())
	}
	assert.Subset(t, names, strings.Fields(`moesif_batches_total moesif_config_errors_total moesif_events_dropped_total moesif_events_queued_total
		moesif_events_received_total moesif_events_sampled_out_total moesif_events_sent_total moesif_queue_bytes moesif_queue_events
		moesif_request_state_lost_total moesif_rules moesif_send_seconds`), names)
}
