package datakit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stats are the plugin's metrics.
type stats struct {
	nodes  *prometheus.HistogramVec
	ends   *prometheus.CounterVec
	phases *prometheus.HistogramVec
	config prometheus.Counter
}

func newStats() *stats {
	return &stats{
		nodes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "datakit_node_seconds", Help: "Time that nodes took, by name and type.",
			Buckets: []float64{.00001, .0001, .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"node", "type"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "datakit_nodes_total", Help: "Nodes by what has become of them: complete, error, skipped or canceled.",
		}, []string{"node", "type", "result"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "datakit_workflow_seconds", Help: "Time that a phase of a workflow took, by its result: proxied, answered or failed.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"phase", "result"}),
		config: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "datakit_config_errors_total", Help: "Configurations that were wrong; their requests are answered with 500.",
		}),
	}
}

func (s *stats) register(r prometheus.Registerer) {
	r.MustRegister(s.nodes, s.ends, s.phases, s.config)
}

// observer returns what notes the ends of a node.
func (s *stats) observer(name, typ string) func(time.Duration, status) {
	took := s.nodes.WithLabelValues(name, typ)
	ends := [canceled + 1]prometheus.Counter{
		complete: s.ends.WithLabelValues(name, typ, "complete"), failed: s.ends.WithLabelValues(name, typ, "error"),
		skipped: s.ends.WithLabelValues(name, typ, "skipped"), canceled: s.ends.WithLabelValues(name, typ, "canceled"),
	}
	return func(d time.Duration, st status) {
		if st == complete || st == failed {
			took.Observe(d.Seconds())
		}
		if ends[st] != nil {
			ends[st].Inc()
		}
	}
}

// phase notes the end of a phase.
func (s *stats) phase(name string, o *Outcome, took time.Duration) {
	result := "proxied"
	switch {
	case o.Failure != nil:
		result = "failed"
	case o.Answer != nil:
		result = "answered"
	}
	s.phases.WithLabelValues(name, result).Observe(took.Seconds())
}
