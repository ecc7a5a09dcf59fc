package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/console"
	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/echo"
	"kong-go-plugins/internal/kongdev/external"
)

// readyTimeout is how long a plugin server may take until it listens. Kong
// would not wait; requests before that would fail.
const readyTimeout = 20 * time.Second

// maxTraced is how much of a message -v keeps to show it.
const maxTraced = 64 << 10

// maxSocketPath is the kernel's limit for the path of a unix socket.
const maxSocketPath = 107

// started is a running gateway with what belongs to it.
type started struct {
	settings  settings
	gateway   *kongdev.Gateway
	collector *collector.Collector
	admin     *kongdev.Loopback // nil = none
	console   *console.Console  // nil = none
	consoleAt net.Listener
	endpoint  string // the collector's address
	notes     []string
	closers   []func() error
}

// start brings everything up; whatever is up when it fails is taken down.
func start(ctx context.Context, s settings, stderr io.Writer) (_ *started, err error) {
	config, err := declarative.Draft(s.file)
	if err != nil {
		return nil, err
	}
	st := &started{settings: s, collector: collector.New(), notes: config.Notes}
	defer func() {
		if err != nil {
			_ = st.close()
		}
	}()
	if err := st.collector.UseFiles(s.collectorConfig, s.collectorRules, func(err error) { report(stderr, err) }); err != nil {
		return nil, err
	}
	if err := kongdev.CheckListen(s.listen); err != nil {
		return nil, err
	}
	prefix, err := st.makePrefix(config.PluginNames())
	if err != nil {
		return nil, err
	}
	upstream := echo.New()
	addresses, err := st.serveBuiltIn(map[string]http.Handler{"echo.kongdev": upstream, "collector.kongdev": st.collector})
	if err != nil {
		return nil, err
	}
	st.endpoint = addresses["http://collector.kongdev"]

	servers, err := external.Binaries{Dir: s.plugins, Prefix: prefix, Words: s.pluginFlags, Log: stderr}.Servers(ctx, kongdev.WithoutStandIns(config.PluginNames()))
	if err != nil {
		return nil, errors.Join(config.Mistakes(), err)
	}
	infos, schemas, err := kongdev.Schemas(ctx, servers)
	if err != nil {
		return nil, errors.Join(config.Mistakes(), err)
	}
	config.Substitute(addresses)
	if err := config.CompletePlugins(schemas); err != nil {
		return nil, err
	}
	options := kongdev.Options{
		Config: config, Listen: s.listen, Workers: s.workers, Prefix: prefix, Plugins: servers, Infos: infos,
		Hosts: map[string]http.Handler{"echo.kongdev": upstream, "collector.kongdev": st.collector},
		Log:   stderr, LogLevel: s.logLevel,
	}
	var tree func(*kongdev.LiveTrace)
	if s.verbose {
		printer := newTreePrinter(stderr)
		tree = printer.trace
		st.closers = append(st.closers, printer.watch())
	}
	if err := st.watch(&options, tree); err != nil {
		return nil, err
	}
	if s.record != "" {
		recording, err := newRecorder(s.record)
		if err != nil {
			return nil, err
		}
		st.closers = append(st.closers, recording.close)
		options.OnFrame = recording.frame
	}
	if st.gateway, err = kongdev.Start(ctx, options); err != nil {
		return nil, err
	}
	st.closers = append(st.closers, st.gateway.Close)
	st.serveConsole()
	if s.admin != "off" {
		l, err := kongdev.Listen("admin API", "-admin", s.admin)
		if err != nil {
			return nil, fmt.Errorf("%w; -admin off does without", err)
		}
		st.admin = kongdev.Serve(l, st.gateway.AdminHandler(st.collector))
		st.closers = append(st.closers, st.admin.Close)
	}
	ready, cancel := context.WithTimeout(ctx, s.ready)
	defer cancel()
	if err := st.gateway.Ready(ready); err != nil {
		return nil, fmt.Errorf("%w; its own words are in the log above (-log-level info shows them)", err)
	}
	st.gateway.AwaitWorkers(ready)
	return st, nil
}

