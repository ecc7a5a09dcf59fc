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
	calls  *prometheus.CounterVec
	caches *prometheus.CounterVec
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
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "datakit_calls_total", Help: "Calls by what they were answered with in the end: 2xx, 4xx ..., or none.",
		}, []string{"node", "answer"}),
		caches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "datakit_cache_total", Help: "What nodes of type cache came to: hit, miss, stored, or failed.",
		}, []string{"node", "result"}),
		config: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "datakit_config_errors_total", Help: "Configurations that were wrong; their requests are answered with 500.",
		}),
	}
}

func (s *stats) register(r prometheus.Registerer) {
	r.MustRegister(s.nodes, s.ends, s.phases, s.calls, s.caches, s.config)
}

// answers count the calls of a node by the first digit of the response code; 0 is none.
type answers [6]prometheus.Counter

func (s *stats) answersOf(node string) (a answers) {
	for i, class := range [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		a[i] = s.calls.WithLabelValues(node, class)
	}
	return a
}

// note counts a call; 0 is one without an answer.
func (a answers) note(status int) {
	if class := status / 100; class < len(a) {
		a[class].Inc()
	}
}

// lookups count what a node of type cache came to.
type lookups struct{ hit, miss, stored, failed prometheus.Counter }

func (s *stats) lookupsOf(node string) lookups {
	of := func(result string) prometheus.Counter { return s.caches.WithLabelValues(node, result) }
	return lookups{of("hit"), of("miss"), of("stored"), of("failed")}
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
