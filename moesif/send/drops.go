package send

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// dropInterval is how often dropped events are spoken of: a little more than the minute in which a cause is said once.
const dropInterval = time.Minute + time.Second

// drops counts the events that a queue lost and says so at once, then once a minute as long as there are more.
type drops struct {
	metrics *Metrics
	say     func(cause, text string)

	mu     sync.Mutex
	counts map[string]int // since the last line, by reason
	timer  *time.Timer    // runs while lines are held back
	closed bool
}

func newDrops(m *Metrics, say func(cause, text string)) *drops {
	return &drops{metrics: m, say: say, counts: make(map[string]int)}
}

// add counts n dropped events.
func (d *drops) add(reason string, n int) {
	if n == 0 {
		return
	}
	d.metrics.dropped.WithLabelValues(reason).Add(float64(n))
	d.mu.Lock()
	d.counts[reason] += n
	var text string
	if d.timer == nil {
		text = d.takeLocked()
		if !d.closed {
			d.timer = time.AfterFunc(dropInterval, d.tick)
		}
	}
	d.mu.Unlock()
	if text != "" {
		d.say("dropped", text)
	}
}

func (d *drops) tick() {
	d.mu.Lock()
	text := d.takeLocked()
	switch {
	case d.closed:
	case text == "":
		d.timer = nil
	default:
		d.timer.Reset(dropInterval)
	}
	d.mu.Unlock()
	if text != "" {
		d.say("dropped", text)
	}
}

// takeLocked returns the line for what was counted, "" for nothing, and starts anew.
func (d *drops) takeLocked() string {
	if len(d.counts) == 0 {
		return ""
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(d.counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", reason, d.counts[reason]))
	}
	clear(d.counts)
	return "events dropped: " + strings.Join(parts, ", ")
}

// close says what is left to say.
func (d *drops) close() {
	d.mu.Lock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	text := d.takeLocked()
	d.mu.Unlock()
	if text != "" {
		d.say("dropped at the end", text)
	}
}
