package moesif

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/moesif/remote"
	"kong-go-plugins/moesif/send"
	"kong-go-plugins/schema"
)

const (
	// applicationGrace is how long an application outlives its last configuration: Kong makes every configuration anew
	// when any of them changes.
	applicationGrace = time.Minute
	// retireTime is how long the queue of an application that nothing configures any more may still try to send what it
	// holds.
	retireTime = 10 * time.Minute
)

// A Capture is what all configurations of one process share: the applications, what is kept between the phases of a
// request, and the metrics. Make it with NewCapture; it starts nothing before the first configuration. Safe for
// concurrent use.
type Capture struct {
	schema  schema.Plugin
	stats   *stats
	sending *send.Metrics
	remote  *remote.Metrics
	report  func(cause, text string)

	serverFlags *flag.FlagSet
	startOnce   sync.Once
	mode        mode // read by started
	collector   collectorFlags
	http        send.HTTPOptions // of every connection to a collector

	applications *pluginserver.Registry[applicationKey, *application]

	state  *pending[heldState] // by Kong's request id, from access and response to log
	issued *pending[struct{}]  // the transaction ids that we made and whose log has not come

	stop   context.Context // ends when the time to drain is over
	cancel context.CancelFunc
	unsent atomic.Int64
	made   atomic.Int64 // applications

	mu       sync.Mutex
	retiring map[*application]bool
}

// NewCapture returns a Capture that reports errors to report, which says a cause at most once a minute.
func NewCapture(report func(cause, text string)) *Capture {
	c := &Capture{schema: Schema(), stats: newStats(), sending: send.NewMetrics(dropUnread, dropConfig), remote: remote.NewMetrics(), report: report,
		mode: mode{buffering: bufferAuto}, retiring: map[*application]bool{}}
	c.stop, c.cancel = context.WithCancel(context.Background())
	lost := func(reason string) { c.stats.stateLost.WithLabelValues(reason).Inc() }
	c.state = newPending(func(h heldState) int { return cap(h.request) + cap(h.response) }, lost)
	c.issued = newPending(func(struct{}) int { return 0 }, lost)
	c.applications = pluginserver.NewRegistry[applicationKey](applicationGrace, c.retire)
	return c
}

// Register adds the plugin's metrics to r.
func (c *Capture) Register(r prometheus.Registerer) {
	c.stats.register(r)
	c.sending.Register(r)
	c.remote.Register(r)
}

// Close sends what is queued and returns when that is done or ctx is. The error says how many events were left.
func (c *Capture) Close(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.cancel)()
	var hurried sync.WaitGroup
	c.mu.Lock()
	for a := range c.retiring { // they count on more time
		hurried.Go(func() { c.unsent.Add(int64(a.queue.Close(ctx))) })
	}
	c.mu.Unlock()
	c.applications.Close()
	hurried.Wait()
	if n := c.unsent.Load(); n > 0 {
		return fmt.Errorf("%d events could not be sent in time", n)
	}
	return nil
}

// retire ends an application that no configuration uses.
func (c *Capture) retire(a *application) {
	c.mu.Lock()
	c.retiring[a] = true
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.stop, retireTime)
	defer cancel()
	c.unsent.Add(int64(a.close(ctx)))
	c.mu.Lock()
	delete(c.retiring, a)
	c.mu.Unlock()
}
