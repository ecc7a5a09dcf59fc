package pluginserver

// Bounds of what the supervisor remembers: all of it must fit into the queue of a control channel. An instance on top of
// that does not survive its worker: Kong starts it again, at the cost of one repeated event.
const (
	maxTableBytes     = maxControlQueue / 2
	maxTableInstances = maxControlMessages / 2
)

// An instanceTable is what the supervisor knows of the instances that Kong has started: id -> configuration, JSON.
// An id means the same configuration for every worker.
type instanceTable struct {
	configs map[int32][]byte
	bytes   int
}

// put remembers an instance and reports whether there was room.
func (t *instanceTable) put(id int32, config []byte) bool {
	t.remove(id)
	if len(config) > maxControlPayload || t.bytes+len(config) > maxTableBytes || len(t.configs) >= maxTableInstances {
		return false
	}
	if t.configs == nil {
		t.configs = map[int32][]byte{}
	}
	t.configs[id] = config
	t.bytes += len(config)
	return true
}

func (t *instanceTable) remove(id int32) {
	t.bytes -= len(t.configs[id])
	delete(t.configs, id)
}
