package remote

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pollInterval = time.Minute      // at most between two polls that succeed
	jitter       = 6 * time.Second  // by which a poll may be earlier
	firstRetry   = time.Second      // doubles up to pollInterval, while nothing is known
	spacing      = 10 * time.Second // at least between two polls; doubles while a version that was seen does not come
	longestWait  = 10 * time.Minute // while the collector refuses
)

// Options are what a Source works with. Endpoint, ApplicationID and Client are required.
type Options struct {
	Endpoint      string       // the collector's base URL, without a slash at its end
	ApplicationID string       // secret; never logged and in no file
	Client        *http.Client // redirects are not followed, whatever it says
	UserAgent     string
	Timeout       time.Duration            // of one fetch; 0 is 5 s
	KeepIn        string                   // folder for the last good documents, made when missing; "" keeps none
	Report        func(cause, text string) // says a cause once a minute at most; nil says nothing
	Metrics       *Metrics                 // nil counts for nobody
}

// A Source keeps the collector's configuration and rules of one application current, for the whole process. Make it with
// NewSource. Safe for concurrent use.
type Source struct {
	options  Options
	client   *http.Client
	snapshot atomic.Pointer[Snapshot]

	confirmed atomic.Int64 // when the configuration was last confirmed, in nanoseconds since 1970

	config, rules document // of the poller

	mu   sync.Mutex
	tags [2]versions // of the configuration and the rules

	wake   chan struct{} // a version was seen that we do not have
	cancel context.CancelFunc
	done   chan struct{}
}

// versions are the tags of one document.
type versions struct {
	current  string
	previous string // remembered, because the collector's nodes disagree for a while after a change
	wanted   string // seen, and neither of these
}

// NewSource returns a Source that knows nothing and does nothing before Start.
func NewSource(o Options) *Source {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	if o.Report == nil {
		o.Report = func(string, string) {}
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	client := *cmp.Or(o.Client, http.DefaultClient)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := &Source{options: o, client: &client, wake: make(chan struct{}, 1)}
	s.snapshot.Store(&Snapshot{})
	s.config = document{name: configName, path: "/v1/config", tagHeader: configTagHeader, limit: maxConfigBytes, use: s.useConfig}
	s.rules = document{name: rulesName, path: "/v1/rules", tagHeader: rulesTagHeader, limit: maxRulesBytes, use: s.useRules}
	return s
}

// Start puts the documents on disk in force and begins to poll. Call it once.
func (s *Source) Start() {
	s.confirmed.Store(time.Now().UnixNano())
	s.load(&s.config)
	s.load(&s.rules)
	s.options.Metrics.add(s)
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.done = make(chan struct{})
	go s.run(ctx)
}

// Close ends polling and waits for it. The last Snapshot stays usable. A Source that was never started needs no Close.
func (s *Source) Close() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	<-s.done
	s.options.Metrics.remove(s)
}

// Snapshot returns what is in force; never nil.
func (s *Source) Snapshot() *Snapshot { return s.snapshot.Load() }

// Saw tells the Source of the versions that an answer of the collector named, "" for none. One that is not known is
// fetched at once, but not more often than every 10 seconds. It never blocks.
func (s *Source) Saw(configTag, rulesTag string) {
	s.mu.Lock()
	behind := s.tags[0].saw(bounded(configTag))
	behind = s.tags[1].saw(bounded(rulesTag)) || behind
	s.mu.Unlock()
	if behind {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

func (v *versions) saw(tag string) bool {
	if tag == "" || tag == v.current || tag == v.previous {
		return false
	}
	v.wanted = tag
	return true
}

// have notes the version in force. An answer that does not name its version is the one that was wanted.
func (v *versions) have(tag string) {
	tag = cmp.Or(tag, v.wanted)
	if tag != v.current {
		v.previous, v.current = v.current, tag
	}
	if v.wanted == v.current || v.wanted == v.previous {
		v.wanted = ""
	}
}

// behind reports whether a version was seen that we do not have.
func (s *Source) behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.tags[:], func(v versions) bool { return v.wanted != "" })
}

