package keyauth

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStoreMetrics(t *testing.T) {
	g := newTestGate(t)
	registry := prometheus.NewRegistry()
	g.Register(registry)
	file := filepath.Join(t.TempDir(), "kong.yml")
	require.NoError(t, os.WriteFile(file, []byte(`{"_format_version":"3.0","consumers":[{"username":"bob","keyauth_credentials":[{"key":"one"},{"key":"two"}]}]}`), 0o600))
	for _, json := range []string{
		`{"credentials":[{"digest":"` + digestOf(t, "a") + `","consumer":"bob"}],"file":"` + file + `","snapshot":""}`,
		`{"credentials":[{"digest":"` + digestOf(t, "b") + `","consumer":"bob"}],"file":"` + file + `.gone","snapshot":""}`,
		`{"stores":["postgres"],"postgres":{"dsn":"postgres://127.0.0.1:1/kong"}}`,
	} {
		c := New(g)
		require.NoError(t, c.UnmarshalJSON([]byte(json)))
		c.Prepare()
		t.Cleanup(c.Close)
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"keyauth_store_keys file": 2, "keyauth_store_up file": 0,
		"keyauth_cache_lookups_total hit postgres": 0, "keyauth_cache_lookups_total failed postgres": 0,
		"keyauth_requests_total accepted": 0, "keyauth_requests_total kong_error": 0, "keyauth_config_errors_total": 0,
	} {
		v, there := got[name]
		assert.True(t, there, name)
		assert.Equal(t, want, v, name)
	}
}
