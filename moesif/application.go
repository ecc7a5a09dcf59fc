package moesif

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"kong-go-plugins/moesif/remote"
	"kong-go-plugins/moesif/send"
	"kong-go-plugins/moesif/spool"
)

// An application is what the configurations of one Moesif application share: the queue of its events, and what the
// collector says of sampling and governance. Two applications share nothing, however alike their ids are.
type application struct {
	queue  *send.Queue
	source *remote.Source // nil for a dry run, which asks nobody
}

// An applicationKey tells applications apart.
type applicationKey struct {
	endpoint string
	id       string // secret
}

// folder is where the application's files are below dir. Its last part names the application where the id must not be
// seen.
func (k applicationKey) folder(dir string) string { return spool.Folder(dir, k.endpoint, k.id) }

// nothing is the state of an application whose rules and rates are not known.
var nothing remote.Snapshot // never changed

// rules returns what is known of the application's rules and rates.
func (a *application) rules() *remote.Snapshot {
	if a.source == nil {
		return &nothing
	}
	return a.source.Snapshot()
}

// governs reports whether the application has rules that can be waited for.
func (a *application) governs() bool { return a.source != nil }

// close sends what is queued until ctx ends and returns how many events were left.
func (a *application) close(ctx context.Context) (unsent int) {
	if a.source != nil {
		defer a.source.Close()
	}
	return a.queue.Close(ctx)
}

// acquire returns the application of a configuration.
func (c *Capture) acquire(s *settings) (a *application, release func()) {
	key := applicationKey{s.endpoint, s.applicationID}
	return c.applications.Acquire(key, func() *application { return c.newApplication(key, s) })
}

func (c *Capture) newApplication(key applicationKey, s *settings) *application {
	host := s.endpoint
	if u, err := url.Parse(s.endpoint); err == nil && u.Host != "" {
		host = u.Host
	}
	number := fmt.Sprintf(" of application %d", c.made.Add(1)) // each has its own minute; no application id in a log
	notice := func(cause, text string) { c.report(cause+number, host+": "+text) }
	a := &application{}
	env := send.Env{Metrics: c.sending, Notice: notice, UserAgent: userAgent, HTTP: c.http}
	if strings.HasPrefix(s.endpoint, "http") {
		keepIn := ""
		if s.queue.SpoolDir != "" {
			keepIn = filepath.Join(key.folder(s.queue.SpoolDir), "remote")
		}
		a.source = remote.NewSource(remote.Options{
			Endpoint: s.endpoint, ApplicationID: s.applicationID, UserAgent: userAgent, Timeout: s.queue.ConnectTimeout,
			Client: &http.Client{Transport: send.NewTransport(c.http, s.queue.ConnectTimeout, s.queue.Keepalive)},
			KeepIn: keepIn, Report: notice, Metrics: c.remote,
		})
		env.Tags = a.source.Saw
		a.source.Start()
	}
	if c.http.Unusable != nil && a.source != nil {
		c.report("collector flags", c.http.Unusable.Error()+": no collector is reached, and events wait until the plugin is started with other flags")
	}
	if s.queue.SpoolDir == "" && a.source != nil { // a dry run has nothing to lose
		notice("memory only", "spool_dir is empty: events wait in memory, and what waits is lost with the process")
	}
	a.queue = send.NewQueue(s.queue, env)
	return a
}

const userAgent = "kong-plugin-moesif/" + Version

// A lease holds the application of one configuration from its start, or its first event, until the configuration is gone.
type lease struct {
	held    atomic.Pointer[application]
	mu      sync.Mutex
	release func()
	ended   bool
}

// get returns the application, whose queue it gives the configuration's limits when it first does. After end it is lent
// for one event only and stays as it is: a late event must not bring old settings back. done must be called after use.
func (l *lease) get(c *Capture, s *settings) (a *application, done func()) {
	if a = l.held.Load(); a != nil {
		return a, func() {}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if a = l.held.Load(); a != nil {
		return a, func() {}
	}
	if l.ended {
		return c.acquire(s)
	}
	a, l.release = c.acquire(s)
	a.queue.Configure(s.queue)
	l.held.Store(a)
	return a, func() {}
}

// end gives the application back.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.held.Swap(nil) != nil {
		l.release()
	}
}