// run is the poller.
func (s *Source) run(ctx context.Context) {
	defer close(s.done)
	pause, failures := spacing, 0
	for {
		woken := s.behind()
		s.pollSafely(ctx)
		wait := pollInterval - rand.N(jitter)
		if s.Snapshot().Known() {
			failures = 0
		} else {
			wait = min(firstRetry<<min(failures, 8), wait)
			failures++
		}
		if woken && s.behind() {
			pause = min(2*pause, pollInterval)
		} else {
			pause = spacing
		}
		if !s.sleep(ctx, wait, pause) {
			return
		}
	}
}

// sleep waits for the time of the next poll, or after a pause until there is a version to fetch. It returns false when
// there is no next poll.
func (s *Source) sleep(ctx context.Context, wait, pause time.Duration) bool {
	next := time.NewTimer(wait)
	defer next.Stop()
	rested := time.NewTimer(min(pause, wait))
	defer rested.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-rested.C:
	}
	for !s.behind() {
		select {
		case <-ctx.Done():
			return false
		case <-next.C:
			return true
		case <-s.wake:
		}
	}
	return true
}

// pollSafely survives a defect in reading a document.
func (s *Source) pollSafely(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			s.options.Report("remote panic", fmt.Sprintf("reading the collector's configuration panicked: %v\n%s", p, debug.Stack()))
		}
	}()
	s.poll(ctx)
}

// poll fetches the configuration, and the rules if there may be others.
func (s *Source) poll(ctx context.Context) {
	rulesTag := ""
	if f, asked := s.refresh(ctx, &s.config, 0); asked {
		if f.result == unreachable {
			return // nor would the rules be
		}
		rulesTag = f.rulesTag
	}
	s.mu.Lock()
	tags := s.tags[1]
	s.mu.Unlock()
	if s.rules.have && rulesTag != "" && rulesTag == tags.current && tags.wanted == "" && s.isKept(&s.rules) {
		return
	}
	s.refresh(ctx, &s.rules, 1)
}

// refresh fetches a document unless the collector wants to be left alone, and does what follows from the result.
func (s *Source) refresh(ctx context.Context, d *document, tags int) (f fetched, asked bool) {
	if time.Now().Before(d.notBefore) {
		return f, false
	}
	lacking := !s.isKept(d)
	if lacking {
		d.etag = "" // all of it has to come
	}
	f = s.fetch(ctx, d)
	if ctx.Err() != nil {
		return f, true // we have hung up ourselves
	}
	s.options.Metrics.fetches.WithLabelValues(d.name, f.result).Inc()
	if f.err != nil {
		s.options.Report("remote "+d.name, fmt.Sprintf("%s of the collector: %v; %s", d.name, f.err, d.meanwhile()))
		return f, true
	}
	d.refusals, d.notBefore = 0, time.Time{}
	if d == &s.config {
		s.confirmed.Store(time.Now().UnixNano())
	}
	s.mu.Lock()
	if f.tag != "" || f.result == changed || s.tags[tags].wanted != "" {
		s.tags[tags].have(f.tag)
	}
	s.mu.Unlock()
	if f.problems != "" {
		s.options.Report("remote "+d.name+" content", fmt.Sprintf("%s of the collector: %s", d.name, f.problems))
	}
	if f.result == changed {
		slog.Info("moesif: new version from the collector", "document", d.name, "bytes", len(f.body))
	}
	if f.result == changed || lacking && f.body != nil {
		s.keep(d, f)
	} else {
		s.keptConfirmed(d)
	}
	return f, true
}

// meanwhile says what holds while a document cannot be fetched.
func (d *document) meanwhile() string {
	if d.have {
		return "the previous one stays in force"
	}
	if d.name == rulesName {
		return "no rule is in force"
	}
	return "no sampling and no cohort is in force"
}

func (s *Source) useConfig(body []byte) (*problems, error) {
	c, p, err := parseConfig(body)
	if err == nil {
		s.snapshot.Store(newSnapshot(c, s.Snapshot().rules))
	}
	return p, err
}

func (s *Source) useRules(body []byte) (*problems, error) {
	r, p, err := parseRules(body)
	if err == nil {
		s.snapshot.Store(newSnapshot(s.Snapshot().config, r))
	}
	return p, err
}
