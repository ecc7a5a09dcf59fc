package pluginserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sys/unix"
)

// A worker runs the plugin's code: it accepts from the socket that it has inherited, and takes its orders from the
// control channel and SIGTERM alone. It outlives its supervisor for as long as it has something to finish.
type worker struct {
	plugin   Plugin
	log      *slog.Logger
	server   *server
	listener *net.UnixListener
	control  *controlChannel
	registry *prometheus.Registry
	setup    workerSetup

	tasks    sync.WaitGroup
	linger   lingerer
	finished chan struct{} // closed when there is nothing left to do
	leaving  bool          // owned by run
	orphaned chan struct{} // closed when the supervisor is gone

	mu    sync.Mutex
	conns map[uint32]openConn
}

// An openConn is a connection of Kong, and whether the supervisor has been sent a copy of it.
type openConn struct {
	conn *net.UnixConn
	held bool
}

// runWorker is the main of a worker process. version is the supervisor's controlVersion.
func runWorker(p Plugin, version string) int {
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP, syscall.SIGINT)
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	_ = os.Unsetenv(workerMarker)
	spareCollector()

	o, err := parseOptions(p, os.Args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", o.name, err)
		return 2
	}
	if version != controlVersion {
		fmt.Fprintf(os.Stderr, "%s: this executable does not work with the process that runs (control version %s, not %s); restart it, or kong\n", o.name, controlVersion, version)
		return 1
	}
	sink, log := o.log.open(os.Stderr)
	defer func() { _ = sink.close(logFlushTime) }()
	slog.SetDefault(log)                                   // what the plugin logs has the form and the level of the flags, too, and never blocks
	stdlog.SetOutput(io.Discard)                           // libraries quote there what they have read: net/http a stray answer, which may echo a body
	_ = os.WriteFile("/proc/self/comm", []byte(o.name), 0) // it was started by number; for ps and pgrep

	w, err := newWorker(p, o, log, sink)
	if err != nil {
		log.Error("worker cannot start", "error", err)
		return 1
	}
	return w.run(terminate)
}

// newWorker makes a worker of the descriptors that were inherited.
func newWorker(p Plugin, o options, log *slog.Logger, sink *logSink) (*worker, error) {
	listenerFile, controlFile, busyFile := inherited(workerListenerFD, "listener"), inherited(workerControlFD, "control"), inherited(workerBusyFD, "busy-flags")
	defer listenerFile.Close()
	defer controlFile.Close()
	defer busyFile.Close()
	listener, err := listenerOf(listenerFile)
	if err != nil {
		return nil, fmt.Errorf("%w; %s is set by the supervisor only", err, workerMarker)
	}
	control, err := openControl(controlFile)
	if err != nil {
		return nil, err
	}
	busy, err := openBusyFlags(busyFile)
	if err != nil {
		return nil, err
	}
	w := &worker{plugin: p, log: log, listener: listener, control: control, finished: make(chan struct{}), orphaned: make(chan struct{}), conns: map[uint32]openConn{}}
	reports := p.Reports
	if reports == nil {
		reports = NewReports()
	}
	reports.configure(log, o.name)
	c := serverConfig{
		plugin: p, name: o.name, phases: o.phases, refuseByExit: o.refuseByExit, log: log, reports: reports, busy: busy,
		onOpen: w.opened, onClose: w.closed,
		onInstance: func(id int32, config []byte) {
			w.control.send(controlMessage{kind: msgInstance, id: uint32(id), fd: -1, payload: config})
		},
		onInstanceGone: func(id int32) { w.control.tell(msgInstanceGone, uint32(id)) },
	}
	if o.metrics != "" {
		w.registry = workerRegistry(p.Name, sink)
		c.registerer = w.registry
	}
	w.server = newServer(c)
	return w, nil
}

func inherited(fd int, name string) *os.File {
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name)
}

func workerRegistry(name string, sink *logSink) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: prometheus.BuildFQName(metricPrefix(name), "worker", "log_lines_dropped_total"),
			Help: "Log lines that the worker dropped because its supervisor was too slow.",
		}, func() float64 { return float64(sink.dropped.Load()) }))
	return r
}

// run obeys until the work is over.
func (w *worker) run(terminate <-chan os.Signal) int {
	messages := make(chan controlMessage)
	w.tasks.Go(func() { w.receive(messages) })
	var alone <-chan time.Time
	for {
		select {
		case m, ok := <-messages:
			if !ok {
				messages = nil
				close(w.orphaned)
				w.log.Warn("the supervisor is gone, ending when another process has the socket")
				w.leave(func() { w.retire(acceptGrace + w.plugin.slack) })
				continue
			}
			w.obey(m)
		case <-terminate:
			// Our supervisor, if it stays, starts another worker and tells us to hand over to it. If it goes, it tells us
			// or its end does. Only if nothing happens we end by ourselves.
			w.control.tell(msgLeaving, 0)
			alone = time.After(readyTime + w.plugin.slack + time.Second)
		case <-alone:
			w.leave(func() { w.retire(0) })
		case <-w.finished:
			w.end()
			return 0
		}
	}
}

// receive passes messages on until the supervisor is gone.
func (w *worker) receive(messages chan<- controlMessage) {
	defer close(messages)
	for {
		m, err := w.control.receive()
		if err != nil {
			w.control.discard()
			return
		}
		select {
		case messages <- m:
		case <-w.finished:
			closeFD(m.fd)
			return
		}
	}
}

func (w *worker) obey(m controlMessage) {
	switch m.kind {
	case msgSetup:
		if err := json.Unmarshal(m.payload, &w.setup); err != nil {
			w.log.Error("setup cannot be read", "error", err)
		}
	case msgRestore:
		w.server.restore(int32(m.id), m.payload)
	case msgServe:
		w.tasks.Go(w.accept)
		w.control.tell(msgReady, 0)
	case msgAdopt:
		if c, err := connOf(m.fd); err == nil {
			w.server.adopt(c, m.id)
		}
		m.fd = -1
	case msgHandOver:
		w.leave(w.handOver)
	case msgRetire:
		w.leave(func() { w.retire(time.Duration(m.id) * time.Millisecond) })
	case msgScrape:
		w.tasks.Go(func() { w.control.send(controlMessage{kind: msgMetrics, id: m.id, fd: -1, payload: w.metrics()}) })
	}
	closeFD(m.fd)
}

func (w *worker) accept() {
	if err := w.server.serve(w.listener); err != nil && !errors.Is(err, net.ErrClosed) {
		w.log.Error("accepting", "error", err)
	}
}

func (w *worker) metrics() []byte {
	if w.registry == nil {
		return nil
	}
	text, err := metricsText(w.registry)
	if err != nil {
		w.log.Warn("some metrics cannot be collected", "error", err)
	}
	return text
}

// leave begins the one way in which this worker ends.
func (w *worker) leave(how func()) {
	if w.leaving {
		return
	}
	w.leaving = true
	w.tasks.Go(func() {
		how()
		w.drainPlugin()
		close(w.finished)
	})
}
