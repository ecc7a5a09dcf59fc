package keyauth

import "github.com/prometheus/client_golang/prometheus"

// stats are the plugin's metrics. Make them with newStats.
type stats struct {
	requests     *prometheus.CounterVec // result
	byResult     [results]prometheus.Counter
	configErrors prometheus.Counter
}

func newStats() *stats {
	s := &stats{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "keyauth", Name: "requests_total",
			Help: "Requests by what became of them."}, []string{"result"}),
		configErrors: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "keyauth", Name: "config_errors_total",
			Help: "Configurations that are wrong; their requests are answered with 500."}),
	}
	for r, name := range resultNames { // shown as 0 from the start, so that an increase is an increase
		s.byResult[r] = s.requests.WithLabelValues(name)
	}
	return s
}

func (s *stats) count(r result) { s.byResult[r].Inc() }
