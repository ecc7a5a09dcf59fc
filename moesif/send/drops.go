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

// drops counts the events that a queue lost and says so at once, then once a minute as long as there are more, or as long
// as the collector fails.
type drops struct {
	metrics *Metrics
	say     func(cause, text string)

	mu      sync.Mutex
	counts  map[string]int // since the last line, by reason
	trouble func() string  // says what the collector's trouble is; nil when it has none
	timer   *time.Timer    // runs while lines are held back
	closed  bool
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

// failing begins to repeat the text of trouble, which was said just now; nil ends that.
func (d *drops) failing(trouble func() string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trouble = trouble
	if trouble != nil && d.timer == nil && !d.closed {
		d.timer = time.AfterFunc(dropInterval, d.tick)
	}
}

func (d *drops) tick() {
	d.mu.Lock()
	text, trouble := d.takeLocked(), d.trouble
	switch {
	case d.closed:
	case text == "" && trouble == nil:
		d.timer = nil
	default:
		d.timer.Reset(dropInterval)
	}
	d.mu.Unlock()
	if trouble != nil {
		text = strings.TrimPrefix(text+"; "+trouble(), "; ")
	}
	if text != "" {
		d.say("summary", text)
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
