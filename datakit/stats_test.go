package datakit

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Metrics tell what each node came to, calls by their answers, and how often a cache had a value.
func TestMetrics(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
	t.Cleanup(service.Close)
	e := newTestEngine(t)
	p, err := compileWith(t, e, `
resources: {cache: {strategy: memory, memory: {dictionary_name: metrics}}}
nodes:
- {name: K, type: static, values: {k: a}}
- {name: GET, type: cache, inputs: {key: K.k}}
- {name: IF, type: branch, input: GET.miss, then: [CALL, SET], else: [GONE]}
- {name: CALL, type: call, url: "`+service.URL+`", accept_status: [404]}
- {name: SET, type: cache, inputs: {key: K.k, data: CALL.status}}
- {name: GONE, type: call, url: "http://127.0.0.1:1", on_error: continue}`)
	require.NoError(t, err)
	for range 3 {
		o := p.Access(t.Context(), &testHost{}, false)
		require.Nil(t, o.Failure)
		e.stats.phase("access", o, 0)
	}
	r := prometheus.NewPedanticRegistry()
	e.register(r)
	families, err := r.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := []string{f.GetName()}
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			got[strings.Join(labels, " ")] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"datakit_cache_total GET hit": 2, "datakit_cache_total GET miss": 1, "datakit_cache_total GET failed": 0, "datakit_cache_total SET stored": 1,
		"datakit_calls_total 4xx CALL": 1, "datakit_calls_total 2xx CALL": 0, "datakit_calls_total none GONE": 2,
		"datakit_nodes_total GET complete cache": 3, "datakit_nodes_total CALL complete call": 1, "datakit_nodes_total CALL skipped call": 2,
		"datakit_node_seconds GONE call": 2, "datakit_workflow_seconds access proxied": 3, "datakit_config_errors_total": 0,
	} {
		value, there := got[name]
		assert.True(t, there, name)
		assert.InDelta(t, want, value, 0, name)
	}
}
