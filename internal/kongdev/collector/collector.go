// Package collector stands in for Moesif's event collector, for development and tests. It knows nothing of the gateway:
// it is an http.Handler that plugins reach as they reach the real one.
package collector

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxKeptBytes bounds what a collector remembers; older events are forgotten.
const maxKeptBytes = 256 << 20

// A Collector stands in for Moesif's event collector: it takes
// POST /v1/events/batch and /v1/events, checks them as strictly as the
// documentation reads, and keeps the events. GET /v1/config and /v1/rules answer
// what SetConfig and SetRules set, or the files of UseFiles hold. It is safe for concurrent use and is an
// http.Handler.
type Collector struct {
	mu        sync.Mutex
	events    []json.RawMessage // oldest first
	batches   []Batch
	keptBytes int
	total     int
	dropped   int // events forgotten for their bytes
	refused   int
	fault     Fault
	faults    int           // how often the fault was set
	arrived   chan struct{} // closed and replaced when anything above changes
	config    tagged
	rules     tagged
	ids       map[string]struct{} // transaction ids of all events
	repeats   int                 // events whose id was there before
	files     map[string]*watchedFile
	report    func(error)

	filesMu sync.Mutex // held while files are read; before mu
}

// A Batch is one accepted POST.
type Batch struct {
	Events      int // how many events it held
	WireBytes   int // body as sent
	Bytes       int // body after decompression
	Encoding    string
	UserAgent   string
	Application string // the application id: a secret in real life, never print it
	At          time.Time

	ids []string // transaction ids of the events that have one
}

// A Fault is how a Collector misbehaves. The zero value is none. Only
// requests that carry events are affected, unless All is set.
type Fault struct {
	Status     int    `json:"status,omitempty"`      // answer this instead of taking the events
	RetryAfter string `json:"retry_after,omitempty"` // Retry-After header of that answer
	Hang       bool   `json:"hang,omitempty"`        // answer nothing until the client gives up or the fault is changed
	Cut        bool   `json:"cut,omitempty"`         // cut the connection without an answer
	After      bool   `json:"after,omitempty"`       // take the events first: the sender cannot know
	Containing string `json:"containing,omitempty"`  // only batches with this text in an event; "" = all
	Times      int    `json:"times,omitempty"`       // this many requests, then none; 0 = until changed
	All        bool   `json:"all,omitempty"`         // requests for the config and the rules fail as well
}

func (f Fault) any() bool { return f.Status != 0 || f.Hang || f.Cut }

// tagged is a document that clients poll for, with the tag that names its
// version.
type tagged struct{ body, tag string }

// New returns a Collector without events.
func New() *Collector {
	return &Collector{
		arrived: make(chan struct{}),
		config:  tagged{`{"sample_rate":100,"user_sample_rate":{},"company_sample_rate":{}}`, "kongdev-config-1"},
		rules:   tagged{`[]`, "kongdev-rules-1"},
	}
}

// Events are the events kept so far in order of arrival, each as it was sent.
func (c *Collector) Events() []json.RawMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// Batches are the accepted POSTs of the kept events, in order of arrival.
func (c *Collector) Batches() []Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.batches)
}

// Total is how many events were accepted, forgotten ones too; refused is how
// many requests with events were not accepted.
func (c *Collector) Total() (accepted, refused int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total, c.refused
}

// Wait returns the events once at least n were accepted. When ctx ends first
// the error says how many there were.
func (c *Collector) Wait(ctx context.Context, n int) ([]json.RawMessage, error) {
	for {
		c.mu.Lock()
		total, arrived := c.total, c.arrived
		c.mu.Unlock()
		if total >= n {
			return c.Events(), nil
		}
		select {
		case <-ctx.Done():
			return c.Events(), fmt.Errorf("%d of %d events arrived: %w", total, n, ctx.Err())
		case <-arrived:
		}
	}
}

// WaitRefused returns once at least n requests were not accepted, a hanging
// one included.
func (c *Collector) WaitRefused(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		refused, arrived := c.refused, c.arrived
		c.mu.Unlock()
		if refused >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d requests refused: %w", refused, n, ctx.Err())
		case <-arrived:
		}
	}
}

// Distinct is how many transaction ids the accepted events had, forgotten ones
// too, and how many events came with an id that was there already.
func (c *Collector) Distinct() (ids, repeats int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ids), c.repeats
}

// Reset forgets all events and counts; the fault stays.
func (c *Collector) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events, c.batches, c.keptBytes, c.total, c.dropped, c.refused = nil, nil, 0, 0, 0, 0
	c.ids, c.repeats = nil, 0
}

// SetFault makes the next requests fail as f says; Fault{} ends that and
// lets hanging requests go.
func (c *Collector) SetFault(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
	c.faults++
	c.signalLocked()
}

