package pluginserver

import (
	"context"
	"fmt"
)

// A handOver is a change to another process, under way. Kong notices nothing: the new worker knows the instances before
// it accepts, and takes the old one's idle connections as they are.
type handOver struct {
	program *program       // nil while it is examined
	next    *workerProcess // nil until it is started
}

// beginHandOver looks at the executable that is now at our path, and hands over to it if Kong cannot tell the difference.
func (s *supervisor) beginHandOver() {
	switch {
	case s.stopping:
		return
	case s.change != nil:
		s.again = true
		return
	}
	change := &handOver{}
	s.change = change
	path := s.program.path
	s.log.Info("hand-over asked for", "executable", path)
	s.tasks.Go(func() {
		p, version, err := s.examine(path)
		if !s.post(func() { s.examined(p, version, err) }) && p != nil {
			p.close()
		}
	})
}

// examine opens the executable and asks it for its description.
func (s *supervisor) examine(path string) (p *program, version string, err error) {
	p, err = openProgram(path)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.tasks.Go(func() {
		select {
		case <-s.done:
			cancel()
		case <-ctx.Done():
		}
	})
	version, err = s.mayFollow(ctx, p)
	if err != nil {
		p.close()
		return nil, "", err
	}
	return p, version, nil
}

func (s *supervisor) mayFollow(ctx context.Context, p *program) (version string, err error) {
	text, err := p.dump(ctx, dumpTime+s.plugin.slack, s.args)
	if err != nil {
		return "", err
	}
	next, err := parseDump(text)
	if err == nil {
		err = s.dump.mayFollow(next)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.path, err)
	}
	return next.Version, nil
}

// examined starts the successor. Where nothing runs that it could take over from, it is simply what is started next.
func (s *supervisor) examined(p *program, version string, err error) {
	switch {
	case err != nil:
		s.refuseChange(err.Error())
	case s.stopping:
		p.close()
	case s.serving == nil:
		s.log.Info("no worker to hand over from, starting the new executable", "version", version)
		s.setProgram(p)
		s.finishChange("done")
		s.backoff = backoff{}
		if s.starting != nil {
			s.starting.kill() // its end starts the new one
			return
		}
		s.launch()
	default:
		s.log.Info("hand-over begins", "version", version)
		s.succeed(p)
	}
}

// succeed starts a worker that takes over as soon as it is ready.
func (s *supervisor) succeed(p *program) {
	s.change.program = p
	next, err := s.start(p)
	if err != nil {
		if p != s.program {
			p.close()
		}
		s.refuseChange(err.Error())
		return
	}
	s.change.next = next
}

// replace is for a worker that a signal has told to end: the same executable takes over from it.
func (s *supervisor) replace(w *workerProcess) {
	if s.stopping || s.change != nil || w != s.serving {
		return
	}
	s.log.Info("worker was told to end by a signal, starting another", "pid", w.pid())
	s.change = &handOver{}
	s.succeed(s.program)
}

// handedOver makes the successor's executable ours and sends the worker before it away.
func (s *supervisor) handedOver(before *workerProcess) {
	s.setProgram(s.change.program)
	s.log.Info("handed over", "pid", s.serving.pid())
	if before != nil {
		s.dismiss(before)
	}
	s.finishChange("done")
}

// dismiss makes a worker give up its connections to its successor, drain and end.
func (s *supervisor) dismiss(w *workerProcess) {
	w.state = workerLeaving
	if !w.control.tell(msgHandOver, 0) {
		w.kill()
		return
	}
	w.limit = s.after(handOverLimit, func() {
		s.log.Error("worker did not end in time after a hand-over, killing it", "pid", w.pid())
		w.kill()
	})
}

// refuseChange leaves everything as it is.
func (s *supervisor) refuseChange(why string) {
	if !s.stopping {
		s.log.Error("hand-over refused, the running worker stays", "cause", why)
	}
	s.finishChange("refused")
}

func (s *supervisor) finishChange(result string) {
	s.counts.handOvers.WithLabelValues(result).Inc()
	s.change = nil
	if s.again {
		s.again = false
		s.beginHandOver()
	}
}

func (s *supervisor) setProgram(p *program) {
	if p == s.program {
		return
	}
	old := s.program
	s.program = p
	s.forgetProgram(old)
}
