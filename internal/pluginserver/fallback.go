package pluginserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// A fallback is the supervisor's own server: it answers events by the plugin's policy while there is no worker, so that
// a plugin that cannot start neither hangs requests nor lets them through against its policy.
type fallback struct {
	server   *server
	listener *net.UnixListener
	busy     *busyFlags
	remind   *time.Timer

	mu     sync.Mutex
	copies map[uint32]int // connection id -> descriptor that goes to the worker
}

// answerByPolicy begins when no worker was ready for a while.
func (s *supervisor) answerByPolicy() {
	s.noWorker = nil
	if s.serving != nil || s.stopping || s.fallback != nil {
		return
	}
	f, err := s.startFallback()
	if err != nil {
		s.log.Error("no worker is ready, and requests cannot be answered by policy", "error", err)
		return
	}
	s.fallback = f
	s.counts.fallback.Set(1)
	s.remindOfFallback()
	orphans := s.orphans
	s.orphans = nil
	for _, c := range orphans {
		f.adopt(c, &s.linger)
	}
}

func (s *supervisor) remindOfFallback() {
	f := s.fallback
	if f == nil {
		return
	}
	policy := "with status 500"
	if s.plugin.FailOpen {
		policy = "by letting requests pass"
	}
	f.server.reports.Report("no worker", "no worker is ready, events are answered "+policy+"; the last worker: "+s.lastExit)
	f.remind = s.after(reportEvery, s.remindOfFallback)
}

func (s *supervisor) startFallback() (*fallback, error) {
	listener, err := listenerCopy(s.listener)
	if err != nil {
		return nil, err
	}
	busy, memory, err := newBusyFlags()
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	_ = memory.Close()
	f := &fallback{listener: listener, busy: busy, copies: map[uint32]int{}}
	reports := NewReports()
	reports.configure(s.log, s.options.name)
	f.server = newServer(serverConfig{
		plugin: s.plugin, name: s.options.name, refuseByExit: s.options.refuseByExit, log: s.log, reports: reports,
		policyOnly: true, busy: busy, onOpen: f.opened, onClose: f.closed,
		onInstance: func(id int32, config []byte) { s.post(func() { s.remember(nil, id, config) }) },
	}) // no phases: that is how -check tells it from a worker
	for id, config := range s.table.configs {
		f.server.restore(id, config)
	}
	s.tasks.Go(func() {
		if err := f.server.serve(listener); err != nil && !errors.Is(err, net.ErrClosed) {
			s.log.Error("accepting without a worker", "error", err)
		}
	})
	return f, nil
}

// endFallback gives the connections to the worker, or ends them when there will be none.
func (s *supervisor) endFallback() {
	f := s.fallback
	s.fallback = nil
	s.counts.fallback.Set(0)
	stopTimer(&f.remind)
	stopping := s.stopping
	s.tasks.Go(func() {
		_ = f.listener.Close() // the worker accepts what is in the backlog
		f.server.stopAccepting()
		if stopping {
			ctx, cancel := context.WithTimeout(context.Background(), logFlushTime)
			_ = f.server.drain(ctx) // what is left after that is closed
			cancel()
		} else {
			f.handOver(s)
		}
		f.server.shutdown()
		s.log.Info("no event is answered by policy any more")
		f.forget()
		_ = f.busy.close()
	})
}

func (f *fallback) handOver(s *supervisor) {
	left := make(chan struct{})
	s.tasks.Go(func() {
		f.server.handOver(func(id uint32) {
			fd := f.take(id)
			if fd >= 0 && !s.post(func() { s.place(idleConn{fd: fd}) }) {
				closeFD(fd)
			}
		})
		close(left)
	})
	select {
	case <-left:
	case <-s.done:
	}
}

func (f *fallback) adopt(idle idleConn, l *lingerer) {
	toServe, err := copyFD(idle.fd)
	if err != nil {
		l.end(idle.fd)
		return
	}
	c, err := connOf(toServe)
	if err != nil {
		l.end(idle.fd)
		return
	}
	closeFD(idle.fd)
	f.server.adopt(c, idle.owed)
}

func (f *fallback) opened(id uint32, c *net.UnixConn) {
	fd, err := copyOf(c)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.copies[id] = fd
}

func (f *fallback) closed(id uint32) { closeFD(f.take(id)) }

func (f *fallback) take(id uint32) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	fd, ok := f.copies[id]
	if !ok {
		return -1
	}
	delete(f.copies, id)
	return fd
}

func (f *fallback) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fd := range f.copies {
		closeFD(fd)
	}
	clear(f.copies)
}
