package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"kong-go-plugins/datakit"
)

// A rehearsal runs a workflow without a gateway, request by request; they share the cache.
type rehearsal struct {
	props
	source  *source
	engine  *datakit.Engine
	plan    *datakit.Plan
	stage   *stage
	secrets []string // values of vaults, which no output shows
	reports []string
}

// Props are what a rehearsal has in the world's place.
type props struct {
	stubs      []stub
	vault      map[string]string // by key of resources.vault
	properties map[string]any    // of the gateway
	now        time.Time         // zero is the real time
	live       bool              // calls without a stub are really made
}

// An outcome is what one request has come to.
type outcome struct {
	calls      []sentCall
	upstream   *sentRequest // nil when the upstream is not reached
	redirected bool         // a stub for a host stands for the upstream
	answer     *response
	failure    string
	trace      *datakit.Trace
	properties []written
	logged     []string
	missing    string // the calls that no stub answers, and what to do
}

// A sentRequest is the request to the upstream.
type sentRequest struct {
	method, scheme, target string // target is path and query
	host                   string // where the workflow sends it, "" when the route decides
	header                 http.Header
	body                   string
}

// rehearse compiles a workflow. A workflow with mistakes is an error.
func rehearse(s *source, p props) (*rehearsal, error) {
	r := &rehearsal{props: p, source: s, stage: &stage{stubs: p.stubs}}
	config, err := r.resolved()
	if err != nil {
		return nil, err
	}
	replaced := datakit.Replacements{Calls: r.stage}
	if p.live {
		r.stage.live = http.DefaultTransport
	}
	if !p.now.IsZero() {
		replaced.Now = func() time.Time { return p.now }
	}
	r.engine = datakit.NewOfflineEngine(func(_, text string) { r.reports = append(r.reports, text) }, replaced)
	if r.plan, err = r.engine.Compile(config.json()); err != nil {
		r.close()
		var lines []string
		for _, f := range s.check() {
			lines = append(lines, f.String())
		}
		return nil, errors.New("the workflow has mistakes:\n" + strings.Join(lines, "\n"))
	}
	return r, nil
}

func (r *rehearsal) close() { _ = r.engine.Close(context.Background()) }

// resolved is the configuration with values for references, and with a cache that needs no server.
func (r *rehearsal) resolved() (*source, error) {
	copied := *r.source
	copied.config = maps.Clone(r.source.config)
	resources, ok := copied.config["resources"].(map[string]any)
	if !ok {
		return &copied, nil
	}
	resources = maps.Clone(resources)
	copied.config["resources"] = resources
	if cache, ok := resources["cache"].(map[string]any); ok && cache["strategy"] == "redis" && !r.live {
		resources["cache"] = map[string]any{"strategy": "memory"}
	}
	vault, ok := resources["vault"].(map[string]any)
	if !ok {
		return &copied, nil
	}
	vault = maps.Clone(vault)
	resources["vault"] = vault
	for _, key := range slices.Sorted(maps.Keys(vault)) {
		text, ok := vault[key].(string)
		if !ok {
			continue
		}
		value, given := r.vault[key]
		if name, isEnv := strings.CutPrefix(text, "{vault://env/"); !given && isEnv {
			name = strings.ToUpper(strings.ReplaceAll(strings.TrimSuffix(name, "}"), "-", "_"))
			value, given = os.LookupEnv(name)
		}
		if !given && strings.HasPrefix(text, "{vault://") {
			return nil, fmt.Errorf("resources.vault.%s is a reference, and its value is not known here; write %q into a file for -vault", key, key+": VALUE")
		}
		if given {
			vault[key], text = value, value
		}
		if len(text) >= 4 {
			r.secrets = append(r.secrets, text)
		}
	}
	return &copied, nil
}

// hidden replaces the values of vaults in a text.
func (r *rehearsal) hidden(text string) string {
	for _, s := range r.secrets {
		text = strings.ReplaceAll(text, s, "********")
	}
	return text
}

