// Package kongdevtest is kongdev for tests of plugins: a gateway from the text of a kong.yml and the plugins' binaries,
// requests, what each request made the plugins call, and faults of all that can fail around a plugin.
//
//	g := kongdevtest.Start(t, kongdevtest.Options{Config: config, Plugins: map[string]string{"moesif": ""}})
//	r := g.Send("GET", "/hello", "", "X-User", "ann")
//	calls := g.Calls(r, "access")
//
// Nothing here decides by the clock: what takes time is waited for, and a test fails when it does not come within Patience.
package kongdevtest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
)

// Patience is how long anything may take before the test fails.
const Patience = time.Minute

// maxShownLog is how much of the gateway's log a failed test shows.
const maxShownLog = 20000

// Self stands for the test's own binary in Options.Plugins: under the plugin's name its TestMain runs the plugin.
const Self = "self"

// Options say what a test's gateway runs.
type Options struct {
	Config   string                  // text of a kong.yml
	Plugins  map[string]string       // executable by plugin name: a path, Self, or "" to build cmd/<name> of this repository; those that the configuration names and this does not are built
	Flags    map[string][]string     // further flags by plugin name, for query and start commands
	Workers  int                     // 0 is 2, so that there are instances of each configuration beside each other
	Hosts    map[string]http.Handler // further upstreams by host name
	LogLevel string                  // of the gateway's log; "" is info, where plugins' output shows

	ReloadWait time.Duration // how long Reload leaves the old processes; 0 is Kong's 10 s
	Untraced   bool          // for tests of load: there is no Trace, Calls or Flights

	// Unknown lets the test pass when a plugin makes calls that kongdev does not have.
	Unknown bool
}

// A Gateway is a running gateway with its plugins. It ends with the test.
type Gateway struct {
	*kongdev.Gateway
	Upstream  *Upstream            // behind http://echo.kongdev
	Collector *collector.Collector // behind http://collector.kongdev

	t      testing.TB
	prefix string
	client *http.Client
	log    *buffer
	traces *traces
}

// Start starts a gateway and waits until its plugins listen. A mistake in the options fails the test.
func Start(t testing.TB, o Options) *Gateway {
	t.Helper()
	prefix, err := os.MkdirTemp("", "kd") // short: socket paths are limited
	require.NoError(t, err)
	t.Cleanup(func() { _ = kongdev.RemovePrefix(prefix) })
	config, err := declarative.Parse("kong.yml", []byte(o.Config))
	require.NoError(t, err)
	g := &Gateway{
		t: t, prefix: prefix, Upstream: newUpstream(), Collector: collector.New(), log: &buffer{}, traces: newTraces(),
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	hosts := map[string]http.Handler{"echo.kongdev": g.Upstream, "collector.kongdev": g.Collector}
	addresses := map[string]string{}
	for host, h := range hosts {
		server, err := kongdev.ServeLoopback(h) // for plugins, which are other processes
		require.NoError(t, err)
		t.Cleanup(func() { _ = server.Close() })
		addresses["http://"+host] = server.URL()
	}
	maps.Copy(hosts, o.Hosts)
	config.Substitute(addresses)

	servers := o.servers(t, config.PluginNames(), prefix)
	infos, schemas, err := kongdev.Schemas(t.Context(), servers)
	require.NoError(t, err)
	require.NoError(t, config.CompletePlugins(schemas))
	if o.Workers == 0 {
		o.Workers = 2
	}
	options := kongdev.Options{
		Config: config, Workers: o.Workers, Prefix: prefix, Plugins: servers, Infos: infos, Hosts: hosts, Log: g.log, LogLevel: o.LogLevel,
		ReloadWait: o.ReloadWait,
	}
	if !o.Untraced {
		options.OnTrace = g.traces.add
	}
	g.Gateway, err = kongdev.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		g.client.CloseIdleConnections()
		g.Upstream.SetFault(UpstreamFault{}) // lets hanging requests go
		g.Collector.SetFault(collector.Fault{})
		_ = g.Close()
		if !o.Unknown {
			assert.Empty(t, g.Stats().NotImplemented, "calls that kongdev does not have")
		}
		if t.Failed() {
			log := g.Log()
			t.Logf("the end of the gateway's log:\n%s", log[max(0, len(log)-maxShownLog):])
		}
	})
	g.WaitReady()
	return g
}

// servers finds, builds and names the plugins' binaries.
func (o Options) servers(t testing.TB, names []string, prefix string) []external.Server {
	t.Helper()
	bin := filepath.Join(prefix, "bin")
	require.NoError(t, os.Mkdir(bin, 0o700))
	var fromSource []string
	for _, name := range names {
		program := o.Plugins[name]
		if program == "" {
			fromSource = append(fromSource, name)
			continue
		}
		if program == Self {
			self, err := os.Executable()
			require.NoError(t, err)
			program = self
		}
		require.NoError(t, place(program, filepath.Join(bin, name)), "plugin %s", name) // Kong takes a plugin's name from its file's
	}
	for name := range o.Plugins {
		require.Contains(t, names, name, "a plugin that the configuration does not name")
	}
	built, err := external.Binaries{Prefix: prefix}.Servers(t.Context(), kongdev.WithoutStandIns(fromSource))
	require.NoError(t, err)
	named := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(fromSource, n) })
	placed, err := external.Binaries{Dir: bin, Prefix: prefix}.Servers(t.Context(), named)
	require.NoError(t, err)
	servers := append(built, placed...)
	for i, s := range servers {
		if flags := o.Flags[s.Name]; len(flags) > 0 {
			servers[i].QueryCmd += " " + strings.Join(flags, " ")
			servers[i].StartCmd += " " + strings.Join(flags, " ")
		}
	}
	return servers
}

// place gives an executable another name.
func place(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	syscall.ForkLock.RLock() // a process that starts in the meantime has the file open, and it could not be executed
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(to, b, 0o755)
}

// Binary is where the executable of a plugin lies that Options.Plugins gave; a test may put another in its place.
func (g *Gateway) Binary(plugin string) string { return filepath.Join(g.prefix, "bin", plugin) }

// Kill ends a plugin server's process at once and waits until the gateway has started another one.
func (g *Gateway) Kill(plugin string) {
	g.t.Helper()
	pid := g.PluginPID(plugin)
	require.NoError(g.t, g.SignalPlugin(plugin, syscall.SIGKILL))
	require.Eventually(g.t, func() bool { p := g.PluginPID(plugin); return p != 0 && p != pid }, Patience, time.Millisecond, "plugin %s does not come back", plugin)
	g.WaitReady()
}

// Log is what the gateway and its plugins have logged.
func (g *Gateway) Log() string { return g.log.String() }

// WaitLog waits until the log has the text.
func (g *Gateway) WaitLog(text string) {
	g.t.Helper()
	require.Eventually(g.t, func() bool { return strings.Contains(g.log.String(), text) }, Patience, time.Millisecond, "the log has no %q", text)
}

// WaitIdle waits until no request and no log event is running.
func (g *Gateway) WaitIdle() {
	g.t.Helper()
	ctx, cancel := g.patience()
	defer cancel()
	require.NoError(g.t, g.Idle(ctx))
}

func (g *Gateway) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(g.t.Context(), Patience, fmt.Errorf("it took more than %s", Patience))
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
