package moesif

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
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
	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/moesif/spool"
)

// An outage is a collector that fails in front of gateways that come and go, with the same spool, under load.
type outage struct {
	t         *testing.T
	collector *collector.Collector
	config    string
	spool     string
	g         atomic.Pointer[testGateway]

	mu       sync.Mutex
	answered map[int]period // requests that the gateway has answered, from their first byte to the answer's last
	kills    []period       // of workers: from when their events need not be safe, until there was another worker
	waits    []period       // for a worker, so long that a supervisor may have answered without one
	failed   int
	next     int
}

type period struct{ from, to time.Time }

// has reports whether they have a moment in common.
func (p period) has(other period) bool { return p.from.Before(other.to) && other.from.Before(p.to) }

func newOutage(t *testing.T) *outage {
	spool, err := os.MkdirTemp("", "kd")
	require.NoError(t, err)
	t.Cleanup(func() { _ = kongdev.RemovePrefix(spool) }) // workers outlive their gateway for a while
	o := &outage{t: t, collector: collector.New(), spool: spool, answered: map[int]period{}}
	server := httptest.NewServer(o.collector)
	t.Cleanup(server.Close)
	o.config = gatewayConfig + "    api_endpoint: " + server.URL + "\n    spool_dir: " + o.spool +
		"\n    send_timeout: 1000\n    spool_max_bytes: 1073741824\n    flush_after_ms: 50\n"
	return o
}

// start starts a gateway, the first one or the next.
func (o *outage) start() {
	o.t.Helper()
	g := startGatewayOf(o.t, o.config, map[string]string{"moesif": builtPlugin, "testauth": kongdevtest.Self}, nil)
	o.g.Store(&g)
}

// plenty is after how many requests a load becomes a light one: the collector remembers 256 MB, some 170000 of their events,
// and a fast machine makes more of them in the time that a soak has.
const plenty = 50000

// load sends requests at full speed from several clients while f runs.
func (o *outage) load(f func()) {
	var clients sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				o.mu.Lock()
				n := o.next
				o.next++
				o.mu.Unlock()
				if n >= plenty {
					time.Sleep(100 * time.Millisecond)
				}
				o.request(n)
			}
		})
	}
	f()
	stop.Store(true)
	clients.Wait()
}

// request sends one request, whose number is in its path. One that fails counts for nothing.
func (o *outage) request(n int) {
	r, err := http.NewRequest(http.MethodPost, fmt.Sprintf("/n/%d", n), strings.NewReader(fmt.Sprintf(`{"n":%d}`, n)))
	if !assert.NoError(o.t, err) {
		return
	}
	r.Host = "api.example.org"
	r.Header.Set("Content-Type", "application/json")
	from := time.Now()
	answer, err := o.g.Load().Do(r)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil || answer.Status != http.StatusOK {
		o.failed++
		return
	}
	o.answered[n] = period{from, time.Now()}
}

// kill ends a worker, however f does that, and waits until there is another one; on a busy machine that takes long enough
// for events to be answered by the plugin's policy. Before, it waits until what was answered by now is safe, on disk or
// delivered, while further requests come: the worker writes within milliseconds, but a busy machine does not let it.
func (o *outage) kill(f func()) {
	from := time.Now()
	require.Eventually(o.t, func() bool { return o.safe(from) }, time.Minute, 50*time.Millisecond)
	f()
	o.g.Load().WaitReady()
	o.mu.Lock()
	o.kills = append(o.kills, period{from, time.Now()})
	o.mu.Unlock()
}

// replace has processes replaced, however f does that, which costs no event unless a new worker takes so long to come that
// its supervisor answers by the plugin's policy: that is after two seconds.
func (o *outage) replace(f func()) {
	from := time.Now()
	f()
	o.g.Load().WaitReady()
	if time.Since(from) > time.Second {
		o.mu.Lock()
		o.waits = append(o.waits, period{from.Add(-time.Second), time.Now()}) // log events come behind answers
		o.mu.Unlock()
	}
}

// safe reports whether there is an event, on disk or delivered, of every request that was answered before, but for those
// whose events may be lost.
func (o *outage) safe(before time.Time) bool {
	stored := map[int]bool{}
	_, err := spool.Each(o.spool, func(event []byte, _ time.Time) error { // first: what is delivered leaves the disk
		_, number, _ := strings.Cut(string(event), "/n/")
		number, _, _ = strings.Cut(number, `"`)
		n, err := strconv.Atoi(number)
		stored[n] = true
		return err
	})
	if err != nil {
		return false
	}
	_, others := o.missing()
	lost := 0
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range others {
		if !stored[n] && o.answered[n].to.Before(before) {
			lost++
		}
	}
	return lost <= int(o.g.Load().Stats().LostLogEvents)
}