// step sends one request through the workflow. upstream is what its service answers.
func (r *rehearsal) step(ctx context.Context, q *request, upstream *response) *outcome {
	host := newHost(q, r.properties, r.source.kong)
	traced := r.plan.WantsTrace(q.header.Get("X-Datakit-Debug-Trace"))
	access := r.plan.Access(ctx, host, true)
	o := &outcome{trace: access.Trace}
	switch {
	case access.Failure != nil || access.Answer != nil:
		o.end(r.plan, access, traced, http.Header{})
	default:
		o.upstream = newSentRequest(q, host, access.Service)
		for _, s := range r.stubs {
			if s.Host != "" && s.Host == strings.Split(o.upstream.host, ":")[0] {
				upstream, o.redirected = s.response(), true
			}
		}
		o.answer = &response{upstream.status, upstream.header.Clone(), upstream.body}
		switch host.response = upstream; {
		case !r.plan.NeedsResponse():
			if traced {
				o.replace(datakit.TraceAnswer(o.answer.status, nil, o.trace))
			}
		case strings.HasPrefix(strings.ToLower(q.header.Get("Content-Type")), "application/grpc"):
			host.logged = append(host.logged, "a gRPC request is proxied without the response phase of its workflow: Kong cannot buffer gRPC")
		default:
			o.finish(r.plan, r.plan.Response(ctx, host, access.State), traced)
		}
	}
	if o.calls, o.missing = r.stage.take(); o.missing != "" && o.failure != "" {
		o.failure, _, _ = strings.Cut(o.missing, "\n")
	}
	places := map[string]int{}
	for _, n := range r.plan.Nodes() {
		places[n.Name] = n.Index
	}
	slices.SortStableFunc(o.calls, func(a, b sentCall) int { return places[a.node] - places[b.node] })
	o.properties = host.written
	o.logged = append(host.logged, r.reports...)
	r.reports = nil
	return o
}

// finish applies what the response phase has come to.
func (o *outcome) finish(plan *datakit.Plan, done *datakit.Outcome, traced bool) {
	if done.Trace != nil {
		o.trace = done.Trace
	}
	if done.Failure != nil || done.Answer != nil {
		o.answer.header.Del("Content-Type")
		o.end(plan, done, traced, o.answer.header)
		return
	}
	o.answer.status = cmp.Or(done.Status, o.answer.status)
	switch {
	case traced:
		apply(o.answer.header, done.Response.Headers)
		o.replace(datakit.TraceAnswer(o.answer.status, nil, o.trace))
	case done.Response.HasBody:
		o.replace(&datakit.Answer{Status: o.answer.status, Header: done.Response.Headers, Body: done.Response.Body})
	default:
		apply(o.answer.header, done.Response.Headers)
	}
}

// end answers in the upstream's place. header is what is on the answer already.
func (o *outcome) end(plan *datakit.Plan, done *datakit.Outcome, traced bool, header http.Header) {
	a := done.Answer
	if done.Failure != nil {
		o.failure = plan.FailureText(done.Failure)
		a = plan.FailureAnswer(done.Failure, strings.Repeat("0", 32))
		if traced {
			a.Header = nil
		}
	}
	if traced {
		a = datakit.TraceAnswer(a.Status, a.Header, done.Trace)
	}
	o.answer = &response{header: header}
	o.replace(a)
}

// replace puts another body under the answer's headers.
func (o *outcome) replace(a *datakit.Answer) {
	o.answer.header.Del("Content-Encoding")
	o.answer.header.Del("Content-Length")
	o.answer.header.Del("Etag")
	apply(o.answer.header, a.Header)
	o.answer.status, o.answer.body = a.Status, string(a.Body)
}

// apply merges headers as the gateway does: names that are given replace, those without values go.
func apply(h http.Header, headers []datakit.Header) {
	for _, one := range headers {
		name := textproto.CanonicalMIMEHeaderKey(one.Name)
		if delete(h, name); len(one.Values) > 0 && name != "Content-Length" {
			h[name] = slices.Clone(one.Values)
		}
	}
}

func newSentRequest(q *request, host *offlineHost, w datakit.Writes) *sentRequest {
	s := &sentRequest{method: q.method, scheme: q.scheme, target: q.target, host: host.target(), header: q.header.Clone(), body: q.body}
	for _, set := range host.written {
		if text, ok := set.value.(string); ok && set.name == "kong.service.request.scheme" {
			s.scheme = text
		}
	}
	if w.Query != nil {
		s.target = q.path()
		if *w.Query != "" {
			s.target += "?" + *w.Query
		}
	}
	if w.HasBody {
		s.header.Del("Content-Encoding")
		s.header.Del("Content-Length")
		s.body = string(w.Body)
	}
	apply(s.header, w.Headers)
	return s
}
