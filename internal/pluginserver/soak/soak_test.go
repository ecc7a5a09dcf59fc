package soak

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const slack = 3 // bounds are this many times the aim

// A period is the time that something took.
type period struct{ from, to time.Time }

// requests are how many are answered at least between two calls of f in every.
const requests = 10

// every calls f now and then, under load, at least count times and for SOAK's length, and returns when each call ran.
func (r *rig) every(count int, pause time.Duration, f func()) (times []period) {
	for end := time.Now().Add(length(r.t)); len(times) < count || time.Now().Before(end); {
		time.Sleep(pause)
		before := r.answered.Load()
		require.Eventually(r.t, func() bool { return r.answered.Load() >= before+requests }, time.Minute, time.Millisecond)
		from := time.Now()
		f()
		times = append(times, period{from, time.Now()})
	}
	return times
}

// during makes load while f runs.
func (r *rig) during(clients int, paths []string, f func()) *load {
	stop, result := make(chan struct{}), make(chan *load)
	go func() { result <- r.run(clients, paths, stop) }()
	f()
	close(stop)
	l := <-result
	if l.policy > 0 {
		r.g.WaitLog("no worker is ready") // else they were given beside a worker
	}
	return l
}

// TestSoakKill: kill -9 of the worker costs at most two requests, none is refused, none that begins when there is another
// worker fails.
func TestSoakKill(t *testing.T) {
	for _, workers := range []int{1, 2} {
		t.Run(strconv.Itoa(workers)+" gateway workers", func(t *testing.T) {
			r := newRig(t, workers)
			var kills []period
			l := r.during(16, []string{"/allow"}, func() {
				kills = r.every(20, 300*time.Millisecond, func() {
					r.kill()
					r.g.WaitReady()
				})
			})
			s := r.g.Stats()
			late := l.late(kills)
			t.Logf("%d kills, %d requests, %d failed (%.3f a kill), %d refused connections, %d without a kill, %d answered by policy, %d events repeated, slowest answer %v; %s",
				len(kills), l.count, len(l.bad), float64(len(l.bad))/float64(len(kills)), s.Refused, late, l.policy, s.Retries, l.worst.Round(time.Millisecond), l.reasons())
			require.GreaterOrEqual(t, l.count, requests*len(kills))
			assert.LessOrEqual(t, len(l.bad), slack*2*len(kills), "failed requests")
			assert.Zero(t, s.Refused, "refused connections")
			assert.Zero(t, s.Respawns, "the process that Kong started lives on")
			assert.Zero(t, late, "failures without a kill")
		})
	}
}

// TestSoakHandOver: a hand-over costs no request.
func TestSoakHandOver(t *testing.T) {
	r := newRig(t, 2)
	var times []period
	l := r.during(16, []string{"/allow", "/refuse"}, func() {
		times = r.every(20, 200*time.Millisecond, func() {
			old := r.worker()
			r.install()
			require.NoError(t, r.g.SignalPlugin(pluginName, syscall.SIGHUP))
			require.Eventually(t, func() bool {
				pids := r.g.Children(pluginName)
				return len(pids) == 1 && pids[0] != old
			}, time.Minute, 2*time.Millisecond)
		})
	})
	s := r.g.Stats()
	t.Logf("%d hand-overs, %d requests, %d failed, %d events repeated, %d refused connections, slowest answer %v; %s",
		len(times), l.count, len(l.bad), s.Retries, s.Refused, l.worst.Round(time.Millisecond), l.reasons())
	assert.LessOrEqual(t, len(l.bad), slack*(1+l.count/50000), "failed requests")
	assert.Zero(t, s.Refused)
	assert.Zero(t, l.wrong())
}

// TestSoakConfigurations: two routes with opposite configurations, two gateway workers, the worker killed again and
// again: no request is ever handled by the other's configuration.
func TestSoakConfigurations(t *testing.T) {
	r := newRig(t, 2)
	kills := 0
	l := r.during(16, []string{"/allow", "/refuse", "/refuse"}, func() {
		kills = len(r.every(50, 300*time.Millisecond, r.kill))
	})
	t.Logf("%d kills, %d requests, %d failed, %d by the wrong configuration; %s", kills, l.count, len(l.bad), l.wrong(), l.reasons())
	require.Zero(t, l.wrong(), "requests handled by the other route's configuration")
}

// TestSoakReload: Kong starts a second supervisor on the same path while the first still runs.
func TestSoakReload(t *testing.T) {
	r := newRig(t, 2)
	var times []period
	l := r.during(16, []string{"/allow", "/refuse"}, func() {
		times = r.every(8, 300*time.Millisecond, func() {
			old := r.supervisor()
			require.NoError(t, r.g.Reload(r.g.Config()))
			require.Eventually(t, func() bool { return r.supervisor() != old && r.worker() != 0 }, time.Minute, time.Millisecond)
		})
	})
	s := r.g.Stats()
	t.Logf("%d reloads, %d requests, %d failed, %d refused connections; %s", len(times), l.count, len(l.bad), s.Refused, l.reasons())
	assert.Zero(t, s.Refused, "never a moment without a socket")
	assert.LessOrEqual(t, len(l.bad), slack*len(times), "failed requests")
	assert.Zero(t, l.wrong())
}

// TestSoakSupervisorKilled: the worker outlives its supervisor for as long as it takes to drain, and what it had to
// flush is flushed; Kong starts another and traffic goes on.
func TestSoakSupervisorKilled(t *testing.T) {
	file := drainFile(t)
	r := newRig(t, 1, "-drain-file", file)
	l := r.during(4, []string{"/allow"}, func() {
		time.Sleep(1100 * time.Millisecond) // Kong respawns at once what lived for a second
		pid := r.supervisor()
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		require.Eventually(t, func() bool {
			data, err := os.ReadFile(file)
			return err == nil && len(data) > 0
		}, time.Minute, 5*time.Millisecond, "the two-second flush completes")
		require.NotEqual(t, pid, r.supervisor())
	})
	s := r.g.Stats()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	t.Logf("%d requests, %d failed, %d refused connections, %d respawns; the orphaned worker had served %s; %s", l.count, len(l.bad), s.Refused, s.Respawns, data, l.reasons())
	require.EqualValues(t, 1, s.Respawns)
	assert.Zero(t, s.Refused, "the orphan accepts until its successor has the socket")
	assert.LessOrEqual(t, len(l.bad), slack*2)
}

// TestSoakStop: at kong stop, SIGTERM and SIGKILL 45 to 90 ms apart, the worker finishes its flush all the same.
func TestSoakStop(t *testing.T) {
	file := drainFile(t)
	r := newRig(t, 1, "-drain-file", file)
	client := r.during(2, []string{"/allow"}, func() { time.Sleep(300 * time.Millisecond) })
	require.Empty(t, client.bad)
	require.NoError(t, r.g.Close())
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(file)
		n, _ := strconv.Atoi(string(data))
		return err == nil && n == client.count
	}, time.Minute, 5*time.Millisecond, "flush after kong stop")
}