// arrived returns the transaction ids of the events by their request's number.
func (o *outage) arrived() map[int]map[string]bool {
	ids := map[int]map[string]bool{}
	for _, raw := range o.collector.Events() {
		var e struct {
			Request       struct{ URI, Body any }
			TransactionID string `json:"transaction_id"`
		}
		require.NoError(o.t, json.Unmarshal(raw, &e), "half an event")
		_, number, _ := strings.Cut(fmt.Sprint(e.Request.URI), "/n/")
		n, err := strconv.Atoi(number)
		require.NoError(o.t, err)
		if ids[n] == nil {
			ids[n] = map[string]bool{}
		}
		ids[n][e.TransactionID] = true
	}
	return ids
}

// missing returns the answered requests without an event: those around a kill or a long wait, and all others.
func (o *outage) missing() (before, others []int) {
	ids := o.arrived()
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, request := range o.answered {
		if ids[n] != nil {
			continue
		}
		if slices.ContainsFunc(o.kills, request.has) || slices.ContainsFunc(o.waits, request.has) {
			before = append(before, n)
		} else {
			others = append(others, n)
		}
	}
	return before, others
}

// The collector fails in every way while requests come as fast as they can and processes are killed: workers, supervisors,
// both, a whole gateway. All events arrive but those that a killed worker had not written, each with one transaction id.
func TestOutage(t *testing.T) {
	o := newOutage(t)
	const pause = 1500 * time.Millisecond
	var length time.Duration
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		require.NoError(t, err, "SOAK is a duration such as 60s")
	}
	faults := []collector.Fault{{Status: 503}, {Hang: true}, {Cut: true}, {Status: 500, After: true}, {Status: 401}, {Status: 429, RetryAfter: "1"}}
	o.collector.SetFault(faults[0])
	o.start()
	steps := []func(){
		func() { o.kill(func() { o.g.Load().KillWorker("moesif") }) },
		func() { o.replace(func() { require.NoError(t, o.g.Load().Reload(o.g.Load().Config())) }) },
		func() { o.replace(func() { o.g.Load().Kill("moesif") }) }, // the supervisor; its worker finishes
		func() { o.kill(func() { o.g.Load().KillWorker("moesif") }) },
		func() { o.replace(func() { require.NoError(t, o.g.Load().SignalPlugin("moesif", syscall.SIGHUP)) }) },
		func() {
			o.kill(func() { // both
				children := o.g.Load().Children("moesif")
				require.NoError(t, o.g.Load().SignalPlugin("moesif", syscall.SIGKILL))
				for _, pid := range children {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
		},
	}
	o.load(func() {
		for end := time.Now().Add(length); ; { // once, or as long as SOAK says
			for i, step := range steps {
				time.Sleep(pause)
				step()
				o.g.Load().WaitReady()
				o.collector.SetFault(faults[i])
			}
			if time.Now().After(end) {
				break
			}
		}
		time.Sleep(pause)
	})
	o.g.Load().WaitIdle()
	first := o.g.Load()
	o.start() // the next gateway on this machine, while the first one ends
	require.NoError(t, first.Close())
	o.load(func() {
		time.Sleep(pause)
		o.collector.SetFault(collector.Fault{})
		time.Sleep(pause)
	})
	o.g.Load().WaitIdle()

	byGateway := int(first.Stats().LostLogEvents + o.g.Load().Stats().LostLogEvents) // Kong itself loses one where the connection dies
	assert.Eventually(t, func() bool { _, others := o.missing(); return len(others) <= byGateway }, 3*time.Minute, 200*time.Millisecond)
	before, others := o.missing()
	assert.LessOrEqual(t, len(others), byGateway, "lost events")
	twice := 0
	for _, ids := range o.arrived() {
		twice += len(ids) - 1
	}
	assert.Zero(t, twice, "events with two transaction ids")
	bytes := 0
	for _, b := range o.collector.Batches() {
		bytes += b.Bytes
	}
	ids, repeats := o.collector.Distinct() // before the events, of which some may still come again
	assert.GreaterOrEqual(t, len(o.collector.Events()), ids+repeats, "the collector has forgotten some")
	t.Logf("%d requests, %d failed; %d events of %d MB arrived, %d of them again; %d workers killed, %d long waits, %d events lost with them, %d others that the gateway lost",
		len(o.answered)+o.failed, o.failed, ids, bytes>>20, repeats, len(o.kills), len(o.waits), len(before), len(others))
}
