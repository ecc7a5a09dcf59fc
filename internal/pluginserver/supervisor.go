package pluginserver

import (
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"time"
)

const (
	readyTime      = 10 * time.Second // a worker that is not ready by then is killed
	patience       = 2 * time.Second  // without a worker, until requests are answered by the plugin's policy
	handOverLimit  = 75 * time.Second // for a worker to give up its connections; events and lingering included
	acceptGrace    = 5 * time.Second  // how long a worker accepts on when it was told to end, if nobody takes the socket
	drainTime      = 5 * time.Second  // for the plugin's Drain
	eventsTime     = 30 * time.Second // for the events that are still running
	logFlushTime   = time.Second
	controlFlush   = time.Second
	retirementTime = acceptGrace + eventsTime + drainTime + 5*time.Second
)

// A supervisor is the process that Kong starts. It owns the listening socket, runs the plugin's code in a child, and
// holds a copy of each of the child's connections, so that the death of the child costs next to nothing: see
// docs/architecture.md. It has no part in serving an event.
//
// One goroutine, run, owns all fields below the line; others hand it functions with post.
type supervisor struct {
	plugin   Plugin
	options  options
	args     []string
	log      *slog.Logger
	sink     *logSink
	listener *net.UnixListener
	setup    workerSetup
	dump     pluginDump
	counts   *supervisorCounts

	spawn  func(*program) (*workerProcess, error) // starts a process
	posted chan func()
	done   chan struct{} // closed when run has ended
	tasks  sync.WaitGroup
	linger lingerer

	// --- owned by run
	program  *program // what a worker is started from
	serving  *workerProcess
	starting *workerProcess // neither serving nor the successor of a hand-over
	workers  map[*workerProcess]struct{}
	table    instanceTable
	orphans  []idleConn // without a worker
	backoff  backoff
	restart  *time.Timer
	noWorker *time.Timer
	fallback *fallback
	change   *handOver
	again    bool // a hand-over was asked for during another
	scrapes  map[uint32]scrape
	token    uint32
	stopping bool
	ended    bool
	lastExit string

	socketMode fs.FileMode // for a socket that must be made again
	socketTold time.Time   // when it last could not
}

func newSupervisor(p Plugin, o options, args []string, sink *logSink, log *slog.Logger) *supervisor {
	s := &supervisor{
		plugin: p, options: o, args: args, log: log, sink: sink,
		posted:  make(chan func(), 64),
		done:    make(chan struct{}),
		workers: map[*workerProcess]struct{}{},
		scrapes: map[uint32]scrape{},
	}
	s.counts = newSupervisorCounts(p.Name, sink)
	s.spawn = func(p *program) (*workerProcess, error) { return startWorker(p, s.args, s.listener) }
	return s
}

// post hands f to run and reports whether run took it. It does not when it has ended.
func (s *supervisor) post(f func()) bool {
	select {
	case <-s.done: // there may be room all the same
		return false
	default:
	}
	select {
	case s.posted <- f:
		return true
	case <-s.done:
		return false
	}
}

// after posts f when d has passed, unless the timer is stopped.
func (s *supervisor) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { s.post(f) })
}

func stopTimer(t **time.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}

// run starts a worker and keeps one running until the supervisor is told to stop and the last worker has ended.
func (s *supervisor) run(listener *net.UnixListener, id fileID, p *program) {
	s.listener, s.program = listener, p
	s.setup = workerSetup{Socket: s.options.socket, ID: id}
	s.noWorker = s.after(patience+s.plugin.slack, s.answerByPolicy)
	s.launch()
	for !s.ended {
		f := <-s.posted
		f()
		s.counts.held.Set(float64(s.heldConnections()))
		s.counts.instances.Set(float64(len(s.table.configs)))
	}
	close(s.done)
	s.finish()
}

func (s *supervisor) heldConnections() int {
	n := len(s.orphans)
	for w := range s.workers {
		n += w.held.len()
	}
	return n
}

// launch starts the worker that is to serve.
func (s *supervisor) launch() {
	stopTimer(&s.restart)
	if s.stopping || s.starting != nil || s.serving != nil {
		return
	}
	w, err := s.start(s.program)
	if err != nil {
		s.lastExit = err.Error()
		s.relaunch(0)
		return
	}
	s.starting = w
}

