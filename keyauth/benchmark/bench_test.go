package benchmark

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"kong-go-plugins/keyauth/key"
)

const (
	goodKey  = "a-key-of-32-characters-012345678"
	wrongKey = "another-key-of-32-characters-012"
)

// results are the processor time per event in microseconds, by case and role, for the table.
var results = map[string][]float64{}

// cases are read-only.
var cases = []struct {
	name  string
	key   string
	roles []string
}{
	{"no-op", goodKey, []string{peersNoop, ourNoop}},
	{"valid key", goodKey, []string{peer, ours}},
	{"wrong key", wrongKey, []string{peer, ours}},
}

// BenchmarkAccess measures the whole handler over the socket.
func BenchmarkAccess(b *testing.B) {
	for _, c := range cases {
		for _, connections := range []int{1, 32} {
			for _, role := range c.roles {
				name := fmt.Sprintf("%s/%d/%s", c.name, connections, role)
				var last float64 // the benchmark runs with growing b.N; the last run counts
				if b.Run(name, func(b *testing.B) { last = run(b, role, c.key, connections) }) && last > 0 {
					results[name] = append(results[name], last)
				}
			}
		}
	}
}

// config is one for keyauth and for its peer.
func config(b testing.TB) map[string]any {
	hasher, err := key.NewHasher("")
	if err != nil {
		b.Fatal(err)
	}
	return map[string]any{"snapshot": "", "credentials": []map[string]any{
		{"digest": hasher.Hash([]byte(goodKey)).String(), "consumer": "bob", "id": "11111111-1111-4111-8111-111111111111"},
	}}
}

func run(b *testing.B, role, key string, connections int) (micros float64) {
	p := startProcess(b, role)
	kongs := make([]*kong, connections)
	var id int32
	for i := range kongs {
		kongs[i] = &kong{socket: p.socket, answers: answersFor(key)}
		err := kongs[i].dial()
		if err == nil && i == 0 {
			id, err = kongs[i].start(role, config(b))
		}
		kongs[i].use(id)
		for range 20 { // warm
			if err == nil {
				err = kongs[i].run()
			}
		}
		if err != nil {
			b.Fatal(err)
		}
	}
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
	micros = float64(p.cpu(b)-cpu) / float64(b.N) / 1000
	b.ReportMetric(micros, "plugin-cpu-us/op")
	return micros
}

// median: machines are shared, and a mean would keep every disturbance.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	list = slices.Clone(list)
	slices.SortFunc(list, cmp.Compare)
	return list[len(list)/2]
}

func printTable(w io.Writer) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintln(w, "\nPlugin CPU per event in microseconds, over a no-op event of the same server.")
	fmt.Fprintln(w, "| connections | event | plain go-pdk | keyauth | over no-op: plain | keyauth | ratio over no-op | ratio |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, connections := range []int{1, 32} {
		of := func(c, role string) float64 { return median(results[fmt.Sprintf("%s/%d/%s", c, connections, role)]) }
		for _, c := range cases[1:] {
			p, o := of(c.name, peer), of(c.name, ours)
			po, oo := p-of("no-op", peersNoop), o-of("no-op", ourNoop)
			fmt.Fprintf(w, "| %d | %s | %.1f | %.1f | %.1f | %.1f | %.2f | %.2f |\n", connections, c.name, p, o, po, oo, oo/po, o/p)
		}
	}
}
