// Package console shows in a browser what a development gateway does: requests
// with their phases and PDK calls as they happen, the events that the collector
// received, and the error log. Secrets and bodies of requests are left out, as
// in the tree of kongdev -v. It is for this machine only: see Listen.
package console

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"time"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/errorlog"
)

// What a console remembers; older things are forgotten.
const (
	keptRequests = 2000
	keptBytes    = 64 << 20 // of messages in the requests' traces
	keptLines    = 2000
	keptEvents   = 1000
)

// TraceBytes is what a console needs of each message in a trace: more is never
// shown. It is the size of the trace of a workflow, which is drawn whole.
const TraceBytes = 128 << 10

// A Console collects what a gateway tells by its hooks and serves it. Make one
// with New, pass Trace and Log to the gateway, and Attach it. It is safe for
// concurrent use.
type Console struct {
	started time.Time
	fetch   time.Duration // between two looks at the collector, and two updates of a browser

	mu        sync.Mutex
	version   uint64 // counts changes
	requests  ring
	lines     []line  // oldest first
	events    []event // oldest first
	lineCount int64   // ever
	plans     []plan  // in the order of the configuration
	gateway   *kongdev.Gateway
	collector *collector.Collector
	viewers   int
}

// New returns a Console that knows nothing yet.
func New() *Console {
	return &Console{started: time.Now(), fetch: 100 * time.Millisecond, requests: newRing(keptRequests, keptBytes)}
}

// Trace is a gateway's OnTrace.
func (c *Console) Trace(l *kongdev.LiveTrace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.requests.put(l, c.version)
}

// A line is one of the error log.
type line struct {
	Number  int64  `json:"n"`
	TimeMS  int64  `json:"t"`
	Level   string `json:"level"`
	Text    string `json:"text"`
	version uint64
}

// maxLine bounds a line's text.
const maxLine = 2000

// Log is a gateway's OnLog.
func (c *Console) Log(l errorlog.Line) {
	text := withoutCredentials(clip(l.Text, maxLine))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	c.lineCount++
	c.lines = append(c.lines, line{c.lineCount, l.Time.UnixMilli(), l.Level, text, c.version})
	if len(c.lines) >= 2*keptLines { // now and then, not each time
		c.lines = append([]line(nil), c.lines[len(c.lines)-keptLines:]...)
	}
}

// Attach tells the console what else to show: a running gateway and its
// collector, which may be nil. It returns at once, has the gateway's workflows
// drawn, and follows the collector until ctx ends; wait then returns.
func (c *Console) Attach(ctx context.Context, g *kongdev.Gateway, collector *collector.Collector) (wait func()) {
	c.mu.Lock()
	c.gateway, c.collector = g, collector
	c.version++
	c.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { c.draw(ctx, g) })
	if collector != nil {
		both.Go(func() { c.follow(ctx, collector) })
	}
	return both.Wait
}

// follow takes over the collector's events until ctx ends.
func (c *Console) follow(ctx context.Context, collector *collector.Collector) {
	for seen := 0; ; {
		all, err := collector.Wait(ctx, seen+1)
		if err != nil {
			return
		}
		total, _ := collector.Total()
		fresh := all[len(all)-min(max(total-seen, 0), len(all)):]
		fresh = fresh[max(0, len(fresh)-keptEvents):]
		c.mu.Lock()
		for i, raw := range fresh {
			c.version++
			c.events = append(c.events, newEvent(int64(total-len(fresh)+i+1), raw, c.version))
		}
		if extra := len(c.events) - keptEvents; extra > 0 {
			c.events = append([]event(nil), c.events[extra:]...)
		}
		c.mu.Unlock()
		seen = total
		select { // the collector copies its list each time it is asked
		case <-ctx.Done():
			return
		case <-time.After(c.fetch):
		}
	}
}