// start starts a worker and gives it the table. It is killed if it is not ready in time.
func (s *supervisor) start(p *program) (*workerProcess, error) {
	w, err := s.spawn(p)
	if err != nil {
		return nil, err
	}
	s.workers[w] = struct{}{}
	w.socket = s.setup.ID
	s.tasks.Go(func() { w.watch(s.report, s.sink) })
	if !w.begin(s.setup, &s.table) {
		w.kill()
	}
	w.limit = s.after(readyTime+s.plugin.slack, func() {
		s.log.Error("worker not ready in time, killing it", "pid", w.pid(), "after", readyTime)
		w.kill()
	})
	return w, nil
}

// report is called by the goroutines that watch workers.
func (s *supervisor) report(e workerEvent) {
	f := func() { s.handle(e.worker, e.message) }
	if e.ended {
		f = func() { s.died(e.worker, e.err) }
	}
	if !s.post(f) && !e.ended {
		closeFD(e.message.fd)
	}
}

// handle acts on a worker's message.
func (s *supervisor) handle(w *workerProcess, m controlMessage) {
	switch m.kind {
	case msgReady:
		s.becameReady(w)
	case msgOpened:
		w.held.opened(m.id, m.fd)
		m.fd = -1
	case msgClosed:
		closeFD(w.held.take(m.id))
	case msgGive:
		if fd := w.held.take(m.id); fd >= 0 {
			s.place(idleConn{fd: fd})
		} else if m.fd >= 0 {
			s.place(idleConn{fd: m.fd})
			m.fd = -1
		}
	case msgInstance:
		s.remember(w, int32(m.id), m.payload)
	case msgInstanceGone:
		if w == s.serving { // one that leaves knows only of its own events
			s.table.remove(int32(m.id))
		}
	case msgMetrics:
		s.scraped(m.id, m.payload)
	case msgLeaving:
		s.replace(w)
	}
	closeFD(m.fd)
}

// remember keeps an instance for the workers to come and tells the others that are there.
func (s *supervisor) remember(from *workerProcess, id int32, config []byte) {
	if !s.table.put(id, config) {
		s.log.Warn("instance not remembered, Kong will start it again after a restart of the worker", "bytes", len(config))
		return
	}
	for w := range s.workers {
		if w != from && !w.control.send(controlMessage{kind: msgRestore, id: uint32(id), fd: -1, payload: config}) {
			w.kill()
		}
	}
	if s.fallback != nil {
		s.fallback.server.restore(id, config)
	}
}

// becameReady moves everything that waits to the worker.
func (s *supervisor) becameReady(w *workerProcess) {
	if w.state != workerStarting {
		return
	}
	stopTimer(&w.limit)
	w.ready, w.state = time.Now(), workerServing
	s.log.Info("worker ready", "pid", w.pid(), "after", time.Since(w.started).Round(time.Millisecond))
	before := s.serving
	s.serving = w
	stopTimer(&s.noWorker)
	stopTimer(&s.restart)
	if w == s.starting {
		s.starting = nil
	} else if s.starting != nil { // the successor of a hand-over was faster
		s.starting.state = workerLeaving
		s.starting.kill()
		s.starting = nil
	}
	if s.fallback != nil {
		s.endFallback()
	}
	orphans := s.orphans
	s.orphans = nil
	for _, c := range orphans {
		s.place(c)
	}
	if s.change != nil && s.change.next == w {
		s.handedOver(before)
	} else if before != nil {
		s.dismiss(before)
	}
}

// place gives an idle connection to whoever can serve it.
func (s *supervisor) place(c idleConn) {
	switch {
	case s.serving != nil && s.serving.state == workerServing:
		toSend, err := s.serving.held.adopt(c.fd)
		if err != nil {
			s.linger.end(c.fd)
			return
		}
		if !s.serving.control.send(controlMessage{kind: msgAdopt, id: c.owed, fd: toSend}) {
			s.serving.kill()
		}
	case s.stopping:
		s.linger.end(c.fd)
	case s.fallback != nil:
		s.fallback.adopt(c, &s.linger)
	default:
		s.orphans = append(s.orphans, c)
	}
}

