package send

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kong-go-plugins/moesif/spool"
)

// Metrics are those of all queues of a process. Make them with NewMetrics.
type Metrics struct {
	queued      prometheus.Counter
	sent        prometheus.Counter
	dropped     *prometheus.CounterVec // reason
	batches     *prometheus.CounterVec // result
	sendSeconds prometheus.Histogram
	adopted     prometheus.Counter
	inFlight    prometheus.Gauge
	circuits    *prometheus.GaugeVec // state

	mu     sync.Mutex
	queues map[*Queue]bool // those that have not ended, for the gauges
}

// Why events are dropped.
const (
	dropQueueFull = "queue_full" // event_queue_size or queue_max_bytes
	dropTooLarge  = "too_large"  // one event alone is larger than the queue
	dropRefused   = "refused"    // the collector refuses this very event
	dropShutdown  = "shutdown"   // the time to drain was over
	dropClosed    = "closed"     // the queue was closed already
	dropPanic     = "panic"      // a defect in the sender
)

// NewMetrics returns metrics at zero. reasons are those for which events are dropped before they reach a queue.
func NewMetrics(reasons ...string) *Metrics {
	m := &Metrics{
		queued: counter("events_queued_total", "Events put into a queue."),
		sent:   counter("events_sent_total", "Events that the collector took."),
		dropped: vector("events_dropped_total", "Events that were lost, by reason.", "reason",
			append(reasons, spool.Full, spool.Aged, spool.Corrupt, spool.IO, dropQueueFull, dropTooLarge, dropRefused, dropShutdown, dropClosed, dropPanic)...),
		adopted: counter("spool_adopted_total", "Events in the spool that an ended process has left and that this one sends."),
		batches: vector("batches_total", "Uploads by result.", "result",
			sent.String(), retry.String(), split.String(), hold.String()),
		sendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "moesif", Name: "send_seconds",
			Help: "Duration of uploads, failed ones included.", Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "moesif", Name: "uploads_in_flight", Help: "Uploads on their way."}),
		circuits: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "moesif", Name: "circuits",
			Help: "Queues by what their collector does: takes events (closed), fails (open), or refuses to take any (held)."}, []string{"state"}),
		queues: map[*Queue]bool{},
	}
	for _, s := range []state{closed, open, held} {
		m.circuits.WithLabelValues(s.String())
	}
	return m
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "moesif", Name: name, Help: help})
}

// vector declares a counter whose label has these values, which are shown as 0 from the start, so that an increase is an
// increase.
func vector(name, help, label string, values ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "moesif", Name: name, Help: help}, []string{label})
	for _, value := range values {
		v.WithLabelValues(value)
	}
	return v
}

// Register adds the metrics to r.
func (m *Metrics) Register(r prometheus.Registerer) {
	gauge := func(name, help string, read func(q *Queue) int) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "moesif", Name: name, Help: help}, func() float64 {
			return float64(m.sum(read))
		})
	}
	r.MustRegister(m.queued, m.sent, m.dropped, m.batches, m.sendSeconds, m.adopted, m.inFlight, m.circuits,
		gauge("queue_events", "Events waiting or on their way.", func(q *Queue) int { events, _ := q.Size(); return events }),
		gauge("queue_bytes", "Memory of the events waiting or on their way.", func(q *Queue) int { _, bytes := q.Size(); return bytes }),
		gauge("spool_events", "Events on disk that are not sent.", func(q *Queue) int { events, _ := q.SpoolSize(); return events }),
		gauge("spool_bytes", "What the spool takes on disk.", func(q *Queue) int { _, bytes := q.SpoolSize(); return int(bytes) }))
}

// Drop counts an event that is lost before it reaches a queue.
func (m *Metrics) Drop(reason string) { m.dropped.WithLabelValues(reason).Inc() }

// uploaded counts one upload.
func (m *Metrics) uploaded(o outcome, took time.Duration) {
	m.batches.WithLabelValues(o.class.String()).Inc()
	m.sendSeconds.Observe(took.Seconds())
}

// sum adds up what read returns for each queue.
func (m *Metrics) sum(read func(q *Queue) int) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for q := range m.queues {
		n += read(q)
	}
	return n
}

func (m *Metrics) started(q *Queue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues[q] = true
}

func (m *Metrics) ended(q *Queue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.queues, q)
}
