package pluginserver

// maxTableBytes is how many bytes of configurations the supervisor remembers. An instance on top of that does not survive
// its worker: Kong starts it again, at the cost of one repeated event.
const maxTableBytes = 256 << 20

// An instanceTable is what the supervisor knows of the instances that Kong has started: id -> configuration, JSON.
// An id means the same configuration for every worker.
type instanceTable struct {
	configs map[int32][]byte
	bytes   int
}

// put remembers an instance and reports whether there was room.
func (t *instanceTable) put(id int32, config []byte) bool {
	t.remove(id)
	if t.bytes+len(config) > maxTableBytes {
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
