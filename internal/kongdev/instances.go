package kongdev

import (
	"time"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// An instance is a worker's knowledge of one started plugin instance. It is
// claimed, without an id, while somebody starts it.
type instance struct {
	ready    bool
	id       int32
	seq      int64
	pluginID string // entity id of the configuration it was started with
	plugin   string // name; set when it has started, so that a reset leaves claims alone
}

// Kong waits for somebody else's StartInstance in steps, and not for ever.
const (
	claimStep = 100 * time.Millisecond
	claimWait = 10 * time.Second
)

// instanceID finds the instance of a configuration, and starts one when there
// is none or the configuration has changed; trace learns how long that took.
func (w *worker) instanceID(conf *pluginConfig, trace *traceEvent) (int32, error) {
	key := conf.entity.ID
	seq := w.seqs[conf]
	w.mu.Lock()
	known := w.instances[key]
	for waited := time.Duration(0); known != nil && !known.ready; {
		w.mu.Unlock()
		time.Sleep(claimStep)
		waited += claimStep
		w.mu.Lock()
		if waited > w.gen.gw.claimWait {
			delete(w.instances, key)
			w.mu.Unlock()
			return 0, &rpcError{text: "Could not claim instance_id for " + conf.plugin.Name + " (key: " + key + ")"}
		}
		known = w.instances[key]
	}
	if known != nil && known.seq == seq && known.pluginID == key {
		id := known.id
		w.mu.Unlock()
		return id, nil
	}
	var old int32
	replaces := known != nil
	if replaces {
		old = known.id
		known.ready = false
	} else {
		known = &instance{}
		w.instances[key] = known
	}
	w.mu.Unlock()

	begun := time.Now()
	id, err := w.rpc(conf.plugin).startInstance(conf, seq)
	if _, returned := err.(*rpcError); returned {
		w.gen.gw.log.Printf(errorlog.Err, "starting instance: %s", err)
		w.mu.Lock()
		delete(w.instances, key) // someone else might succeed
		w.mu.Unlock()
		return 0, &startError{err.Error()}
	}
	if err != nil { // raised: Kong leaves the claim, and others wait for it in vain
		return 0, err
	}
	w.mu.Lock()
	known.ready, known.id, known.seq = true, id, seq
	known.pluginID, known.plugin = key, conf.plugin.Name
	w.mu.Unlock()
	trace.started(time.Since(begun))
	if replaces {
		w.rpc(conf.plugin).closeInstance(old)
	}
	return id, nil
}

// A startError is the Lua error of a failed StartInstance.
type startError struct{ text string }

func (e *startError) Error() string { return e.text }

// reset forgets all instances of a plugin in all workers: its server has ended.
func (g *generation) reset(plugin string) {
	for _, w := range g.workers {
		w.mu.Lock()
		for key, i := range w.instances {
			if i.plugin == plugin {
				delete(w.instances, key)
			}
		}
		w.mu.Unlock()
	}
}
