package kongdev

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A generation is what one configuration runs with: it is replaced by Reload.
type generation struct {
	gw           *Gateway
	config       *Declarative
	router       *router
	iterator     *iterator
	certificates []*pluginConfig // global certificate handlers
	rewrites     []*pluginConfig // global rewrite handlers
	logs         []*pluginConfig // global log handlers, for requests that no route took
	filters      []*pluginConfig // global header filters, likewise
	workers      []*worker
	processes    map[string]*process // by plugin server name
	balancers    map[string]*balancer
	active       gate // requests and log events
}

// newGeneration numbers the configurations, makes the workers and starts the
// managed plugin servers.
func (g *Gateway) newGeneration(d *Declarative) (*generation, error) {
	plugins := g.plugins()
	for _, e := range d.Plugins {
		if plugins[e.Name] == nil {
			return nil, fmt.Errorf("%s:%d: plugin '%s' not enabled; add it to the plugin servers", e.File, e.Line, e.Name)
		}
	}
	router, err := newRouter(d)
	if err != nil {
		return nil, err
	}
	gen := &generation{
		gw: g, config: d, router: router, iterator: newIterator(d, plugins),
		processes: map[string]*process{}, balancers: newBalancers(d),
	}
	gen.certificates = gen.iterator.globals("certificate")
	gen.rewrites, gen.logs = gen.iterator.globals("rewrite"), gen.iterator.globals("log")
	gen.filters = gen.iterator.globals("header_filter")
	for _, c := range gen.iterator.sorted {
		if c.builtIn, err = buildStandIn(c.entity, d); err != nil {
			return nil, err
		}
	}
	for id := range g.opts.Workers {
		w := &worker{
			id: id, gen: gen, seqs: map[*pluginConfig]int64{}, rpcs: map[*plugin]*rpc{},
			sent: map[*plugin]*atomic.Int64{}, instances: map[string]*instance{},
		}
		for _, c := range gen.iterator.sorted {
			w.seqs[c] = g.seq.Add(1)
		}
		for _, p := range plugins {
			if p.socket == "" {
				continue
			}
			pool, err := newPool(poolOptions{socket: p.socket, worker: id, frames: g.opts.OnFrame, ids: &g.ids, counters: g.counters, log: g.log})
			if err != nil {
				gen.closePools()
				return nil, err
			}
			w.rpcs[p] = &rpc{plugin: p, worker: w, pool: pool}
			w.sent[p] = new(atomic.Int64)
		}
		gen.workers = append(gen.workers, w)
	}
	for _, s := range g.opts.Plugins {
		if s.StartCmd != "" {
			gen.processes[s.Name] = startProcess(s, g.log, func(again bool) {
				if again {
					g.counters.respawns.Add(1)
				}
			})
		}
	}
	return gen, nil
}

func (gen *generation) closePools() {
	for _, w := range gen.workers {
		for _, r := range w.rpcs {
			r.pool.close()
		}
	}
}

// closeWait is how long a gateway that closes waits for requests and log events.
const closeWait = 3 * time.Second

// end waits a while for the generation's requests, then stops what it started;
// what is still running then loses its plugin connections.
func (gen *generation) end() {
	empty := gen.active.close()
	select {
	case <-empty:
	case <-time.After(closeWait):
	}
	var wg sync.WaitGroup
	for _, p := range gen.processes {
		wg.Go(p.stop)
	}
	gen.closePools()
	wg.Wait()
	<-empty
}