// SetConfig sets what GET /v1/config answers and the version that every
// answer names; a tag of "" stands for one that follows from the content.
func (c *Collector) SetConfig(body, tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = tagged{body, cmp.Or(tag, contentTag([]byte(body)))}
}

// SetRules is SetConfig for GET /v1/rules.
func (c *Collector) SetRules(body, tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules = tagged{body, cmp.Or(tag, contentTag([]byte(body)))}
}

// answer is what GET /v1/config or /v1/rules answers.
func (c *Collector) answer(rules bool) tagged {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rules {
		return c.rules
	}
	return c.config
}

func (c *Collector) signalLocked() {
	close(c.arrived)
	c.arrived = make(chan struct{})
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.refresh()
	config, rules := c.answer(false), c.answer(true)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Moesif-Config-Etag", config.tag)
	w.Header().Set("X-Moesif-Rules-Tag", rules.tag)

	allowed, known := map[string]string{
		"/v1/events": http.MethodPost, "/v1/events/batch": http.MethodPost, "/v1/config": http.MethodGet, "/v1/rules": http.MethodGet,
	}[r.URL.Path]
	switch {
	case !known:
		refuse(w, http.StatusNotFound, "no such path; events go to /v1/events/batch")
		return
	case r.Method != allowed:
		w.Header().Set("Allow", allowed)
		refuse(w, http.StatusMethodNotAllowed, "use "+allowed)
		return
	case strings.TrimSpace(r.Header.Get("X-Moesif-Application-Id")) == "":
		c.countRefused()
		refuse(w, http.StatusUnauthorized, "header X-Moesif-Application-Id is missing")
		return
	}
	if r.Method == http.MethodGet {
		if fault, set := c.nextFault(nil, false); fault != nil {
			c.misbehave(w, r, *fault, set)
			return
		}
	}
	switch r.URL.Path {
	case "/v1/config":
		_, _ = io.WriteString(w, config.body)
	case "/v1/rules":
		_, _ = io.WriteString(w, rules.body)
	default:
		c.take(w, r)
	}
}

// take handles a request with events.
func (c *Collector) take(w http.ResponseWriter, r *http.Request) {
	batch, events, err := readBatch(r)
	var bad *badBatch
	if err != nil {
		var known *badBatch
		bad = &badBatch{http.StatusBadRequest, err.Error()}
		if errors.As(err, &known) {
			bad.status = known.status
		}
	}
	fault, set := c.nextFault(events, true)
	if fault != nil && fault.After && bad == nil {
		c.keep(batch, events)
	}
	if fault != nil {
		c.countRefused()
		c.misbehave(w, r, *fault, set)
		return
	}
	if bad != nil {
		c.countRefused()
		refuse(w, bad.status, bad.text)
		return
	}
	c.keep(batch, events)
	w.WriteHeader(http.StatusCreated)
}

// nextFault is the fault for a request with these events, nil for none, and
// the number of its SetFault. Others have it only if it is for all.
func (c *Collector) nextFault(events []json.RawMessage, carries bool) (*Fault, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.fault
	if !f.any() || !carries && !f.All {
		return nil, 0
	}
	if f.Containing != "" && !slices.ContainsFunc(events, func(e json.RawMessage) bool { return bytes.Contains(e, []byte(f.Containing)) }) {
		return nil, 0
	}
	if f.Times > 0 {
		if f.Times == 1 {
			c.fault = Fault{}
		} else {
			c.fault.Times--
		}
	}
	return &f, c.faults
}

func (c *Collector) misbehave(w http.ResponseWriter, r *http.Request, f Fault, set int) {
	switch {
	case f.Hang:
		for {
			c.mu.Lock()
			still, arrived := c.faults == set, c.arrived
			c.mu.Unlock()
			if !still {
				panic(http.ErrAbortHandler)
			}
			select {
			case <-r.Context().Done():
				return
			case <-arrived:
			}
		}
	case f.Cut:
		panic(http.ErrAbortHandler)
	}
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	refuse(w, f.Status, "told to fail")
}

func (c *Collector) keep(b Batch, events []json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, events...)
	if c.ids == nil {
		c.ids = map[string]struct{}{}
	}
	for _, id := range b.ids {
		if _, there := c.ids[id]; there {
			c.repeats++
		}
		c.ids[id] = struct{}{}
	}
	b.ids = nil
	c.batches = append(c.batches, b)
	c.keptBytes += b.Bytes
	c.total += len(events)
	for c.keptBytes > maxKeptBytes && len(c.batches) > 1 {
		oldest := c.batches[0]
		c.batches, c.events = c.batches[1:], c.events[oldest.Events:]
		c.keptBytes -= oldest.Bytes
		c.dropped += oldest.Events
	}
	c.signalLocked()
}

func (c *Collector) countRefused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused++
	c.signalLocked()
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}
