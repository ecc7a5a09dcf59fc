package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// serve is the supervisor's main. It returns when it was told to end and its worker has ended.
func serve(p Plugin, o options) error {
	mode := tightenUmask()
	signal.Ignore(syscall.SIGPIPE) // Kong's end of our output may be gone before we are
	sink, log := o.log.open(os.Stderr)
	defer func() { _ = sink.close(logFlushTime) }()

	path, err := programPath(os.Args[0])
	if err != nil {
		return fmt.Errorf("own executable: %w", err)
	}
	own, err := ownProgram(path)
	if err != nil {
		return fmt.Errorf("own executable: %w; /proc must be mounted", err)
	}
	dump, err := parseDump(dumpOf(p, o))
	if err != nil {
		return fmt.Errorf("own dump: %w", err)
	}
	listener, id, err := listenSocket(o.socket, mode)
	if err != nil {
		return err
	}
	log.Info("listening", "plugin", o.name, "version", p.Version, "socket", o.socket, "pid", os.Getpid())
	for _, note := range nameNotes(o.name, p.Name, luaFolders) {
		log.Warn(note)
	}

	s := newSupervisor(p, o, os.Args, sink, log)
	s.dump, s.socketMode = dump, mode
	ctx, cancel := context.WithCancel(context.Background())
	var around sync.WaitGroup
	around.Go(func() { s.obeySignals(ctx) })
	around.Go(func() { s.watchParent(ctx, os.Stdin) })
	around.Go(func() { s.watchSocket(ctx) })
	if o.metrics != "" {
		around.Go(func() { s.serveMetrics(ctx) })
	}
	s.run(listener, id, own)
	cancel()
	around.Wait()
	log.Info("ended", "pid", os.Getpid())
	return nil
}

// obeySignals turns signals into orders. On SIGTERM the worker accepts until its successor has the socket; an interrupt
// comes from someone who is waiting at a terminal.
func (s *supervisor) obeySignals(ctx context.Context) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	interrupts := 0
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			switch sig {
			case syscall.SIGHUP:
				s.post(s.beginHandOver)
			case syscall.SIGTERM:
				s.post(func() { s.stop("terminated", acceptGrace+s.plugin.slack) })
			case syscall.SIGINT:
				if interrupts++; interrupts > 1 {
					s.post(s.killAll)
				}
				s.post(func() { s.stop("interrupted", 0) })
			}
		}
	}
}

// watchParent stops the supervisor when its standard input, if that is a pipe, ends: Kong's worker holds the other end,
// and when it was killed nobody sends a signal.
func (s *supervisor) watchParent(ctx context.Context, stdin *os.File) {
	var st unix.Stat_t
	if err := unix.Fstat(int(stdin.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return
	}
	pipe, err := pollable(stdin)
	if err != nil {
		s.log.Warn("the end of the parent process cannot be noticed", "error", err)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = pipe.Close() })
	defer stop()
	_, err = io.Copy(io.Discard, pipe)
	if ctx.Err() == nil && !errors.Is(err, os.ErrClosed) {
		s.post(func() { s.stop("standard input has ended: the parent process is gone", acceptGrace+s.plugin.slack) })
	}
}

// pollable is a copy of f whose reads end when it is closed.
func pollable(f *os.File) (*os.File, error) {
	fd, err := copyFD(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		closeFD(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "standard input"), nil
}
