package kongdev

import (
	"errors"
	"fmt"
	"strings"

	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/lua"
)

// A phase is one of Kong's, as a bit; a set of them says where a call is allowed.
type phase uint32

const (
	phaseInitWorker  phase = 0x1
	phaseCertificate phase = 0x2
	phaseRewrite     phase = 0x10
	phaseAccess      phase = 0x20
	phaseBalancer    phase = 0x40
	phaseResponse    phase = 0x80
	phaseCluster     phase = 0x100
	phaseHeader      phase = 0x200
	phaseBody        phase = 0x400
	phaseLog         phase = 0x2000
	phasePreread     phase = 0x4000
	phaseError       phase = 0x1000000
	phaseAdmin       phase = 0x10000000
	anyPhase         phase = 0xffffffff
)

var phaseNames = []struct { // read-only; in the order in which Kong lists them
	phase phase
	name  string
}{
	{phaseInitWorker, "init_worker"}, {phaseCertificate, "certificate"}, {phaseRewrite, "rewrite"}, {phaseAccess, "access"},
	{phaseBalancer, "balancer"}, {phaseResponse, "response"}, {phaseCluster, "cluster_listener"}, {phaseHeader, "header_filter"},
	{phaseBody, "body_filter"}, {phaseLog, "log"}, {phasePreread, "preread"}, {phaseError, "error"}, {phaseAdmin, "admin_api"},
}

