package pluginserver

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	reportEvery = time.Minute // per cause
	maxReports  = 16          // texts waiting for an event
	maxCauses   = 1024
)

// Reports are the few lines that an operator must see. Kong hides a plugin's own output at its default log level, so
// each also reaches kong.log (at level err) with the next event, whichever request that belongs to, at no extra flight.
// A cause is said once a minute; what is suppressed in between is counted in the next line.
type Reports struct {
	waiting atomic.Bool

	mu     sync.Mutex
	causes map[string]*reported
	texts  []string
	log    *slog.Logger
	prefix string
}

type reported struct {
	last  time.Time
	times int // since last
}

// NewReports returns Reports that log to slog's default logger. Run gives it the plugin's logger and name.
func NewReports() *Reports {
	return &Reports{causes: map[string]*reported{}}
}

// configure sets where reports are logged and what they begin with.
func (r *Reports) configure(log *slog.Logger, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log, r.prefix = log, name+": "
}

// Report logs text now, and through Kong with the next event, unless cause was reported within the last minute.
// text must hold no key, token, body or application id. Safe for concurrent use.
func (r *Reports) Report(cause, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	c := r.causes[cause]
	if c == nil {
		if len(r.causes) >= maxCauses {
			clear(r.causes)
		}
		c = &reported{}
		r.causes[cause] = c
	}
	if !c.last.IsZero() && now.Sub(c.last) < reportEvery {
		c.times++
		return
	}
	log := r.log
	if log == nil {
		log = slog.Default()
	}
	attributes := []any{"repeated", c.times}
	if cause != text {
		attributes = append([]any{"cause", cause}, attributes...)
	}
	log.Error(text, attributes...)
	c.last, c.times = now, 0
	if len(r.texts) < maxReports {
		r.texts = append(r.texts, r.prefix+strings.ToValidUTF8(text, "?"))
		r.waiting.Store(true)
	}
}

// appendTo puts the waiting texts into the event's last flight.
func (r *Reports) appendTo(e *event) {
	if !r.waiting.Load() {
		return
	}
	r.mu.Lock()
	texts := r.texts
	r.texts = nil
	r.waiting.Store(false)
	r.mu.Unlock()
	m := methods["kong.log.err"]
	for _, text := range texts {
		list := appendBytesField(nil, 1, appendBytesField(nil, valueString, text))
		e.stream.out = appendFrame(e.stream.out, m.name)
		e.stream.out = appendFrameBytes(e.stream.out, list)
		e.stream.await(m, nil, false)
	}
}

// repeats counts by place and tells the first from the rest.
type repeats struct {
	mu   sync.Mutex
	seen map[string]int
}

func (r *repeats) add(place string) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]int{}
	}
	r.seen[place]++
	return r.seen[place] == 1
}
