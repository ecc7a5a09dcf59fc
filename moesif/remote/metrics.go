package remote

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxRuleLabels is how many rules have a number of their own; their ids come from outside.
const maxRuleLabels = 100

// otherRules is the label of all further rules.
const otherRules = "other"

// Metrics are those of all sources of a process. Make them with NewMetrics. Safe for concurrent use.
type Metrics struct {
	blocked *prometheus.CounterVec // rule
	fetches *prometheus.CounterVec // document, result
	age     *prometheus.Desc
	rules   *prometheus.Desc

	mu      sync.Mutex
	labels  map[string]bool  // the rules that have a number of their own
	sources map[*Source]bool // those that run
}

// NewMetrics returns metrics at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		blocked: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "moesif", Name: "blocked_total",
			Help: "Requests that a governance rule blocked, by its id; from the 101st rule on as other."}, []string{"rule"}),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "moesif", Name: "config_fetches_total",
			Help: "Fetches of the collector's configuration and rules, by result."}, []string{"document", "result"}),
		age: prometheus.NewDesc("moesif_config_age_seconds",
			"Time since the collector last confirmed the configuration in force, or since the start if it never did; of several applications the longest.", nil, nil),
		rules:   prometheus.NewDesc("moesif_rules", "Governance rules in force, by type.", []string{"type"}, nil),
		labels:  map[string]bool{},
		sources: map[*Source]bool{},
	}
	for _, document := range []string{configName, rulesName} {
		for _, result := range results {
			m.fetches.WithLabelValues(document, result) // shown as 0 from the start, so that an increase is an increase
		}
	}
	return m
}

// Register adds the metrics to r.
func (m *Metrics) Register(r prometheus.Registerer) { r.MustRegister(m.blocked, m.fetches, gauges{m}) }

// Blocked counts a request that the rule of this id blocked.
func (m *Metrics) Blocked(ruleID string) {
	label := strings.ToValidUTF8(ruleID, "\ufffd")
	m.mu.Lock()
	if !m.labels[label] {
		if len(m.labels) < maxRuleLabels {
			m.labels[strings.Clone(label)] = true
		} else {
			label = otherRules
		}
	}
	m.mu.Unlock()
	m.blocked.WithLabelValues(label).Inc()
}

func (m *Metrics) add(s *Source) {
	m.mu.Lock()
	m.sources[s] = true
	m.mu.Unlock()
}

func (m *Metrics) remove(s *Source) {
	m.mu.Lock()
	delete(m.sources, s)
	m.mu.Unlock()
}

// gauges collects what is read from the sources when it is asked for.
type gauges struct{ *Metrics }

func (g gauges) Describe(c chan<- *prometheus.Desc) { c <- g.age; c <- g.rules }

func (g gauges) Collect(c chan<- prometheus.Metric) {
	var age time.Duration
	var count [ruleTypes]int
	g.mu.Lock()
	running := len(g.sources) > 0
	for s := range g.sources {
		age = max(age, time.Since(time.Unix(0, s.confirmed.Load())))
		if r := s.Snapshot().rules; r != nil {
			for i, n := range r.count {
				count[i] += n
			}
		}
	}
	g.mu.Unlock()
	if running {
		c <- prometheus.MustNewConstMetric(g.age, prometheus.GaugeValue, age.Seconds())
	}
	for i, n := range count {
		c <- prometheus.MustNewConstMetric(g.rules, prometheus.GaugeValue, float64(n), typeNames[i])
	}
}
