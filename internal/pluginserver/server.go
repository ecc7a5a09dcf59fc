package pluginserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

const (
	budget      = 30 * time.Second // of a handler; Kong itself gives up after 60 s
	lingerTime  = time.Minute      // how long a connection that is over is read until Kong closes it
	leaveStep   = 4 * time.Millisecond
	backlogWait = 20 * time.Millisecond
)

type serverConfig struct {
	plugin         Plugin
	name           string                           // the plugin's name as told to Kong
	phases         []string                         // advertised phases
	refuseByExit   bool                             // Refuse answers by Exit, not by Kong's delayed response
	log            *slog.Logger                     // nil = slog.Default()
	registerer     prometheus.Registerer            // nil = none
	reports        *Reports                         // nil = new ones
	policyOnly     bool                             // no handlers: every event is answered by the plugin's policy
	busy           *busyFlags                       // nil = none shared
	onOpen         func(id uint32, c *net.UnixConn) // accepted or adopted
	onClose        func(id uint32)                  // ended by Kong or by us, but not handed over
	onInstance     func(id int32, config []byte)
	onInstanceGone func(id int32)
}

// A server speaks Kong's protocol ProtoBuf:1 for one plugin.
type server struct {
	serverConfig
	prepares  bool // the plugin's configurations have a Prepare
	instances instances
	counts    counts
	panics    repeats
	epoch     time.Time
	clock     atomic.Int64 // nanoseconds since epoch, advanced by the watchdog: reading it costs nothing

	mu        sync.Mutex
	conns     map[*conn]struct{}
	listener  *net.UnixListener
	accepting chan struct{} // closed when serve has returned
	give      func(id uint32)
	stopped   bool

	serving   sync.WaitGroup // connections that events may still come on, or run on
	lingering sync.WaitGroup // connections that only wait for Kong to close them
	preparing sync.WaitGroup // configurations that get ready
	stop      chan struct{}
	stopOne   sync.Once
	watch     sync.WaitGroup
}

func newServer(c serverConfig) *server {
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.reports == nil {
		c.reports = NewReports()
	}
	if c.onOpen == nil {
		c.onOpen = func(uint32, *net.UnixConn) {}
	}
	if c.onClose == nil {
		c.onClose = func(uint32) {}
	}
	if c.onInstance == nil {
		c.onInstance = func(int32, []byte) {}
	}
	if c.onInstanceGone == nil {
		c.onInstanceGone = func(int32) {}
	}
	s := &server{
		serverConfig: c,
		instances:    instances{byID: map[int32]*instance{}},
		conns:        map[*conn]struct{}{},
		epoch:        time.Now(),
		stop:         make(chan struct{}),
	}
	if !c.policyOnly {
		_, s.prepares = c.plugin.New().(preparer)
	}
	s.clock.Store(1)
	if c.registerer != nil {
		c.registerer.MustRegister(&collector{s})
		if c.plugin.Metrics != nil {
			c.plugin.Metrics(c.registerer)
		}
	}
	s.watch.Add(1)
	go s.watchdog()
	return s
}

