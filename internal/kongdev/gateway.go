// Package kongdev is Kong's side of the plugin-server protocol without Kong: a
// small gateway that runs external plugins as Kong Gateway 3.9.1 does, rough
// edges included, to develop and test them. It is not for production.
package kongdev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/nginx"
)

// Version is the Kong version that kongdev imitates.
const Version = "3.9.1"

const serverHeader = "kong/" + Version

// Options say what a Gateway runs.
type Options struct {
	Config     *declarative.Config
	Listen     string                   // the proxy's addresses as Kong's proxy_listen: "127.0.0.1:0, 127.0.0.1:8443 ssl"; "" is 127.0.0.1:0
	Workers    int                      // 0 is 1
	Prefix     string                   // Kong's prefix: sockets and body files live here; "" is a temporary folder, removed at Close
	Plugins    []external.Server        // one per plugin
	Infos      map[string]external.Info // what the query commands told, by plugin name; nil = Start runs them
	Hosts      map[string]http.Handler  // upstreams inside this process by host name
	Log        io.Writer                // Kong's error log; nil drops it
	LogLevel   string                   // nginx's names; "" is info, where plugin output shows
	OnLog      func(errorlog.Line)      // called for every line from info on, whatever LogLevel says, by many goroutines at once
	OnFrame    func(Frame)              // called for every frame, by many goroutines at once
	OnTrace    func(*LiveTrace)         // called when a request arrives and whenever its trace grows, by many goroutines at once
	TraceBytes int                      // of each message in a trace; 0 is all
	LoopTurn   time.Duration            // how long a worker takes to notice that an idle plugin connection has ended: a request in that time is sent on a dead one, a 500; 0 is 1 ms, as in a busy Kong
	ReloadWait time.Duration            // how long Reload leaves the old plugin processes; 0 is Kong's 10 s
	bodyWait   time.Duration            // for a client to send more of a body; 0 is nginx's minute
	listeners  []proxyListener          // instead of Listen
}

// A Gateway is a running proxy with its plugin servers.
type Gateway struct {
	opts      Options
	prefix    string
	ownsDir   bool
	log       *errorlog.Log
	counters  *counters
	listeners []proxyListener
	server    *http.Server
	hosts     *localHosts
	proxy     *transports
	nodeID    string
	ids       atomic.Int64 // connections
	bodies    atomic.Int64 // body files
	seq       atomic.Int64 // __seq__
	traces    atomic.Int64 // requests with a trace
	clients   atomic.Int64 // connections of clients
	next      atomic.Uint64
	logs      *logQueue
	claimWait time.Duration // Kong's ten seconds; shorter in tests

	mu      sync.Mutex // guards reloads
	gen     atomic.Pointer[generation]
	old     sync.WaitGroup  // generations on their way out
	closing context.Context // done when Close begins
	close   context.CancelFunc
	buffers sync.Pool // of *[16 << 10]byte
}

// Start queries the plugins, starts their servers, and listens. As in Kong
// nothing waits for the plugin servers; see Ready. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Gateway, error) {
	if o.Config == nil {
		return nil, errors.New("options: no configuration given")
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	if o.Workers < 0 || o.Workers > 64 {
		return nil, fmt.Errorf("options: %d workers: 1 to 64 are possible", o.Workers)
	}
	if o.ReloadWait == 0 {
		o.ReloadWait = 10 * time.Second
	}
	o.bodyWait = cmp.Or(o.bodyWait, nginx.ClientTimeout)
	log, err := errorlog.New(o.Log, o.LogLevel)
	if err != nil {
		return nil, err
	}
	log.Hook = o.OnLog
	g := &Gateway{
		opts: o, log: log, counters: newCounters(), nodeID: randomUUID(), logs: newLogQueue(o.Workers), claimWait: claimWait,
		buffers: sync.Pool{New: func() any { return new([16 << 10]byte) }},
	}
	g.closing, g.close = context.WithCancel(context.Background())
	if err := g.makePrefix(); err != nil {
		return nil, err
	}
	if err := g.start(ctx); err != nil {
		g.removePrefix()
		return nil, err
	}
	return g, nil
}

func (g *Gateway) start(ctx context.Context) error {
	infos, err := g.query(ctx)
	if err != nil {
		return err
	}
	listeners := g.opts.listeners
	if listeners == nil {
		if listeners, err = openListeners(g.opts.Listen); err != nil {
			return err
		}
	}
	g.listeners = listeners
	g.withCertificatePhase(listeners)
	closeListeners := func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	if g.hosts, err = newLocalHosts(g.opts.Hosts); err != nil {
		closeListeners()
		return err
	}
	g.proxy = newTransports(g.hosts)
	gen, err := g.newGeneration(g.opts.Config, infos)
	if err != nil {
		closeListeners()
		g.hosts.close()
		return err
	}
	g.gen.Store(gen)
	g.server = newProxyServer(g, newServerLog(g.log))
	g.server.ConnContext = g.connContext
	for _, l := range listeners {
		go func() {
			if err := g.server.Serve(nginx.NewListener(l.Listener, l.config, g.server.ErrorLog)); err != nil && !errors.Is(err, http.ErrServerClosed) {
				g.log.Printf(errorlog.Crit, "proxy listener %s: %v", l.url(), err)
			}
		}()
	}
	return nil
}

// query asks the plugin servers to describe themselves, if nobody has; the
// stand-ins need not be asked.
func (g *Gateway) query(ctx context.Context) (map[string]external.Info, error) {
	all, infos := StandIns(), g.opts.Infos
	if infos == nil {
		var err error
		if infos, err = external.QueryAll(ctx, g.opts.Plugins); err != nil {
			return nil, err
		}
	}
	maps.Copy(all, infos)
	return all, nil
}