// A batch is what has changed since a viewer last heard.
type batch struct {
	Requests []summary `json:"requests,omitempty"`
	Lines    []line    `json:"lines,omitempty"`
	Events   []event   `json:"events,omitempty"`
	Stats    *stats    `json:"stats,omitempty"`

	Plans []planSummary `json:"plans,omitempty"`
}

// stats are the numbers at the top of the page.
type stats struct {
	Requests int64 `json:"requests"`
	Failed   int64 `json:"failed"`
	LostLogs int64 `json:"lost_logs"`
	Retries  int64 `json:"retries"`
	Respawns int64 `json:"respawns"`
	Events   int   `json:"events"`
	Refused  int   `json:"refused"`
}

// since is what has changed after a version, and the version that it leads to;
// a nil batch is nothing.
func (c *Console) since(version uint64) (*batch, uint64) {
	c.mu.Lock()
	now := c.version
	if now == version {
		c.mu.Unlock()
		return nil, version
	}
	b := &batch{}
	changed := c.requests.since(version)
	for i := len(c.lines) - 1; i >= max(0, len(c.lines)-keptLines) && c.lines[i].version > version; i-- {
		b.Lines = append(b.Lines, c.lines[i])
	}
	for i := len(c.events) - 1; i >= 0 && c.events[i].version > version; i-- {
		b.Events = append(b.Events, c.events[i])
	}
	for _, p := range c.plans {
		if p.version > version {
			b.Plans = append(b.Plans, p.planSummary)
		}
	}
	g, collector := c.gateway, c.collector
	c.mu.Unlock()
	for _, l := range changed {
		b.Requests = append(b.Requests, summarize(l.Snapshot()))
	}
	if g != nil {
		s := g.Stats()
		b.Stats = &stats{Requests: s.Requests, Failed: s.Failed, LostLogs: s.LostLogEvents, Retries: s.Retries, Respawns: s.Respawns}
		if collector != nil {
			b.Stats.Events, b.Stats.Refused = collector.Total()
		}
	}
	return b, now
}

// hello is the first thing that a viewer is told.
type hello struct {
	Run     int64          `json:"run"` // tells two starts of kongdev apart
	Kong    string         `json:"kong"`
	Proxies []string       `json:"proxies"`
	Plugins []aPlugin      `json:"plugins"`
	Kept    map[string]int `json:"kept"`
}

type aPlugin struct {
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Priority int      `json:"priority"`
	Phases   []string `json:"phases"`
}

func (c *Console) hello() hello {
	c.mu.Lock()
	g := c.gateway
	c.mu.Unlock()
	h := hello{
		Run: c.started.UnixNano() / 1000, Kong: kongdev.Version,
		Kept: map[string]int{"requests": keptRequests, "lines": keptLines, "events": keptEvents},
	}
	if g == nil {
		return h
	}
	h.Proxies = g.URLs()
	infos := g.Infos()
	for _, name := range g.Config().PluginNames() {
		if p, ok := infos[name]; ok {
			h.Plugins = append(h.Plugins, aPlugin{name, p.Version, p.Priority, p.Phases})
		}
	}
	return h
}

// request is a request's whole story; false when it is forgotten.
func (c *Console) request(number int64) (detail, bool) {
	c.mu.Lock()
	l := c.requests.get(number)
	g := c.gateway
	c.mu.Unlock()
	if l == nil {
		return detail{}, false
	}
	t := l.Snapshot()
	d := describe(t)
	d.Workflow = workflowOf(t)
	if g != nil {
		if f, failed := g.Failure(d.ID); failed {
			d.Failure = withoutCredentials(f.Text)
		}
	}
	return d, true
}

// eventJSON is a collector's event as indented JSON without secrets; false when
// it is forgotten.
func (c *Console) eventJSON(number int64) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.events {
		if c.events[i].Number == number {
			return redact(c.events[i].raw), true
		}
	}
	return nil, false
}

// toJSON never fails: what it is given are this package's own types.
func toJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	_ = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
