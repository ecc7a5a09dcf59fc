// Package benchmark compares our server with go-pdk's own and with a bare socket echo, in one run and on the same frames:
//
//	go test -bench . ./internal/pluginserver/benchmark
//
// Each server is a process of its own; the figures are its processor time and allocations, not those of the driver,
// which plays Kong. The table at the end is the one of docs/performance.md. Machines differ: read the ratios.
package benchmark

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// results are what the benchmarks of this run found, for the table; with -count several of each.
var results = map[string][]result{}

type result struct {
	cpu, allocs, ns float64
}

func key(c benchCase, connections int, role string) string {
	return fmt.Sprintf("%s/%d/%s", c.name, connections, role)
}

func BenchmarkServer(b *testing.B) {
	for i, c := range cases {
		for _, connections := range []int{1, 32} {
			for _, role := range []string{echo, goPDK, own, fast} {
				if role == fast && c.ours == nil {
					continue
				}
				var last result // the benchmark runs with growing b.N; the last run counts
				if b.Run(key(c, connections, role), func(b *testing.B) { last = compare(b, i, connections, role) }) && last.ns > 0 {
					results[key(c, connections, role)] = append(results[key(c, connections, role)], last)
				}
			}
		}
	}
}

func compare(b *testing.B, i, connections int, role string) result {
	c := cases[i]
	dir, err := os.MkdirTemp("", "b")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	if role == echo {
		writeSteps(b, i, dir)
	}
	p := start(b, role, dir)
	kongs := make([]*kong, connections)
	for j := range kongs {
		kongs[j] = dial(b, p, c)
	}
	if role != echo {
		if err := kongs[0].start(map[string]any{"case": i, "fast": role == fast, "stats": p.stats}); err != nil {
			b.Fatal(err)
		}
	}
	for _, k := range kongs { // warm
		for range 20 {
			if err := k.run(); err != nil {
				b.Fatal(err)
			}
		}
	}
	count, _ := p.allocations(b, role)
	cpu := p.cpu(b)
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for _, k := range kongs {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := k.run(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	r := result{
		cpu: float64(p.cpu(b)-cpu) / float64(b.N) / 1000,
		ns:  float64(b.Elapsed().Nanoseconds()) / float64(b.N),
	}
	after, _ := p.allocations(b, role)
	r.allocs = (after - count) / float64(b.N)
	b.ReportMetric(r.cpu, "server-cpu-us/op")
	b.ReportMetric(r.allocs, "server-allocs/op")
	return r
}

// median is the result with the median processor time: machines are shared, and a mean would keep every disturbance.
func median(list []result) (r result, ok bool) {
	if len(list) == 0 {
		return r, false
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b result) int { return cmp.Compare(a.cpu, b.cpu) })
	return list[len(list)/2], true
}

// writeSteps records what our server writes and reads for a case, for the echo to repeat.
func writeSteps(b *testing.B, i int, dir string) {
	recording, err := os.MkdirTemp("", "b")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(recording) }()
	role := fast
	if cases[i].ours == nil {
		role = own
	}
	p := start(b, role, recording)
	k := dial(b, p, cases[i])
	if err := k.start(map[string]any{"case": i, "fast": role == fast, "stats": p.stats}); err != nil {
		b.Fatal(err)
	}
	var steps struct {
		Steps    []step
		Trailing int
	}
	behind := 0 // bytes of answers that our server does not wait for
	k.trace = func(dir string, frame []byte) {
		n := len(steps.Steps)
		switch {
		case dir == "in" && n > 0 && waits(steps.Steps[n-1].Write):
			steps.Steps = append(steps.Steps, step{Read: len(frame)})
		case dir == "in" && n == 0:
			steps.Steps = append(steps.Steps, step{Read: len(frame)})
		case dir == "in":
			behind += len(frame)
		default:
			steps.Steps[n-1].Write = append(steps.Steps[n-1].Write, frame...)
		}
	}
	if err := k.run(); err != nil {
		b.Fatal(err)
	}
	steps.Trailing = behind
	data, err := json.Marshal(steps)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "steps.json"), data, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// waits reports whether the last call in a flight is one whose answer our server waits for: one that reads.
func waits(flight []byte) bool {
	names := framesOf(flight)
	if len(names) < 2 {
		return false
	}
	return reads[names[len(names)-2]]
}

// reads are the calls of the cases that read; read-only.
var reads = map[string]bool{
	"kong.request.get_header": true, "kong.request.get_headers": true, "kong.nginx.get_var": true,
	"kong.log.serialize": true, "kong.request.get_raw_body": true,
}

func framesOf(b []byte) (frames []string) {
	for len(b) >= 4 {
		n := int(b[0]) | int(b[1])<<8 | int(b[2])<<16 | int(b[3])<<24
		frames = append(frames, string(b[4:4+n]))
		b = b[4+n:]
	}
	return frames
}

// printTable prints the ratios of a whole run.
func printTable(w io.Writer) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintln(w, "\nServer CPU per event, in microseconds, and allocations. ours = handlers with pluginserver's readers.")
	for _, connections := range []int{1, 32} {
		fmt.Fprintf(w, "\n%d connections\n\n", connections)
		fmt.Fprintln(w, "| event | echo | go-pdk | own server | ours | ours / echo | ours / go-pdk | allocs go-pdk | own | ours |")
		fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|")
		for _, c := range cases {
			e, haveEcho := median(results[key(c, connections, echo)])
			g, haveGoPDK := median(results[key(c, connections, goPDK)])
			o, haveOwn := median(results[key(c, connections, own)])
			f, haveFast := median(results[key(c, connections, fast)])
			if !haveFast {
				f = o
			}
			if !haveEcho || !haveGoPDK || !haveOwn {
				continue
			}
			fmt.Fprintf(w, "| %s | %.1f | %.1f | %.1f | %.1f | %.2f | %.2f | %.0f | %.0f | %.0f |\n",
				c.name, e.cpu, g.cpu, o.cpu, f.cpu, f.cpu/e.cpu, f.cpu/g.cpu, g.allocs, o.allocs, f.allocs)
		}
	}
}
