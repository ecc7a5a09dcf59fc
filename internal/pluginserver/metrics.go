package pluginserver

import (
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counts are what the request path adds to: plain atomics, read at a scrape.
type counts struct {
	events          [len(phaseNames)]atomic.Uint64
	flights         [len(phaseNames)]atomic.Uint64 // writes to Kong; each is a round trip of the request it belongs to
	connections     atomic.Int64
	panics          atomic.Uint64
	timeouts        atomic.Uint64
	refused         atomic.Uint64
	broken          atomic.Uint64
	droppedCalls    atomic.Uint64
	unknownInstance atomic.Uint64
	badConfig       atomic.Uint64
}

func (c *counts) event(p phases) {
	if p != 0 {
		c.events[bits.TrailingZeros8(uint8(p))].Add(1)
	}
}

func (c *counts) flight(p phases) {
	if p != 0 {
		c.flights[bits.TrailingZeros8(uint8(p))].Add(1)
	}
}

// A collector reads a server's counts for Prometheus.
type collector struct{ s *server }

func (c *collector) desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(metricPrefix(c.s.plugin.Name), "server", name), help, labels, nil)
}

// Describe sends nothing: the collector is unchecked.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	n := &c.s.counts
	events := c.desc("events_total", "Events that Kong sent, by phase.", "phase")
	flights := c.desc("flights_total", "Round trips to Kong, by phase; the fewest is one an event.", "phase")
	for i, name := range phaseNames {
		if v := n.events[i].Load(); v > 0 {
			ch <- prometheus.MustNewConstMetric(events, prometheus.CounterValue, float64(v), name)
			ch <- prometheus.MustNewConstMetric(flights, prometheus.CounterValue, float64(n.flights[i].Load()), name)
		}
	}
	for _, m := range []struct {
		name, help string
		value      uint64
	}{
		{"panics_total", "Handlers that panicked.", n.panics.Load()},
		{"timeouts_total", "Handlers that did not return within their time budget.", n.timeouts.Load()},
		{"refused_events_total", "Events that Kong ended with calls unanswered.", n.refused.Load()},
		{"broken_events_total", "Events whose connection failed.", n.broken.Load()},
		{"dropped_calls_total", "Calls of a handler after Exit.", n.droppedCalls.Load()},
		{"unknown_instances_total", "Events for an instance of another process.", n.unknownInstance.Load()},
		{"bad_configurations_total", "Events whose configuration could not be read.", n.badConfig.Load()},
	} {
		ch <- prometheus.MustNewConstMetric(c.desc(m.name, m.help), prometheus.CounterValue, float64(m.value))
	}
	ch <- prometheus.MustNewConstMetric(c.desc("connections", "Connections of Kong."), prometheus.GaugeValue, float64(n.connections.Load()))
	ch <- prometheus.MustNewConstMetric(c.desc("instances", "Configurations that Kong has started."), prometheus.GaugeValue, float64(c.s.instances.len()))
}

// metricPrefix makes a metric name of a plugin's own name; -name does not change it, so dashboards fit every instance.
func metricPrefix(name string) string {
	b := []byte(name)
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', i > 0 && '0' <= c && c <= '9':
		default:
			b[i] = '_'
		}
	}
	return string(b)
}
