package moesif

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// ofTheServer are the metrics of the plugin server that the alerts and the dashboard use.
var ofTheServer = []string{"moesif_server_panics_total"} // read-only

var metricName = regexp.MustCompile(`\bmoesif_[a-z_]+`)

// metricNames returns the names of all metrics that the plugin has, those without a value included.
func metricNames(t *testing.T) (names map[string]bool) {
	t.Helper()
	ch := make(chan *prometheus.Desc, 100)
	newTestCapture(t).Register(describer{ch})
	close(ch)
	names = map[string]bool{}
	for d := range ch {
		name, _, _ := strings.Cut(strings.TrimPrefix(d.String(), `Desc{fqName: "`), `"`)
		names[name] = true
	}
	return names
}

// A describer is a registry that asks for descriptions only.
type describer struct{ ch chan *prometheus.Desc }

func (d describer) Register(c prometheus.Collector) error { c.Describe(d.ch); return nil }
func (d describer) Unregister(prometheus.Collector) bool  { return false }
func (d describer) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		c.Describe(d.ch)
	}
}

// Every metric that an alert or a panel asks for exists, and every one that exists is explained.
func TestAlertsAndDashboard(t *testing.T) {
	names := metricNames(t)
	require.Contains(t, names, "moesif_events_sent_total")
	read := func(file string) string {
		data, err := os.ReadFile("../docs/" + file)
		require.NoError(t, err)
		return string(data)
	}
	known := func(where, expression string) {
		found := metricName.FindAllString(expression, -1)
		assert.NotEmpty(t, found, "%s: %s", where, expression)
		for _, name := range found {
			name = strings.TrimSuffix(name, "_bucket")
			assert.True(t, names[name] || slices.Contains(ofTheServer, name), "%s asks for %s", where, name)
		}
	}

	var alerts struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(read("moesif-alerts.yml")))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&alerts))
	require.Len(t, alerts.Groups, 1)
	require.NotEmpty(t, alerts.Groups[0].Rules)
	for _, r := range alerts.Groups[0].Rules {
		known(r.Alert, r.Expr)
		assert.NotEmpty(t, r.Annotations["summary"], r.Alert)
		assert.NotEmpty(t, r.Annotations["description"], r.Alert)
		assert.Contains(t, []string{"warning", "critical"}, r.Labels["severity"], r.Alert)
	}

	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(read("moesif-dashboard.json")), &dashboard))
	require.NotEmpty(t, dashboard.Panels)
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		assert.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			known(p.Title, target.Expr)
		}
	}

	page := read("moesif.md")
	for name := range names {
		assert.True(t, strings.Contains(page, "`"+name), "docs/moesif.md explains %s", name)
	}
}
