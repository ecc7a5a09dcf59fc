package kongdev

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Stats are a gateway's counters since its start.
type Stats struct {
	Requests       int64            // requests answered
	Failed         int64            // of these, answered with an error that a plugin server or a PDK call caused
	Failures       map[string]int64 // the same by reason, log events too
	LostLogEvents  int64            // log events that ended in an error
	Retries        int64            // events sent again after the plugin server closed the connection
	Refused        int64            // connection attempts that a plugin server's socket refused, or that found no socket
	NotImplemented map[string]int64 // calls that are not in kongdev yet, by method
	Connections    int64            // connections opened to plugin servers
	Instances      int64            // instances started
	Respawns       int64            // plugin server processes started again
	PluginPIDs     map[string]int   // process id per plugin server; 0 while it is down
}

type counters struct {
	lostLogs, retries, refused, connections, instances, respawns atomic.Int64

	mu               sync.Mutex
	requests, failed int64
	failures         map[string]int64
	notImplemented   map[string]int64
	reasons          map[string]Failure // of the last requests that failed, by request id
	order            []string           // their ids, oldest first
}

// A Failure is why a request, or a log event of it, failed. Reason is one of a
// few fixed texts, Text what Kong logs.
type Failure struct{ Phase, Plugin, Reason, Text string }

// keptFailures bounds how many failures can be looked up afterwards.
const keptFailures = 4096

func newCounters() *counters {
	return &counters{failures: map[string]int64{}, notImplemented: map[string]int64{}, reasons: map[string]Failure{}}
}

func (c *counters) failure(requestID string, f Failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures[f.Reason]++
	if _, known := c.reasons[requestID]; known {
		return
	}
	if len(c.order) >= keptFailures {
		delete(c.reasons, c.order[0])
		c.order = c.order[1:]
	}
	c.reasons[requestID] = f
	c.order = append(c.order, requestID)
}

// answered counts a request, at once in both numbers.
func (c *counters) answered(failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if failed {
		c.failed++
	}
}

func (c *counters) missing(method string) {
	c.mu.Lock()
	c.notImplemented[method]++
	c.mu.Unlock()
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Requests: c.requests, Failed: c.failed, LostLogEvents: c.lostLogs.Load(),
		Retries: c.retries.Load(), Refused: c.refused.Load(), Connections: c.connections.Load(),
		Instances: c.instances.Load(), Respawns: c.respawns.Load(),
		Failures: maps.Clone(c.failures), NotImplemented: maps.Clone(c.notImplemented),
	}
}