// plugins are the known plugins by name.
func (g *Gateway) plugins(infos map[string]external.Info) map[string]*plugin {
	out := map[string]*plugin{}
	for name, info := range infos {
		p := &plugin{Info: info, phases: map[string]bool{}}
		for _, phase := range info.Phases {
			p.phases[phase] = true
		}
		if p.Server == "" {
			p.Server = name
		}
		if IsStandIn(name) {
			out[name] = p
			continue
		}
		p.socket = filepath.Join(g.prefix, strings.ToLower(p.Server)+".socket") // as Kong reads pluginserver_names
		if i := slices.IndexFunc(g.opts.Plugins, func(s external.Server) bool { return s.Name == p.Server }); i >= 0 && g.opts.Plugins[i].Socket != "" {
			p.socket = g.opts.Plugins[i].Socket
		}
		out[name] = p
	}
	return out
}

// Reload does what kong reload does: the query commands run again, unless the
// descriptions were given as Options.Infos, new workers and a second process per
// plugin server take over, the old ones finish and end after ReloadWait. config
// may be the running one. After an error everything is as before.
func (g *Gateway) Reload(config *declarative.Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing.Err() != nil {
		return errClosing
	}
	infos, err := g.query(g.closing)
	if err != nil {
		return err
	}
	gen, err := g.newGeneration(config, infos)
	if err != nil {
		return err
	}
	old := g.gen.Swap(gen)
	g.old.Go(func() {
		select {
		case <-time.After(g.opts.ReloadWait):
		case <-g.closing.Done():
		}
		old.end()
	})
	return nil
}

// Reconfigure does what a change of the configuration does in a running Kong:
// the same workers and plugin processes go on with the new one. All
// configurations get a new __seq__, so that the next event of each starts an
// instance, and closes the one before. config may be the running one.
func (g *Gateway) Reconfigure(config *declarative.Config) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing.Err() != nil {
		return errClosing
	}
	gen, err := g.configure(config, g.gen.Load().tenure)
	if err != nil {
		return err
	}
	g.gen.Store(gen)
	return nil
}

var errClosing = errors.New("the gateway is closed") // read-only

// Close stops accepting, waits for requests and log events, and ends the
// plugin servers as kong stop does: SIGTERM, then SIGKILL 45 to 90 ms later.
func (g *Gateway) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing.Err() != nil {
		return nil
	}
	g.close()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err := g.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) { // whoever still waits is cut off
		err = g.server.Close()
	}
	g.gen.Load().end()
	g.old.Wait()
	g.proxy.close()
	g.hosts.close()
	g.removePrefix()
	return err
}

// Prefix is the folder that the plugin servers' -kong-prefix must name.
func (g *Gateway) Prefix() string { return g.prefix }

// Infos are the plugins' descriptions by name.
func (g *Gateway) Infos() map[string]external.Info { return g.gen.Load().infos }

// Config is the running configuration.
func (g *Gateway) Config() *declarative.Config { return g.gen.Load().config }

// Stats are the counters since the start.
func (g *Gateway) Stats() Stats {
	s := g.counters.snapshot()
	s.PluginPIDs = map[string]int{}
	for name, p := range g.gen.Load().processes {
		s.PluginPIDs[name] = p.PID()
	}
	return s
}

// Failure is why a request failed, by its X-Kong-Request-Id; the last 4096 are kept.
func (g *Gateway) Failure(requestID string) (Failure, bool) {
	g.counters.mu.Lock()
	defer g.counters.mu.Unlock()
	f, ok := g.counters.reasons[requestID]
	return f, ok
}

// PluginPID is the process id of a plugin server that the gateway runs, 0 while
// it is down or when somebody else runs it.
func (g *Gateway) PluginPID(name string) int {
	if p := g.gen.Load().processes[name]; p != nil {
		return p.PID()
	}
	return 0
}

// SignalPlugin sends a signal to a plugin server that the gateway runs.
func (g *Gateway) SignalPlugin(name string, sig syscall.Signal) error {
	p := g.gen.Load().processes[name]
	if p == nil {
		return fmt.Errorf("plugin server %q is not run by this gateway", name)
	}
	return p.Signal(sig)
}

// Ready waits until every plugin server's socket accepts connections. Kong has
// nothing like it: there, requests before that moment fail.
func (g *Gateway) Ready(ctx context.Context) error {
	for _, p := range g.gen.Load().plugins {
		for p.socket != "" {
			conn, err := net.Dial("unix", p.socket)
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("plugin server %s does not listen on %s: %w", p.Name, p.socket, err)
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return nil
}

func (g *Gateway) makePrefix() error {
	g.prefix = g.opts.Prefix
	if g.prefix == "" {
		dir, err := os.MkdirTemp("", "kongdev")
		if err != nil {
			return fmt.Errorf("prefix: %w", err)
		}
		g.prefix, g.ownsDir = dir, true
	}
	dir, err := filepath.Abs(g.prefix)
	if err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	g.prefix = dir
	if err := os.MkdirAll(filepath.Join(dir, bodyFolder), 0o700); err != nil {
		return fmt.Errorf("prefix %s cannot be written: %w: choose another folder", dir, err)
	}
	return nil
}

func (g *Gateway) removePrefix() {
	if g.ownsDir {
		_ = os.RemoveAll(g.prefix)
	}
}

// Graph has the binary of a configured plugin draw its workflow, as JSON.
func (g *Gateway) Graph(ctx context.Context, p *declarative.Plugin) ([]byte, error) {
	at := slices.IndexFunc(g.opts.Plugins, func(s external.Server) bool { return s.Name == p.Name })
	if at < 0 {
		return external.Server{Name: p.Name}.Graph(ctx, nil) // the error of one that cannot
	}
	return g.opts.Plugins[at].Graph(ctx, p.Config)
}