// died takes over what a dead worker has left and sees to the next one.
func (s *supervisor) died(w *workerProcess, err error) {
	delete(s.workers, w)
	stopTimer(&w.limit)
	accepted := w.accepted()
	if s.serving == w {
		s.serving = nil
	}
	idle, busy := w.held.split(w.busy.idle)
	for _, fd := range busy { // Kong repeats these; the idle ones go to the worker that answers
		s.linger.end(fd)
	}
	for _, c := range idle {
		s.place(c)
	}
	_ = w.busy.close()
	s.unscraped(w)
	if err != nil || w.state != workerLeaving {
		s.lastExit = exitText(err)
	}
	switch {
	case s.change != nil && s.change.next == w:
		s.refuseChange("it ended before it was ready: " + exitText(err))
	case w.state == workerLeaving && err == nil:
		s.log.Info("worker ended", "pid", w.pid())
	case w.state == workerLeaving:
		s.log.Warn("worker ended early", "pid", w.pid(), "exit", exitText(err))
	default:
		s.log.Error("worker died", "pid", w.pid(), "exit", exitText(err), "served", accepted.Round(time.Millisecond),
			"idle_connections", len(idle), "busy_connections", len(busy))
	}
	if s.starting == w {
		s.starting = nil
	}
	if w.program != s.program && (s.change == nil || w.program != s.change.program) {
		s.forgetProgram(w.program)
	}
	switch {
	case s.stopping:
		s.ended = len(s.workers) == 0
	case s.serving == nil && s.starting == nil && s.restart == nil:
		if s.noWorker == nil && s.fallback == nil {
			s.noWorker = s.after(patience+s.plugin.slack, s.answerByPolicy)
		}
		s.relaunch(accepted)
	}
}

// relaunch starts a worker now or after a pause.
func (s *supervisor) relaunch(accepted time.Duration) {
	s.counts.restarts.Inc()
	wait := s.backoff.died(accepted)
	if wait == 0 {
		s.launch()
		return
	}
	s.restart = s.after(wait, s.launch)
}

// forgetProgram closes a program that no worker runs any more.
func (s *supervisor) forgetProgram(p *program) {
	for w := range s.workers {
		if w.program == p {
			return
		}
	}
	p.close()
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

// stop ends the supervisor when its worker has ended. The worker accepts on for grace, unless another process has taken
// the socket's path, and then drains.
func (s *supervisor) stop(reason string, grace time.Duration) {
	if s.stopping {
		return
	}
	s.log.Info("ending", "reason", reason)
	s.stopping = true
	stopTimer(&s.restart)
	stopTimer(&s.noWorker)
	_ = s.listener.Close() // the workers have copies; the last one to close it refuses the rest
	if s.starting != nil {
		s.starting.state = workerLeaving
		s.starting.kill()
	}
	if s.change != nil && s.change.next != nil {
		s.change.next.state = workerLeaving
		s.change.next.kill()
	}
	if s.fallback != nil {
		s.endFallback()
	}
	if s.serving != nil {
		s.retire(s.serving, grace)
	}
	for _, c := range s.orphans {
		s.linger.end(c.fd)
	}
	s.orphans = nil
	s.after(retirementTime+s.plugin.slack, func() {
		for w := range s.workers {
			s.log.Error("worker did not end in time, killing it", "pid", w.pid())
			w.kill()
		}
	})
	s.ended = len(s.workers) == 0
}

func (s *supervisor) retire(w *workerProcess, grace time.Duration) {
	w.state = workerLeaving
	if !w.control.tell(msgRetire, uint32(grace.Milliseconds())) {
		w.kill()
	}
}

// killAll is the answer to a second interrupt.
func (s *supervisor) killAll() {
	for w := range s.workers {
		w.kill()
	}
}

// finish releases what run has owned.
func (s *supervisor) finish() {
	s.linger.wait(100 * time.Millisecond)
	s.linger.close()
	for w := range s.workers {
		w.kill()
	}
	s.tasks.Wait()
	s.program.close()
}
