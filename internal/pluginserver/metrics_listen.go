package pluginserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

const (
	scrapeTime   = 2 * time.Second // for a worker to send its metrics
	metricsRetry = time.Second     // between attempts to listen
)

// supervisorCounts are the supervisor's own metrics. They outlive its workers.
type supervisorCounts struct {
	registry  *prometheus.Registry
	restarts  prometheus.Counter
	handOvers *prometheus.CounterVec
	held      prometheus.Gauge
	instances prometheus.Gauge
	fallback  prometheus.Gauge
}

func newSupervisorCounts(name string, sink *logSink) *supervisorCounts {
	metric := func(rest string) string { return prometheus.BuildFQName(metricPrefix(name), "supervisor", rest) }
	c := &supervisorCounts{
		registry:  prometheus.NewRegistry(),
		restarts:  prometheus.NewCounter(prometheus.CounterOpts{Name: metric("worker_restarts_total"), Help: "Workers that were started because one had died."}),
		handOvers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric("handovers_total"), Help: "Hand-overs to another process, by result."}, []string{"result"}),
		held:      prometheus.NewGauge(prometheus.GaugeOpts{Name: metric("held_connections"), Help: "Copies of Kong's connections that are held for the case that the worker dies."}),
		instances: prometheus.NewGauge(prometheus.GaugeOpts{Name: metric("instances"), Help: "Configurations that the next worker is given."}),
		fallback:  prometheus.NewGauge(prometheus.GaugeOpts{Name: metric("answering_by_policy"), Help: "1 while there is no worker and events are answered by the plugin's policy."}),
	}
	dropped := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: metric("log_lines_dropped_total"), Help: "Log lines that were dropped because the reader of the output was too slow."},
		func() float64 { return float64(sink.dropped.Load()) })
	c.registry.MustRegister(c.restarts, c.handOvers, c.held, c.instances, c.fallback, dropped)
	c.handOvers.WithLabelValues("done")
	c.handOvers.WithLabelValues("refused")
	return c
}

// metricsText is what g knows, in Prometheus' text format.
func metricsText(g prometheus.Gatherer) ([]byte, error) {
	families, err := g.Gather() // a family that fails does not hide the others
	var b bytes.Buffer
	for _, family := range families {
		if _, writeErr := expfmt.MetricFamilyToText(&b, family); writeErr != nil {
			return nil, errors.Join(err, writeErr)
		}
	}
	return b.Bytes(), err
}

// A scrape waits for a worker's metrics.
type scrape struct {
	worker *workerProcess
	reply  chan []byte // room for one
}

// ask sends the worker's metrics to reply, nil when there is none.
func (s *supervisor) ask(reply chan []byte) {
	w := s.serving
	s.token++
	if w == nil || !w.control.tell(msgScrape, s.token) {
		reply <- nil
		return
	}
	token := s.token
	s.scrapes[token] = scrape{worker: w, reply: reply}
	s.after(scrapeTime, func() { s.scraped(token, nil) })
}

func (s *supervisor) scraped(token uint32, text []byte) {
	if sc, ok := s.scrapes[token]; ok {
		delete(s.scrapes, token)
		sc.reply <- text
	}
}

// unscraped answers for a worker that has died.
func (s *supervisor) unscraped(w *workerProcess) {
	for token, sc := range s.scrapes {
		if sc.worker == w {
			s.scraped(token, nil)
		}
	}
}

// ServeHTTP answers a scrape with the supervisor's metrics and the worker's.
func (s *supervisor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" {
		http.Error(w, "metrics are at /metrics", http.StatusNotFound)
		return
	}
	own, err := metricsText(s.counts.registry)
	if err != nil {
		http.Error(w, "metrics cannot be collected", http.StatusInternalServerError)
		return
	}
	reply := make(chan []byte, 1)
	var theirs []byte
	if s.post(func() { s.ask(reply) }) {
		select {
		case theirs = <-reply:
		case <-r.Context().Done():
			return
		case <-s.done:
		}
	}
	w.Header().Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	_, _ = w.Write(append(own, theirs...))
}

// serveMetrics listens until ctx ends. While the address is taken, by the process before us for instance, it tries again.
func (s *supervisor) serveMetrics(ctx context.Context) {
	network, address, err := metricsAddress(s.options.metrics)
	if err != nil {
		s.log.Error("no metrics", "error", err)
		return
	}
	var told time.Time
	for {
		l, err := listenMetrics(network, address)
		if err == nil {
			s.log.Info("serving metrics", "address", l.Addr().String())
			err = s.serveOn(ctx, l)
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(told) >= reportEvery {
			told = time.Now()
			s.log.Warn("metrics address cannot be used, trying again", "address", s.options.metrics, "error", err)
		}
		select {
		case <-time.After(metricsRetry):
		case <-ctx.Done():
			return
		}
	}
}

func (s *supervisor) serveOn(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	return server.Serve(l)
}

func listenMetrics(network, address string) (net.Listener, error) {
	if network != "unix" {
		return net.Listen(network, address)
	}
	if folder, err := os.Stat(filepath.Dir(address)); err != nil || !folder.IsDir() {
		return nil, fmt.Errorf("%s is no folder; make it, or name another one with -metrics", filepath.Dir(address))
	}
	l, _, err := listenSocket(address, socketMode)
	return l, err
}

// metricsAddress splits the flag's value.
func metricsAddress(flag string) (network, address string, err error) {
	if path, isPath := strings.CutPrefix(flag, "unix:"); isPath {
		if !filepath.IsAbs(path) {
			return "", "", fmt.Errorf("-metrics %q: expected unix: and an absolute path, or host:port", flag)
		}
		return "unix", path, nil
	}
	_, port, err := net.SplitHostPort(flag)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return "", "", fmt.Errorf("-metrics %q: expected host:port, :port or unix:/path", flag)
	}
	return "tcp", flag, nil
}
