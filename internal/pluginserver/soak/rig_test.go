package soak

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// length is how long a test makes load at least: SOAK's, or no longer than its count of kills or hand-overs takes.
func length(t *testing.T) time.Duration {
	text := os.Getenv("SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "SOAK is a duration such as 60s")
	return d
}

const kongFile = `
_format_version: "3.0"
services:
- name: up
  url: http://upstream.test
  routes:
  - name: allow
    paths: [/allow]
    plugins:
    - name: soakplugin
      config: {mode: allow}
  - name: refuse
    paths: [/refuse]
    plugins:
    - name: soakplugin
      config: {mode: refuse}
`

// A rig is a gateway with the plugin.
type rig struct {
	t        *testing.T
	g        *kongdevtest.Gateway
	answered atomic.Int64 // requests, by any load
}

func newRig(t *testing.T, workers int, flags ...string) *rig {
	r := &rig{t: t, g: kongdevtest.Start(t, kongdevtest.Options{
		Config: kongFile, Workers: workers, Plugins: map[string]string{pluginName: kongdevtest.Self}, Flags: map[string][]string{pluginName: flags},
		Hosts: map[string]http.Handler{"upstream.test": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "ok")
		})},
		ReloadWait: 500 * time.Millisecond, Untraced: true,
	})}
	require.Eventually(t, func() bool { return r.worker() != 0 }, time.Minute, time.Millisecond)
	r.g.WaitReady()
	return r
}

// drainFile is a file for -drain-file. The last worker writes it two seconds after the gateway has ended, into a folder that
// is being removed perhaps.
func drainFile(t *testing.T) string {
	dir, err := os.MkdirTemp("", "soak")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, kongdev.RemovePrefix(dir)) })
	return filepath.Join(dir, "drained")
}

// install puts a copy of this test binary in the plugin's place, as an update does.
func (r *rig) install() {
	self, err := os.Executable()
	require.NoError(r.t, err)
	data, err := os.ReadFile(self)
	require.NoError(r.t, err)
	syscall.ForkLock.RLock() // a process that starts in the meantime has the file open, and it could not be executed
	err = os.WriteFile(r.g.Binary(pluginName)+".new", data, 0o700)
	syscall.ForkLock.RUnlock()
	require.NoError(r.t, err)
	require.NoError(r.t, os.Rename(r.g.Binary(pluginName)+".new", r.g.Binary(pluginName)))
}

func (r *rig) supervisor() int { return r.g.PluginPID(pluginName) }

// worker is the process id of the supervisor's newest child, 0 while there is none.
func (r *rig) worker() int {
	pids := r.g.Children(pluginName)
	if len(pids) == 0 {
		return 0
	}
	return pids[len(pids)-1]
}

// kill ends the worker at once and waits until another one is there.
func (r *rig) kill() { r.g.KillWorker(pluginName) }

// An answer is one client's finding.
type answer struct {
	at     time.Time
	took   time.Duration
	path   string
	status int
	mode   string // of the configuration that answered; "" when Kong did
	reason string // of a failure
}

// want is the status that a path must answer.
func want(path string) int {
	if path == "/refuse" {
		return 403
	}
	return 200
}

// good reports an answer of the right configuration; wrong one of the other.
func (a answer) good() bool {
	return a.status == want(a.path) && a.mode == strings.TrimPrefix(a.path, "/")
}

func (a answer) wrong() bool {
	return a.mode != "" && a.mode != strings.TrimPrefix(a.path, "/") || a.path == "/refuse" && a.status == 200
}

// byPolicy reports an answer of the supervisor's own, which it gives when a worker is not ready within two seconds: on a
// machine that takes so long to start a process, this is no failure.
func (a answer) byPolicy() bool { return a.status == 500 && a.mode == "" && a.reason == ": " }

// A load is what clients found.
type load struct {
	mu     sync.Mutex
	count  int
	bad    []answer
	policy int // answers by the plugin's policy, not in bad
	worst  time.Duration
}

// run lets clients ask the paths in turn until stop is closed.
func (r *rig) run(clients int, paths []string, stop <-chan struct{}) *load {
	l := &load{}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: 70 * time.Second}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			count, worst := 0, time.Duration(0)
			for i := c; ; i++ {
				select {
				case <-stop:
					l.mu.Lock()
					l.count += count
					l.worst = max(l.worst, worst)
					l.mu.Unlock()
					return
				default:
				}
				a := r.ask(client, paths[i%len(paths)])
				count++
				r.answered.Add(1)
				worst = max(worst, a.took)
				if !a.good() {
					l.mu.Lock()
					if a.byPolicy() {
						l.policy++
					} else {
						l.bad = append(l.bad, a)
					}
					l.mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	return l
}

func (r *rig) ask(client *http.Client, path string) (a answer) {
	begin := time.Now()
	resp, err := client.Get(r.g.URL() + path)
	a = answer{at: time.Now(), took: time.Since(begin), path: path}
	if err != nil {
		a.reason = err.Error()
		return a
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	a.status, a.mode = resp.StatusCode, resp.Header.Get("X-Mode")
	if !a.good() {
		f, _ := r.g.Failure(resp.Header.Get("X-Kong-Request-Id"))
		a.reason = f.Reason + ": " + f.Text
	}
	return a
}

// reasons sums up failures for the figures.
func (l *load) reasons() string {
	counts := map[string]int{}
	for _, a := range l.bad {
		counts[fmt.Sprintf("%d %s", a.status, a.reason)]++
	}
	var out []string
	for reason, n := range counts {
		out = append(out, fmt.Sprintf("%d x %s", n, reason))
	}
	sort.Strings(out)
	return strings.Join(out, "; ")
}

// late counts failures of requests that were under way during none of the events.
func (l *load) late(events []period) (n int) {
	for _, a := range l.bad {
		begin := a.at.Add(-a.took)
		if !slices.ContainsFunc(events, func(e period) bool { return begin.Before(e.to) && e.from.Before(a.at) }) {
			n++
		}
	}
	return n
}

func (l *load) wrong() (n int) {
	for _, a := range l.bad {
		if a.wrong() {
			n++
		}
	}
	return n
}