func (p phase) names() string {
	var names []string
	for _, n := range phaseNames {
		if p&n.phase != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

// An event is one phase of one plugin for one request.
type event struct {
	req       *request
	conf      *pluginConfig
	trace     *traceEvent
	together  bool // the frame read last came with the one before
	abandoned []func()
}

// abandon leaves a connection as it is until Kong lets go of the request, or of
// the timer that a log handler runs in.
func (ev *event) abandon(end func()) {
	if ev.req.phase == phaseLog {
		ev.abandoned = append(ev.abandoned, end)
		return
	}
	ev.req.atEnd(end)
}

// call runs one PDK method for the plugin: its phase is checked first.
func (ev *event) call(name string, m pdkMethod, args []byte) ([]byte, error) {
	q := ev.req
	if m.call == nil {
		q.gw.counters.missing(name)
		q.gw.log.Printf(errorlog.Err, "[%s] %s is not in kongdev yet", ev.conf.plugin.Name, name)
		return nil, errNotImplemented
	}
	if m.phases&q.phase == 0 {
		return nil, lua.Raise("function cannot be called in %s phase (only in: %s)", q.phase.names(), m.phases.names())
	}
	if q.phase == phaseLog && !m.inLog {
		return nil, errTimer
	}
	return m.call(ev, args)
}

var (
	errNotImplemented = &rpcError{text: "not in kongdev yet"}                        // read-only
	errTimer          = &lua.Error{Text: "API disabled in the context of ngx.timer"} // read-only
)

// A serverError is a failed event that Kong answers with a 500 of its own.
type serverError struct{ cause error }

func (e *serverError) Error() string { return "pluginserver error: " + e.cause.Error() }

// An exitSignal carries the plugin's own answer out of an event.
type exitSignal struct{ reply *kongReply }

func (*exitSignal) Error() string { return "exit" }

// maxRepeats bounds the repeats of an event. Kong has no bound: a server that
// always closes keeps a worker busy for ever.
const maxRepeats = 100

// handleEvent runs one event, again whenever the server closes the connection.
// It returns nil, *lua.Error or *startError (raised), *exitSignal or *serverError.
func (q *request) handleEvent(conf *pluginConfig, name string) error {
	w, log := q.worker, q.gw.log
	if conf.plugin.socket == "" {
		return q.runStandIn(conf, name)
	}
	for repeats := 0; ; repeats++ {
		ev := &event{req: q, conf: conf, trace: q.trace.event(conf, name)}
		id, err := w.instanceID(conf, ev.trace)
		if err == nil {
			ev.trace.instance(id)
			_, err = w.rpc(conf.plugin).call(fieldHandleEvent, handleEventCommand(id, name), ev)
		}
		for _, end := range ev.abandoned {
			end()
		}
		ev.trace.ended(err, ev.together)
		var returned *rpcError
		if !errors.As(err, &returned) {
			return err
		}
		text := strings.ToLower(returned.text)
		if !strings.Contains(text, "no plugin instance") && !strings.Contains(text, "closed") {
			log.Printf(errorlog.Err, "[%s] pluginserver error: %s", conf.plugin.Name, returned.text)
			return &serverError{returned}
		}
		if repeats == maxRepeats {
			err := fmt.Errorf("%s: the plugin server closed the connection %d times in a row during %s of one request; "+
				"Kong would repeat it without end, kongdev stops here: look at the plugin's own log", returned.text, repeats+1, name)
			log.Printf(errorlog.Err, "[%s] %v", conf.plugin.Name, err)
			return &serverError{err}
		}
		w.gen.reset(conf.plugin.Name)
		log.Printf(errorlog.Warn, "[%s] %s", conf.plugin.Name, returned.text)
		q.gw.counters.retries.Add(1)
	}
}

// fail records why a request, or a log event, failed.
func (q *request) fail(conf *pluginConfig, phase string, err error) {
	q.gw.counters.failure(q.id, Failure{Phase: phase, Plugin: conf.plugin.Name, Reason: reason(err), Text: err.Error()})
}

// reason puts an event's error into one of a few drawers.
func reason(err error) string {
	var start *startError
	if errors.As(err, &start) {
		return "start instance: " + start.text
	}
	var server *serverError
	if errors.As(err, &server) {
		switch {
		case errors.Is(server.cause, errNotImplemented):
			return "not in kongdev"
		case errors.Is(server.cause, errUnknownMethod):
			return "unknown method"
		case strings.HasPrefix(server.cause.Error(), "Could not claim"):
			return "claim"
		case strings.Contains(server.cause.Error(), "without end"):
			return "endless repeats"
		}
		return server.cause.Error() // a socket error: connection refused, connection reset by peer, timeout
	}
	switch text := err.Error(); text {
	case "broken pipe", "connection reset by peer", "timeout":
		return "send: " + text
	case "closed":
		return "send: closed"
	}
	return "lua error"
}

// leakNote tells what a Lua error in log does to a real Kong: its code never
// takes back what it saved of the request, and a coroutine that is used again
// still finds it.
func leakNote(err error) string {
	var raised *lua.Error
	if !errors.As(err, &raised) {
		return ""
	}
	return ", and in Kong another request could then read this one's headers"
}

// rewritePhase runs the global rewrite handlers. The error is what ended the request.
func (q *request) rewritePhase() error {
	q.phase = phaseRewrite
	for _, conf := range q.gen.rewrites {
		q.ctx.pluginID = conf.entity.ID
		if err := q.handleEvent(conf, "rewrite"); err != nil {
			q.note(conf, "rewrite", err)
			return err
		}
	}
	return nil
}

// accessPhase collects the configurations that fit the request and runs their
// access handlers until one answers.
func (q *request) accessPhase() {
	it := q.gen.iterator
	var routeID, serviceID string
	if r := q.route(); r != nil {
		routeID = r.ID
	}
	if s := q.service(); s != nil {
		serviceID = s.ID
	}
	q.collected.done = true
	for _, p := range it.plugins {
		conf := it.lookup(p.Name, routeID, serviceID, q.consumerID())
		if conf == nil {
			continue
		}
		if p.phases["log"] {
			q.collected.log = append(q.collected.log, conf)
		}
		if p.phases["header_filter"] {
			q.collected.headers = append(q.collected.headers, conf)
		}
		if p.phases["response"] {
			q.collected.response = append(q.collected.response, conf)
			if !truthy(q.ctx.bufferedProxying) {
				q.ctx.bufferedProxying = true
			}
		}
		if !p.phases["access"] || q.delayed() {
			continue
		}
		q.ctx.pluginID = conf.entity.ID
		err := q.handleEvent(conf, "access")
		if err == nil {
			continue
		}
		q.note(conf, "access", err)
		var exit *exitSignal
		var server *serverError
		switch {
		case errors.As(err, &exit):
			q.ctx.exit = exit.reply // even after delayed_response was set: Kong sends at once then
		case errors.As(err, &server):
			q.ctx.exited = true
			q.ctx.exit, _ = q.errorReply(500, nil, nil)
		default:
			q.ctx.unexpected = true
			q.ctx.delayed = lua.NewFields(map[string]lua.Value{
				"status_code": 500.0,
				"content":     lua.NewFields(map[string]lua.Value{"message": unexpectedError}),
			})
			q.ctx.exit = nil
		}
	}
}

const unexpectedError = "An unexpected error occurred"

// delayed reports whether an access handler has answered.
func (q *request) delayed() bool { return q.ctx.exit != nil || truthy(q.ctx.delayed) }

// note logs and counts an event's error; an exit is none.
func (q *request) note(conf *pluginConfig, phase string, err error) {
	var exit *exitSignal
	if errors.As(err, &exit) {
		return
	}
	var server *serverError
	if !errors.As(err, &server) { // those are logged where they arise
		q.gw.log.Printf(errorlog.Err, "[%s] %s, %s phase, request_id: %q", conf.plugin.Name, err, phase, q.id)
	}
	q.out.failed = true
	q.fail(conf, phase, err)
}

// responsePhase runs the response handlers of a buffered request. The error is
// what ended the phase.
func (q *request) responsePhase() error {
	q.phase = phaseResponse
	for _, conf := range q.collected.response {
		q.ctx.pluginID = conf.entity.ID
		if err := q.handleEvent(conf, "response"); err != nil {
			q.note(conf, "response", err)
			return err
		}
	}
	return nil
}

// logPhase starts the log handlers, each on a copy of the request.
func (q *request) logPhase() {
	confs := q.collected.log
	if !q.collected.done {
		confs = q.gen.logs
	}
	q.trace.answered(q, len(confs))
	if len(confs) == 0 {
		return
	}
	q.phase = phaseLog
	q.times.logStart = nowMS()
	q.logOnce = &serialized{}
	base := q.snapshot()
	q.logOnce.base = base
	if len(q.serializeValues) > 0 {
		if _, err := base.serialize(); err != nil { // Kong serializes for the first handler, and nothing catches that error
			q.gw.counters.lostLogs.Add(int64(len(confs)))
			q.fail(confs[0], "log", err)
			q.gw.log.Printf(errorlog.Err, "[%s] %s, log phase, request_id: %q; no log handler runs", confs[0].plugin.Name, err, q.id)
			for range confs {
				q.trace.logEnded()
			}
			return
		}
	}
	for _, conf := range confs {
		s := q.snapshot()
		s.ctx.pluginID = conf.entity.ID
		q.gen.active.join()
		started := q.gw.logs.run(func() {
			defer q.gen.active.leave()
			defer q.trace.logEnded()
			if err := s.handleEvent(conf, "log"); err != nil {
				q.gw.counters.lostLogs.Add(1)
				s.fail(conf, "log", err)
				q.gw.log.Printf(errorlog.Err, "[%s] %s, log phase, request_id: %q; this log event is lost%s", conf.plugin.Name, err, s.id, leakNote(err))
			}
		})
		if !started {
			q.gen.active.leave()
			q.trace.logEnded()
			q.gw.counters.lostLogs.Add(1)
			q.gw.log.Printf(errorlog.Alert, "%d lua_max_pending_timers are not enough: the log event of %s is lost", maxPendingTimers, conf.plugin.Name)
		}
	}
}
