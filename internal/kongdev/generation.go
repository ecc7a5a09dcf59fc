package kongdev

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/router"
)

// A generation is what one configuration runs with: it is replaced by Reload and
// Reconfigure.
type generation struct {
	*tenure
	gw           *Gateway
	config       *declarative.Config
	router       *router.Router
	iterator     *iterator
	certificates []*pluginConfig // global certificate handlers
	rewrites     []*pluginConfig // global rewrite handlers
	logs         []*pluginConfig // global log handlers, for requests that no route took
	filters      []*pluginConfig // global header filters, likewise
	workers      []*worker
	balancers    map[string]*balancer
	printed      sync.Map // JSON of routes and services, by pointer: they never change
}

// A tenure is what lives from one start of the workers to the next: their
// memory, and the plugin servers.
type tenure struct {
	infos     map[string]external.Info
	plugins   map[string]*plugin
	memories  []*workerMemory              // by worker
	processes map[string]*external.Process // by plugin server name
	active    gate                         // requests and log events
}

// newGeneration makes everything anew, as kong reload does.
func (g *Gateway) newGeneration(d *declarative.Config, infos map[string]external.Info) (*generation, error) {
	t := &tenure{infos: infos, plugins: g.plugins(infos), processes: map[string]*external.Process{}}
	gen, err := g.configure(d, t)
	if err != nil {
		return nil, err
	}
	for id, w := range gen.workers {
		m := &workerMemory{pools: map[*plugin]*pool{}, sent: map[*plugin]*atomic.Int64{}, instances: map[string]*instance{}}
		t.memories = append(t.memories, m)
		w.workerMemory = m
		for _, p := range t.plugins {
			if p.socket == "" {
				continue
			}
			pool, err := newPool(poolOptions{socket: p.socket, worker: id, turn: g.opts.LoopTurn, frames: g.opts.OnFrame, ids: &g.ids, counters: g.counters, log: g.log})
			if err != nil {
				t.closePools()
				return nil, err
			}
			m.pools[p] = pool
			m.sent[p] = new(atomic.Int64)
		}
	}
	for _, s := range g.opts.Plugins {
		if s.StartCmd == "" {
			g.log.Printf(errorlog.Warn, "start_command undefined for pluginserver %s; assuming external process management", s.Name)
		} else {
			t.processes[s.Name] = external.Start(s, g.log, func(again bool) {
				if again {
					g.counters.respawns.Add(1)
				}
			})
		}
	}
	return gen, nil
}

// configure makes a generation of a tenure; each worker numbers the
// configurations. A new tenure's workers get their memory later.
func (g *Gateway) configure(d *declarative.Config, t *tenure) (*generation, error) {
	for _, e := range d.Plugins {
		if t.plugins[e.Name] == nil {
			return nil, fmt.Errorf("%s:%d: plugin '%s' not enabled; add it to the plugin servers", e.File, e.Line, e.Name)
		}
	}
	router, err := router.New(d)
	if err != nil {
		return nil, err
	}
	gen := &generation{tenure: t, gw: g, config: d, router: router, iterator: newIterator(d, t.plugins), balancers: newBalancers(d)}
	gen.certificates = gen.iterator.globals("certificate")
	gen.rewrites, gen.logs = gen.iterator.globals("rewrite"), gen.iterator.globals("log")
	gen.filters = gen.iterator.globals("header_filter")
	for _, c := range gen.iterator.sorted {
		if c.builtIn, err = buildStandIn(c.entity, d); err != nil {
			return nil, err
		}
	}
	if len(t.memories) == 0 { // Kong's master process numbers them first
		g.seq.Add(int64(len(gen.iterator.sorted)))
	}
	for id := range g.opts.Workers {
		w := &worker{id: id, gen: gen, seqs: map[*pluginConfig]int64{}}
		if len(t.memories) > 0 {
			w.workerMemory = t.memories[id]
		}
		for _, c := range gen.iterator.sorted {
			w.seqs[c] = g.seq.Add(1)
		}
		gen.workers = append(gen.workers, w)
	}
	return gen, nil
}

func (t *tenure) closePools() {
	for _, m := range t.memories {
		for _, p := range m.pools {
			p.close()
		}
	}
}

// closeWait is how long a gateway that closes waits for requests and log events.
const closeWait = 3 * time.Second

// end waits a while for the tenure's requests, then stops what it started;
// what is still running then loses its plugin connections.
func (t *tenure) end() {
	empty := t.active.close()
	select {
	case <-empty:
	case <-time.After(closeWait):
	}
	var wg sync.WaitGroup
	for _, p := range t.processes {
		wg.Go(p.Stop)
	}
	t.closePools()
	wg.Wait()
	<-empty
}
