// Package benchmark measures the plugin as its real process, driven over its socket by a bare client that stands for Kong,
// next to plugins that do nothing, in one run on one machine: absolute numbers of two runs cannot be compared, ratios and
// differences of one can. Run it with -benchtime 1x.
package benchmark

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/schema"
)

// noop does nothing: the price of an event by itself.
type noop struct{}

func (*noop) Access(*pdk.PDK) {}

// calls makes the calls that the workflow of BenchmarkEvent makes, and does nothing else: what it takes over noop is Kong's
// protocol.
type calls struct{}

func (*calls) Access(kong *pdk.PDK) {
	pluginserver.Prefetch(kong, pluginserver.AskRawQuery(), pluginserver.AskCtx("buffered_proxying"))
	_, _ = kong.Request.GetRawQuery()
	_ = pluginserver.SetServiceHeaders(kong, pluginserver.ServiceHeader{Name: "X-Query", Value: "1"}, pluginserver.ServiceHeader{Name: "X-Static", Value: "fixed"})
	_ = pluginserver.SetCtxFlag(kong, "buffered_proxying", false)
}

// sleeper waits as long as the call of BenchmarkHundredCalls takes, and makes none.
type sleeper struct{}

func (*sleeper) Access(*pdk.PDK) { time.Sleep(callTime) }

const callTime = 50 * time.Millisecond

// TestMain makes this test binary the plugins above, too, by its file's name.
func TestMain(m *testing.M) {
	plugins := map[string]func() any{
		"noop":    func() any { return &noop{} },
		"calls":   func() any { return &calls{} },
		"sleeper": func() any { return &sleeper{} },
	}
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	name := filepath.Base(executable)
	if plugin := plugins[name]; plugin != nil {
		os.Exit(pluginserver.Run(pluginserver.Plugin{Name: name, Version: "0.1.0", Priority: 1, Schema: schema.Plugin{Name: name}, New: plugin}))
	}
	os.Exit(m.Run())
}

const (
	rounds    = 5
	perRound  = 8000 // events
	warmEvent = 500
)

// staticAndJQ is static, jq and two headers to the service.
const staticAndJQ = `{"nodes": [
  {"name": "S", "type": "static", "values": {"headers": {"X-Static": "fixed"}}},
  {"name": "J", "type": "jq", "jq": ".headers * {\"X-Query\": (.query.q // \"none\")}",
   "inputs": {"headers": "S.headers", "query": "request.query"}, "output": "service_request.headers"}]}`

// BenchmarkEvent is the processor time of the plugin's processes for an event: of a plugin that does nothing, of one that
// makes the same calls, and of a workflow. Rounds take turns, and medians are reported.
func BenchmarkEvent(b *testing.B) {
	for _, connections := range []int{1, 16} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			names := []string{"noop", "calls", "datakit"}
			var lines []*line
			for _, name := range names {
				p, config := (*process)(nil), "{}"
				if name == "datakit" {
					p, config = startBuilt(b, name), staticAndJQ
				} else {
					p = startSelf(b, name)
				}
				lines = append(lines, open(b, p, connections, config))
			}
			taken := make([][]float64, len(names))
			for b.Loop() {
				for round := range rounds {
					for i, l := range lines {
						if round == 0 {
							l.play(b, warmEvent)
						}
						before := l.process.cpu(b)
						l.play(b, perRound)
						taken[i] = append(taken[i], float64(l.process.cpu(b)-before)/1000/perRound)
					}
				}
			}
			for i, name := range names {
				b.ReportMetric(median(taken[i]), name+"-cpu-us/event")
			}
			b.ReportMetric(median(taken[2])-median(taken[0]), "over-noop-us/event")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkHundredCalls is a workflow whose call takes 50 ms, for a hundred requests at the same time, next to a plugin that
// sleeps as long: 2,000 requests/s is what both can reach. The first requests are spread over 50 ms: clients do not all come
// in the same instant. Client and upstream take their processor time from the same machine.
func BenchmarkHundredCalls(b *testing.B) {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer func() { _ = upstream.Close() }()
	go serve(upstream)
	config := `{"nodes": [{"name": "C", "type": "call", "url": "http://` + upstream.Addr().String() + `/"},
      {"name": "J", "type": "jq", "jq": "{\"X-Token\": .token}", "input": "C.body", "output": "service_request.headers"}]}`
	const requests = 100
	names := []string{"sleeper", "datakit"}
	lines := []*line{open(b, startSelf(b, names[0]), requests, "{}"), open(b, startBuilt(b, names[1]), requests, config)}
	persec, cpu := make([][]float64, len(names)), make([][]float64, len(names))
	for b.Loop() {
		for range rounds {
			for i, l := range lines {
				before := l.process.cpu(b)
				all, rate := l.hold(b, callTime, 4*time.Second)
				persec[i] = append(persec[i], rate)
				cpu[i] = append(cpu[i], float64(l.process.cpu(b)-before)/1000/float64(all))
			}
		}
	}
	for i, name := range names {
		b.ReportMetric(median(persec[i]), name+"-requests/s")
		b.ReportMetric(median(cpu[i]), name+"-cpu-us/request")
		b.ReportMetric(float64(lines[i].process.resident(b))/(1<<20), name+"-resident-MB")
	}
	b.ReportMetric(0, "ns/op")
}

// serve answers every request after callTime, with less ado than an HTTP server.
func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			r := bufio.NewReader(conn)
			for {
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == len("\r\n") {
						break // the head's end; there is no body
					}
				}
				time.Sleep(callTime)
				if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"token\":\"t\"}"); err != nil {
					return
				}
			}
		}()
	}
}

// A line is a process with its connections.
type line struct {
	process *process
	kongs   []*kong
}

func open(b *testing.B, p *process, connections int, config string) *line {
	b.Helper()
	l := &line{process: p}
	for range connections {
		k, err := dial(p)
		require.NoError(b, err)
		b.Cleanup(func() { _ = k.conn.Close() })
		l.kongs = append(l.kongs, k)
	}
	require.NoError(b, l.kongs[0].start(p, config))
	return l
}

// play sends n events over all connections.
func (l *line) play(b *testing.B, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	var senders sync.WaitGroup
	for _, k := range l.kongs {
		senders.Go(func() {
			for left.Add(-1) >= 0 {
				if err := k.run(nil); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
}

// hold keeps every connection busy with one request after another, the first ones spread over a time. It returns how many
// there were, and how many a second once all were under way.
func (l *line) hold(b *testing.B, spread, during time.Duration) (all int64, persec float64) {
	from := time.Now().Add(2 * spread)
	until := from.Add(during)
	var sum, counted atomic.Int64
	var senders sync.WaitGroup
	for i, k := range l.kongs {
		senders.Go(func() {
			time.Sleep(spread * time.Duration(i) / time.Duration(len(l.kongs)))
			for {
				if err := k.run(nil); err != nil {
					b.Error(err)
					return
				}
				sum.Add(1)
				now := time.Now()
				if now.After(until) {
					return
				}
				if now.After(from) {
					counted.Add(1)
				}
			}
		})
	}
	senders.Wait()
	return sum.Load(), float64(counted.Load()) / during.Seconds()
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
