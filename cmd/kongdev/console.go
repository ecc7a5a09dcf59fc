package main

import (
	"context"
	"net"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/console"
)

// watch sets the gateway's hooks for what shows requests as they happen: the
// tree of -v and the console. It opens the console's port, so that one that is
// taken fails before anything runs.
func (st *started) watch(o *kongdev.Options, tree func(*kongdev.LiveTrace)) (err error) {
	o.OnTrace, o.TraceBytes = tree, max(maxTraced, console.TraceBytes)
	if at := st.settings.console; at == "off" || at == "" {
		return nil
	}
	if st.consoleAt, err = console.Listen(st.settings.console); err != nil {
		return err
	}
	st.closers = append(st.closers, func() error { _ = st.consoleAt.Close(); return nil }) // closed already when it served
	st.console = console.New()
	o.OnLog = st.console.Log
	o.OnTrace = st.console.Trace
	if tree != nil {
		o.OnTrace = func(l *kongdev.LiveTrace) {
			tree(l)
			st.console.Trace(l)
		}
	}
	return nil
}

// serveConsole serves the console of the gateway that now runs.
func (st *started) serveConsole() {
	if st.console == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	wait := st.console.Attach(ctx, st.gateway, st.collector)
	served := kongdev.Serve(st.consoleAt, st.console.Handler())
	st.closers = append(st.closers, func() error {
		cancel()
		wait()
		return served.Close()
	})
}

// consoleURL is where the console is, "" for nowhere.
func (st *started) consoleURL() string {
	if st.console == nil {
		return ""
	}
	_, port, _ := net.SplitHostPort(st.consoleAt.Addr().String())
	return "http://localhost:" + port
}