// serve accepts connections until stopAccepting. It returns nil then, else the listener's error.
func (s *server) serve(l *net.UnixListener) error {
	done := make(chan struct{})
	s.mu.Lock()
	s.listener, s.accepting = l, done
	stopped := s.stopped
	s.mu.Unlock()
	defer close(done)
	if stopped {
		return nil
	}
	for {
		c, err := l.AcceptUnix()
		var ne net.Error
		switch {
		case err == nil:
			s.open(c, 0)
		case s.isStopped():
			return nil
		case errors.As(err, &ne) && ne.Timeout():
			s.acceptRest(l)
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of descriptors, mostly; the backlog waits
			s.reports.Report("accept", "cannot accept connections: "+err.Error()+"; raise the limit of open files")
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (s *server) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// stopAccepting takes what is in the backlog and returns when serve has.
func (s *server) stopAccepting() {
	s.mu.Lock()
	l, accepting := s.listener, s.accepting
	s.stopped = l == nil // serve has not begun: it will not
	s.mu.Unlock()
	if l == nil {
		return
	}
	_ = l.SetDeadline(time.Now().Add(backlogWait))
	<-accepting
}

// acceptRest takes what the backlog holds all the same: the deadline passes unused where the process is held up.
func (s *server) acceptRest(l *net.UnixListener) {
	raw, err := l.SyscallConn()
	if err != nil {
		return
	}
	var accepted []int
	_ = raw.Control(func(fd uintptr) {
		for range unix.SOMAXCONN { // a successor may accept from the same socket, and Kong go on connecting
			c, _, err := unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != nil {
				return
			}
			accepted = append(accepted, c)
		}
	})
	for _, fd := range accepted {
		if c, err := connOf(fd); err == nil {
			s.open(c, 0)
		}
	}
}

// adopt serves an idle connection that another process has accepted, and on which Kong owes so many replies.
func (s *server) adopt(c *net.UnixConn, owed uint32) { s.open(c, owed) }

func (s *server) answer(c *conn, call call) outcome {
	var frame []byte
	var err error
	var started *instance
	switch call.kind {
	case fieldHandleEvent:
		return s.handleEvent(c, call)
	case fieldStartInstance:
		in := s.instances.start(call.config, s.now())
		frame, err = statusReturn(call.sequence, s.name, in.id, in.started.Unix())
		s.onInstance(in.id, in.raw)
		started = in
	case fieldCloseInstance, fieldInstanceStatus:
		in := s.instances.get(call.instance)
		if in == nil {
			return hangUp
		}
		if call.kind == fieldCloseInstance {
			in.closed.Store(s.now())
		}
		frame, err = statusReturn(call.sequence, s.name, in.id, in.started.Unix())
	case fieldPluginNames:
		frame, err = marshalReturn(call.sequence, returnPluginNames, &kong_plugin_protocol.PluginNames{Names: []string{s.name}})
	case fieldPluginInfo:
		frame, err = marshalReturn(call.sequence, returnPluginInfo, &kong_plugin_protocol.PluginInfo{
			Name: s.name, Phases: s.phases, Version: s.plugin.Version, Priority: int32(s.plugin.Priority),
			LoadedAt: s.epoch.Unix(), Schema: string(s.plugin.Schema.DumpSchema(s.name)),
		})
	}
	if err != nil {
		s.log.Error("answer cannot be encoded", "call", int(call.kind), "error", err)
		return hangUp
	}
	c.out = append(c.out, frame...)
	if err := c.flush(); err != nil {
		return linger
	}
	c.between = true
	c.rest()
	if started != nil {
		s.prepare(started)
	}
	return goOn
}

// prepare gets a started configuration ready in the background, where it has a Prepare. A panic there costs that alone.
func (s *server) prepare(in *instance) {
	if s.policyOnly || !s.prepares {
		return
	}
	s.preparing.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				s.panicked("while a configuration was prepared", p, panicPlace())
			}
		}()
		in.prepare(s.plugin.New)
	})
}

// handOver gives every connection to a successor and returns when none is left: idle ones at once, busy ones after
// their event. give must have secured another descriptor of the connection before it returns.
func (s *server) handOver(give func(id uint32)) {
	s.mu.Lock()
	s.give = give
	s.mu.Unlock()
	for _, c := range s.connections() {
		s.askToLeave(c)
	}
	s.serving.Wait()
}

// drain ends every connection when nobody is there to take it: one at a time, so that Kong notices each before it picks
// the next from its pool, while the others are still served. It returns when all have ended, or ctx's error.
func (s *server) drain(ctx context.Context) error {
	for _, c := range s.connections() {
		s.askToLeave(c)
		select {
		case <-time.After(leaveStep):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) connections() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// askToLeave marks the connection and interrupts its wait for the next call.
func (s *server) askToLeave(c *conn) {
	c.leave.Store(true)
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
}

// restore enters an instance that an earlier worker started.
func (s *server) restore(id int32, config []byte) {
	s.prepare(s.instances.restore(id, config, s.now()))
}

// shutdown stops the watchdog and closes every instance and connection at once. For tests and the end of the process.
func (s *server) shutdown() {
	s.stopOne.Do(func() { close(s.stop) })
	s.watch.Wait()
	for _, c := range s.connections() {
		_ = c.conn.Close()
	}
	s.serving.Wait()
	s.lingering.Wait()
	s.preparing.Wait()
	s.closeInstances(s.instances.expire(s.now() + int64(10*idleGrace)))
}