// makePrefix makes the prefix folder and proves that it can be written.
func (st *started) makePrefix(plugins []string) (string, error) {
	dir := st.settings.prefix
	if dir == "" {
		temporary, err := os.MkdirTemp("", "kongdev")
		if err != nil {
			return "", fmt.Errorf("prefix: %w; name a folder that can be written with -prefix", err)
		}
		st.closers = append(st.closers, func() error { return kongdev.RemovePrefix(temporary) })
		return temporary, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("prefix: %w", err)
	}
	unusable := func(err error) error {
		return fmt.Errorf("prefix %s cannot be used: %w; choose a folder that can be written with -prefix", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", unusable(err)
	}
	probe, err := os.CreateTemp(dir, ".kongdev-*")
	if err != nil {
		return "", unusable(err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return "", unusable(err)
	}
	for _, name := range plugins {
		if path := filepath.Join(dir, name+".socket"); len(path) > maxSocketPath {
			return "", fmt.Errorf("prefix %s is too long: the socket's path %s has %d bytes and %d are possible; choose a shorter one with -prefix",
				dir, path, len(path), maxSocketPath)
		}
	}
	return dir, nil
}

// serveBuiltIn serves handlers on real addresses for the plugins, which are
// other processes, and returns them by the URL that stands for each.
func (st *started) serveBuiltIn(handlers map[string]http.Handler) (map[string]string, error) {
	addresses := map[string]string{}
	for host, h := range handlers {
		server, err := kongdev.ServeLoopback(h)
		if err != nil {
			return nil, err
		}
		st.closers = append(st.closers, server.Close)
		addresses["http://"+host] = server.URL()
	}
	return addresses, nil
}

// close stops what start started, last first.
func (st *started) close() error {
	var errs []error
	for i := len(st.closers) - 1; i >= 0; i-- {
		errs = append(errs, st.closers[i]())
	}
	st.closers = nil
	return errors.Join(errs...)
}

// describe prints what runs where.
func (st *started) describe(out *screen) {
	config, infos := st.gateway.Config(), st.gateway.Infos()
	out.title("kongdev", "a development gateway in the place of Kong Gateway "+kongdev.Version+"; not for production")
	out.row("config", fmt.Sprintf("%s: %s, %s, %s, %s", st.settings.file, count(len(config.Services), "service"), count(len(config.Routes), "route"),
		count(len(config.Consumers), "consumer"), count(len(config.Plugins), "plugin")))
	for _, name := range config.PluginNames() {
		info := infos[name]
		if kongdev.IsStandIn(name) {
			out.row("plugin", fmt.Sprintf("%s: inside kongdev, phases %s", name, strings.Join(info.Phases, " ")))
			continue
		}
		out.row("plugin", fmt.Sprintf("%s %s: process %d, phases %s, over Kong's plugin protocol at %s", name, info.Version,
			st.gateway.PluginPID(name), strings.Join(info.Phases, " "), filepath.Join(st.gateway.Prefix(), name+".socket")))
	}
	out.row("proxy", strings.Join(st.gateway.URLs(), "  "))
	if st.admin != nil {
		out.row("admin", st.admin.URL()+" (read-only, but for the collector)")
	}
	if url := st.consoleURL(); url != "" {
		out.row("console", url+" (in a browser)")
	}
	out.row("collector", st.endpoint)
	for _, note := range st.notes {
		out.row("note", note)
	}
	for entry := range strings.SplitSeq(st.settings.listen+","+st.settings.admin, ",") {
		addr, _, _ := strings.Cut(strings.TrimSpace(entry), " ")
		if host, _, err := net.SplitHostPort(addr); err == nil && !isLoopback(host) {
			out.row("warning", addr+" can be reached from other machines, and kongdev is not made for that")
		}
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// serve prints what runs, then each event that the collector receives, until
// ctx ends.
func serve(ctx context.Context, st *started, out *screen) {
	st.describe(out)
	out.blank()
	out.line(fmt.Sprintf("try: curl -i %s/hello", st.gateway.URL()))
	out.line("stop with Ctrl-C")
	out.blank()
	follow(ctx, st, out, 0)
}

// follow prints the events behind the first seen as they arrive.
func follow(ctx context.Context, st *started, out *screen, seen int) {
	for {
		events, err := st.collector.Wait(ctx, seen+1)
		if err != nil {
			return
		}
		total, _ := st.collector.Total()
		fresh := min(total-seen, len(events))
		for _, raw := range events[len(events)-fresh:] {
			if e, err := readEvent(raw); err == nil {
				out.event(e, "", "")
			}
		}
		seen = total
	}
}
