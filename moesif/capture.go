package moesif

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/moesif/send"
	"kong-go-plugins/schema"
)

const (
	// queueGrace is how long a queue outlives its last configuration: Kong makes every configuration anew when any of
	// them changes.
	queueGrace = time.Minute
	// retireTime is how long a queue that nothing configures any more may still try to send what it holds.
	retireTime = 10 * time.Minute
)

// A Capture is what all configurations of one process share: the queues, what is kept between the phases of a request,
// and the metrics. Make it with NewCapture; it starts nothing before the first event. Safe for concurrent use.
type Capture struct {
	schema  schema.Plugin
	stats   *stats
	sending *send.Metrics
	report  func(cause, text string)
	queues  *pluginserver.Registry[queueKey, *send.Queue]

	bodies *pending[heldBody] // by Kong's request id, from response to log
	issued *pending[struct{}] // the transaction ids that we made and whose log has not come

	stop   context.Context // ends when the time to drain is over
	cancel context.CancelFunc
	unsent atomic.Int64
	made   atomic.Int64 // queues

	mu       sync.Mutex
	retiring map[*send.Queue]bool
}

// A queueKey tells queues apart: two applications never share one, however alike their ids are.
type queueKey struct {
	endpoint      string
	applicationID string
}

// A heldBody is what the response phase leaves for the log phase. Its existence alone says that Kong buffered the
// response.
type heldBody struct {
	request []byte
}

// NewCapture returns a Capture that reports errors to report, which says a cause at most once a minute.
func NewCapture(report func(cause, text string)) *Capture {
	c := &Capture{schema: Schema(), stats: newStats(), sending: send.NewMetrics(dropUnread, dropConfig), report: report, retiring: map[*send.Queue]bool{}}
	c.stop, c.cancel = context.WithCancel(context.Background())
	lost := func(reason string) { c.stats.stateLost.WithLabelValues(reason).Inc() }
	c.bodies = newPending(func(b heldBody) int { return cap(b.request) }, lost)
	c.issued = newPending(func(struct{}) int { return 0 }, lost)
	c.queues = pluginserver.NewRegistry[queueKey](queueGrace, c.retire)
	return c
}

// Register adds the plugin's metrics to r.
func (c *Capture) Register(r prometheus.Registerer) {
	c.stats.register(r)
	c.sending.Register(r)
}

// Close sends what is queued and returns when that is done or ctx is. The error says how many events were left.
func (c *Capture) Close(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.cancel)()
	var hurried sync.WaitGroup
	c.mu.Lock()
	for q := range c.retiring { // they count on more time
		hurried.Go(func() { c.unsent.Add(int64(q.Close(ctx))) })
	}
	c.mu.Unlock()
	c.queues.Close()
	hurried.Wait()
	if n := c.unsent.Load(); n > 0 {
		return fmt.Errorf("%d events could not be sent in time", n)
	}
	return nil
}

// retire ends a queue that no configuration uses.
func (c *Capture) retire(q *send.Queue) {
	c.mu.Lock()
	c.retiring[q] = true
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.stop, retireTime)
	defer cancel()
	c.unsent.Add(int64(q.Close(ctx)))
	c.mu.Lock()
	delete(c.retiring, q)
	c.mu.Unlock()
}

// acquire returns the queue of a configuration.
func (c *Capture) acquire(s *settings) (q *send.Queue, release func()) {
	host := s.endpoint
	if u, err := url.Parse(s.endpoint); err == nil {
		host = u.Host
	}
	q, release = c.queues.Acquire(queueKey{s.endpoint, s.applicationID}, func() *send.Queue {
		number := fmt.Sprintf(" of queue %d", c.made.Add(1)) // each queue has its own minute; no application id in a log
		notice := func(cause, text string) { c.report(cause+number, host+": "+text) }
		return send.NewQueue(s.queue, send.Env{Metrics: c.sending, Notice: notice, UserAgent: "kong-plugin-moesif/" + Version})
	})
	return q, release
}

// A lease holds the queue of one configuration from its first event until the configuration is gone.
type lease struct {
	mu      sync.Mutex
	queue   *send.Queue
	release func()
	ended   bool
}

// get returns the queue, which it gives the configuration's limits when it first does. After end it is lent for the one
// event only and stays as it is: a late event must not bring old settings back.
func (l *lease) get(c *Capture, s *settings) (q *send.Queue, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return c.acquire(s)
	}
	if l.queue == nil {
		l.queue, l.release = c.acquire(s)
		l.queue.Configure(s.queue)
	}
	return l.queue, func() {}
}

// end gives the queue back.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.release != nil {
		l.release()
		l.queue, l.release = nil, nil
	}
}
