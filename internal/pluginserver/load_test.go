package pluginserver

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
)

// A load is the demo plugin under kongdev, with clients that never pause.
type load struct {
	*kongdev.Gateway
	t       *testing.T
	dir     string
	total   atomic.Int64
	failed  atomic.Int64
	wrong   atomic.Int64 // answered with the other route's configuration
	stop    chan struct{}
	clients sync.WaitGroup
	log     lines
}

const twoRoutes = `_format_version: "3.0"
services:
- name: echo
  url: http://echo.kongdev
  routes:
  - {name: one, paths: [/one], plugins: [{name: demo, config: {say: one}}]}
  - {name: two, paths: [/two], plugins: [{name: demo, config: {say: two}}]}
`

// newLoad starts the plugin under a gateway with two workers and two routes that configure the plugin differently.
func newLoad(t *testing.T, clients int) *load {
	t.Helper()
	l := &load{t: t, dir: prefixFolder(t), stop: make(chan struct{})}
	executable := install(t, filepath.Join(l.dir, "demo.bin"), "1.0.0")
	file := filepath.Join(l.dir, "kong.yml")
	require.NoError(t, os.WriteFile(file, []byte(twoRoutes), 0o600))
	config, err := kongdev.Load(file)
	require.NoError(t, err)
	command := fmt.Sprintf("env %s=1 GORACE=atexit_sleep_ms=0 %s -name demo -kong-prefix %s", asPlugin, executable, l.dir)
	l.Gateway, err = kongdev.Start(context.Background(), kongdev.Options{
		Config: config, Workers: 2, Prefix: l.dir, Log: &l.log, LogLevel: "notice",
		Plugins: []kongdev.PluginServer{{Name: "demo", Socket: filepath.Join(l.dir, "demo.socket"), QueryCmd: command + " -dump", StartCmd: command}},
		Hosts: map[string]http.Handler{"echo.kongdev": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("X-Demo"))
		})},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, l.Ready(ctx))
	for i := range clients {
		l.clients.Go(func() { l.client([]string{"one", "two"}[i%2]) })
	}
	return l
}

func (l *load) client(route string) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 20 * time.Second} // a request that hangs has failed
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		l.total.Add(1)
		resp, err := client.Get(l.URL() + "/" + route)
		if err != nil {
			l.failed.Add(1)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		switch {
		case err != nil || resp.StatusCode != http.StatusOK:
			l.failed.Add(1)
		case !strings.HasPrefix(string(body), route+" "):
			l.wrong.Add(1)
		}
	}
}

// worker is the process id of the supervisor's newest child, 0 while there is none.
func (l *load) worker() (newest int) {
	l.t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", l.PluginPID("demo")))
	require.NoError(l.t, err)
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread may be gone
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			require.NoError(l.t, err)
			if alive(pid) {
				newest = max(newest, pid)
			}
		}
	}
	return newest
}

// requests waits for n more requests, so that what a test does next meets a running load.
func (l *load) requests(n int64) {
	l.t.Helper()
	until := l.total.Load() + n
	eventually(l.t, "requests go on", func() bool { return l.total.Load() >= until })
}

// report ends the load and prints its figures.
func (l *load) report(what string) (failed int64) {
	l.t.Helper()
	close(l.stop)
	l.clients.Wait()
	s := l.Stats()
	l.t.Logf("%s: %d requests, %d failed %v, %d events repeated", what, l.total.Load(), l.failed.Load(), s.Failures, s.Retries)
	assert.Zero(l.t, l.wrong.Load(), "answered by the other route's configuration")
	assert.Zero(l.t, s.Refused, "connections refused")
	assert.Zero(l.t, s.Respawns, "the supervisor stays")
	if l.t.Failed() {
		l.t.Logf("error log:\n%s", l.log.String())
	}
	return l.failed.Load()
}

// The aim is at most 2 failed requests per kill; a noisy machine decides nothing within three times that.
func TestKillsUnderLoad(t *testing.T) {
	const kills = 10
	l := newLoad(t, 16)
	for range kills {
		l.requests(1000)
		pid := l.worker()
		require.NotZero(t, pid)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		eventually(t, "the next worker", func() bool { next := l.worker(); return next != 0 && next != pid })
	}
	l.requests(1000)
	assert.LessOrEqual(t, l.report(fmt.Sprint(kills, " kills")), int64(3*2*kills))
}

// The aim is no failed request at all, and at most one in 50,000.
func TestHandOversUnderLoad(t *testing.T) {
	const handOvers = 10
	l := newLoad(t, 16)
	for range handOvers {
		l.requests(1000)
		pid := l.worker()
		require.NoError(t, l.SignalPlugin("demo", syscall.SIGHUP))
		eventually(t, "the old worker gives up its connections and ends", func() bool { return !alive(pid) })
		require.NotEqual(t, pid, l.worker())
	}
	l.requests(1000)
	failed := l.report(fmt.Sprint(handOvers, " hand-overs"))
	assert.LessOrEqual(t, failed, 3*(1+l.total.Load()/50_000))
}
