package admin

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// metrics are what became of requests. Their labels are the methods, routes and statuses that the program knows: paths hold
// keys. Make them with newMetrics.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec // method, route, status
	seconds  prometheus.Histogram
	changes  *prometheus.CounterVec // entity, action
	panics   prometheus.Counter
}

// noRoute is the route of requests that none fits, or that had no token.
const noRoute = "none"

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "keyauth_admin_requests_total",
			Help: "Requests by method, route and the status of the answer; the route none is for unknown paths and for requests without a token."}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "keyauth_admin_request_seconds",
			Help: "Time that requests with a token took.", Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5}}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "keyauth_admin_changes_total",
			Help: "Changes that were stored, by what was changed and how."}, []string{"entity", "action"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "keyauth_admin_panics_total",
			Help: "Requests that ended by a defect of the program."}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.changes, m.panics)
	return m
}

// count counts a request.
func (m *metrics) count(method, route string, status int) {
	if route == "" {
		route = noRoute
	}
	m.requests.WithLabelValues(logged(method), route, strconv.Itoa(status)).Inc()
}

// A plainText is a body in Prometheus' text format, in place of JSON.
type plainText []byte

var plainTextType = string(expfmt.NewFormat(expfmt.TypeTextPlain)) // read-only

func showMetrics(c *call) (answer, error) {
	families, err := c.metrics.registry.Gather()
	var b bytes.Buffer
	for _, family := range families {
		_, writeErr := expfmt.MetricFamilyToText(&b, family)
		err = errors.Join(err, writeErr)
	}
	if err != nil {
		return answer{}, err
	}
	return ok(plainText(b.Bytes()))
}
