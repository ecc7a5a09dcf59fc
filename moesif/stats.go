package moesif

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// stats are the plugin's metrics. Make them with newStats.
type stats struct {
	received     prometheus.Counter
	queued       prometheus.Counter
	sent         prometheus.Counter
	dropped      *prometheus.CounterVec // reason
	batches      *prometheus.CounterVec // result
	sendSeconds  prometheus.Histogram
	configErrors prometheus.Counter
	stateLost    *prometheus.CounterVec // reason
}

// Why events are dropped.
const (
	dropQueueFull = "queue_full" // event_queue_size or queue_max_bytes
	dropTooLarge  = "too_large"  // one event alone is larger than the queue
	dropRefused   = "refused"    // the collector refuses this very event
	dropShutdown  = "shutdown"   // the time to drain was over
	dropClosed    = "closed"     // the queue was closed already
	dropUnread    = "unread"     // Kong did not give the request's data
	dropPanic     = "panic"      // a defect in the sender
	dropConfig    = "config"     // the configuration is wrong
)

func newStats() *stats {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "moesif", Name: name, Help: help})
	}
	vector := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "moesif", Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value) // shown as 0 from the start, so that an increase is an increase
		}
		return v
	}
	return &stats{
		received: counter("events_received_total", "Requests that reached the log phase."),
		queued:   counter("events_queued_total", "Events put into a queue."),
		sent:     counter("events_sent_total", "Events that the collector took."),
		dropped: vector("events_dropped_total", "Events that were lost, by reason.", "reason",
			dropQueueFull, dropTooLarge, dropRefused, dropShutdown, dropClosed, dropUnread, dropPanic, dropConfig),
		batches: vector("batches_total", "Uploads by result.", "result",
			sent.String(), retry.String(), split.String(), hold.String()),
		sendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "moesif", Name: "send_seconds",
			Help: "Duration of uploads, failed ones included.", Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
		configErrors: counter("config_errors_total", "Configurations that are wrong; their requests are not captured."),
		stateLost: vector("request_state_lost_total", "Requests whose body or id was lost between two phases.", "reason",
			lostFull, lostExpired),
	}
}

// register adds the metrics to r, and gauges over all queues of c.
func (s *stats) register(r prometheus.Registerer, c *Capture) {
	gauge := func(name, help string, read func(events, bytes int) int) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "moesif", Name: name, Help: help}, func() float64 {
			return float64(read(c.queued()))
		})
	}
	r.MustRegister(s.received, s.queued, s.sent, s.dropped, s.batches, s.sendSeconds, s.configErrors, s.stateLost,
		gauge("queue_events", "Events waiting or on their way.", func(events, _ int) int { return events }),
		gauge("queue_bytes", "Memory of the events waiting or on their way.", func(_, bytes int) int { return bytes }))
}

// uploaded counts one upload.
func (s *stats) uploaded(o outcome, took time.Duration) {
	s.batches.WithLabelValues(o.class.String()).Inc()
	s.sendSeconds.Observe(took.Seconds())
}
