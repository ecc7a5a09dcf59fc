package moesif

import "github.com/prometheus/client_golang/prometheus"

// stats are the metrics of the handlers; those of the queues are send's. Make them with newStats.
type stats struct {
	received     prometheus.Counter
	sampledOut   prometheus.Counter
	configErrors prometheus.Counter
	stateLost    *prometheus.CounterVec // reason
}

// Why events are dropped before they reach a queue.
const (
	dropUnread = "unread" // Kong did not give the request's data
	dropConfig = "config" // the configuration is wrong
)

func newStats() *stats {
	s := &stats{
		received: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "moesif", Name: "events_received_total",
			Help: "Requests that reached the log phase."}),
		sampledOut: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "moesif", Name: "events_sampled_out_total",
			Help: "Requests that the collector's sampling rates leave out."}),
		configErrors: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "moesif", Name: "config_errors_total",
			Help: "Configurations that are wrong; their requests are not captured."}),
		stateLost: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "moesif", Name: "request_state_lost_total",
			Help: "Requests whose body or id was lost between two phases."}, []string{"reason"}),
	}
	for _, reason := range []string{lostFull, lostExpired} { // shown as 0 from the start, so that an increase is an increase
		s.stateLost.WithLabelValues(reason)
	}
	return s
}

// register adds the metrics to r.
func (s *stats) register(r prometheus.Registerer) {
	r.MustRegister(s.received, s.sampledOut, s.configErrors, s.stateLost)
}
