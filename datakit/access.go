package datakit

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/datakit/fetch"
	"kong-go-plugins/internal/pluginserver"
)

var (
	_ interface{ Access(*pdk.PDK) }   = (*Config)(nil)
	_ interface{ Response(*pdk.PDK) } = (*Config)(nil)
)

// bufferingKey is Kong's own switch in the request's context: the response is buffered where it is true. A plugin that
// runs before this one and wants the response may set a text in its place.
// Source: kong/runloop/plugins_iterator.lua and kong/pdk/service/request.lua of Kong 3.9.1.
const bufferingKey = "buffered_proxying"

// Prepare compiles the workflow before the first request needs it.
func (c *Config) Prepare() { c.plan() }

// Close gives the plan back. Kong has no event for the configuration any more.
func (c *Config) Close() {
	if _, _ = c.resolve(); c.release != nil {
		c.release()
	}
}

// plan returns the compiled workflow, or nil for a wrong configuration, which is reported once.
func (c *Config) plan() *Plan {
	p, err := c.resolve()
	if c.reported.Load() || !c.reported.CompareAndSwap(false, true) {
		return p
	}
	if err != nil {
		c.engine.stats.config.Inc()
		c.engine.report("config "+oneLine(err), "configuration: "+oneLine(err)+"; its requests are answered with 500")
		return nil
	}
	for _, text := range p.warnings {
		c.engine.report("config "+text, "configuration: "+text)
	}
	return p
}

// Access runs the workflow up to where the request is proxied, or answers it. Kong is asked first and told last; in
// between only nodes of type property speak to it.
func (c *Config) Access(kong *pdk.PDK) {
	began := time.Now()
	p := c.plan()
	if p == nil {
		c.refuse(kong)
		return
	}
	traced, grpc, wanted := c.announce(kong, p)
	host := &pdkHost{kong: kong, maxBody: p.maxBody, settings: c.engine.settings}
	o := p.Access(p.context(kong), host, traced)
	switch {
	case o.Failure != nil:
		c.fail(kong, p, o)
	case o.Answer != nil:
		answer(kong, o)
	default:
		writeService(kong, o.Service)
		c.handOver(kong, p, host, o, grpc, wanted)
	}
	c.engine.stats.phase("access", o, time.Since(began))
}

// context is that of the event, which ends when Kong no longer waits. Where no node waits for others it is not worth its
// price: the time is looked at between nodes.
func (p *Plan) context(kong *pdk.PDK) context.Context {
	if !p.needsDeadline {
		return context.Background()
	}
	return pluginserver.Context(kong)
}

// questions are what each phase asks Kong, so that all of it leaves in one flight.
func (p *Plan) questions(accessOnly bool) (ask [2][]pluginserver.Question) {
	early := requestQuestions(p.request)
	if p.debug {
		early = append(early, pluginserver.AskVar(traceVariable))
	}
	switch {
	case p.needsResponse:
		early = append(early, pluginserver.AskVar(upstreamSchemeVariable))
		if !p.request["body"] || p.request["headers"] { // else it is among them already
			early = append(early, pluginserver.AskVar(contentTypeVariable))
		}
		if p.serviceResponse["body"] {
			early = append(early, pluginserver.AskVar(acceptEncodingVariable))
		}
	case !p.needsResponse && !accessOnly:
		early = append(early, pluginserver.AskCtx(bufferingKey))
	}
	return [2][]pluginserver.Question{early, responseQuestions(p.serviceResponse)}
}

// announce sends all that the plan asks for in one flight and reads what decides how it runs.
func (c *Config) announce(kong *pdk.PDK, p *Plan) (traced, grpc, wanted bool) {
	pluginserver.Prefetch(kong, p.ask[0]...)
	if p.debug {
		value, _ := pluginserver.Var(kong, traceVariable)
		traced = isYes(value)
	}
	if p.needsResponse {
		scheme, _ := pluginserver.Var(kong, upstreamSchemeVariable)
		contentType, _ := pluginserver.Var(kong, contentTypeVariable)
		grpc = isGRPC(scheme, contentType)
	}
	if !p.needsResponse && !c.engine.accessOnly() {
		value, _ := pluginserver.CtxValue(kong, bufferingKey)
		s, isText := value.(string)
		wanted = isText && s != ""
	}
	return traced, grpc, wanted
}

// isGRPC reports whether Kong cannot buffer the response: the service speaks gRPC, which a plugin such as grpc-gateway may
// hide from the client, or else the client does. What is called gRPC-Web is HTTP for Kong unless the service speaks gRPC.
func isGRPC(upstreamScheme, contentType string) bool {
	if upstreamScheme == "grpc" || upstreamScheme == "grpcs" {
		return true
	}
	rest, ok := strings.CutPrefix(strings.ToLower(contentType), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// isYes reports whether the trace header asks for a trace.
func isYes(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true", "yes", "on", "1", "enabled":
		return true
	}
	return false
}

// handOver leaves to the response phase what it needs, or sees to it that there is none.
func (c *Config) handOver(kong *pdk.PDK, p *Plan, host *pdkHost, o *Outcome, grpc, wanted bool) {
	if c.engine.accessOnly() {
		return
	}
	if grpc && p.needsResponse {
		c.engine.report("grpc", "a gRPC request is proxied without the response phase of its workflow: Kong cannot buffer gRPC")
	}
	if grpc || !p.needsResponse && o.Trace == nil {
		if !wanted {
			_ = pluginserver.SetCtxFlag(kong, bufferingKey, false)
		}
		return
	}
	if p.serviceResponse["body"] {
		acceptReadable(kong, o.Service.Headers)
	}
	o.State.plugin = host.plugin
	if o.State.isEmpty() {
		return
	}
	text, ok := o.State.encode()
	if !ok {
		id, err := pluginserver.Var(kong, requestIDVariable)
		if err != nil {
			return
		}
		c.engine.states.put(id+c.id, o.State)
		text = keptMarker
	}
	_ = kong.Ctx.SetShared(c.stateKey(), text)
}

// acceptReadable takes from what the client accepts the codings that the response phase cannot unpack: browsers accept
// some that upstreams prefer. What the workflow itself has written stays.
func acceptReadable(kong *pdk.PDK, written []Header) {
	if _, own := find(written, "Accept-Encoding"); own {
		return
	}
	accepted, err := pluginserver.Var(kong, acceptEncodingVariable)
	if err != nil || accepted == "" {
		return
	}
	readable := strings.Join(fetch.Readable([]string{accepted}), "")
	if readable == "" {
		readable = "identity"
	}
	if strings.ReplaceAll(readable, " ", "") != strings.ReplaceAll(accepted, " ", "") {
		_ = pluginserver.SetServiceHeader(kong, "Accept-Encoding", readable)
	}
}

// keptMarker stands for a state that is in this process.
const keptMarker = "kept"

// stateKey is where the state of a request travels: each configuration has its own.
func (c *Config) stateKey() string { return "datakit_state_" + c.id }

// writeService tells Kong what the workflow changes in the request to the upstream.
func writeService(kong *pdk.PDK, w Writes) {
	if w.Query != nil {
		_ = pluginserver.SetServiceQuery(kong, *w.Query)
	}
	if w.HasBody {
		_ = pluginserver.ClearServiceHeader(kong, "Content-Encoding")
		_ = pluginserver.SetServiceBody(kong, string(w.Body))
	}
	plain := make([]pluginserver.ServiceHeader, 0, len(w.Headers))
	for _, h := range w.Headers {
		switch {
		case h.Name == "Content-Length":
		case len(h.Values) == 0:
			plain = append(plain, pluginserver.ServiceHeader{Name: h.Name})
		case len(h.Values) == 1 && h.Values[0] != "" && h.Name != "Host":
			plain = append(plain, pluginserver.ServiceHeader{Name: h.Name, Value: h.Values[0]})
		default:
			_ = pluginserver.SetServiceHeader(kong, h.Name, h.Values[0])
			for _, v := range h.Values[1:] {
				_ = kong.ServiceRequest.AddHeader(h.Name, valid(v))
			}
		}
	}
	switch len(plain) {
	case 0:
	case 1:
		if plain[0].Value != "" {
			_ = pluginserver.SetServiceHeader(kong, plain[0].Name, plain[0].Value)
		} else {
			_ = pluginserver.ClearServiceHeader(kong, plain[0].Name)
		}
	default:
		_ = pluginserver.SetServiceHeaders(kong, plain...)
	}
}

// answer ends the request with what the workflow has decided.
func answer(kong *pdk.PDK, o *Outcome) {
	a := o.Answer
	if o.Trace != nil {
		a = traceAnswer(a.Status, a.Header, o.Trace)
	}
	lists := map[string][]string{}
	for _, h := range a.Header {
		values := make([]string, len(h.Values))
		for i, v := range h.Values {
			values[i] = valid(v)
		}
		if len(values) > 0 {
			lists[h.Name] = values
		}
	}
	kong.Response.Exit(a.Status, a.Body, lists)
}

// traceAnswer is an answer with the trace in place of its body.
func traceAnswer(status int, headers []Header, t *Trace) *Answer {
	body, err := t.MarshalJSON()
	if err != nil {
		body = []byte(`{"message":"the trace cannot be written"}`)
	}
	headers = append(without(headers, "Content-Type", "Content-Length", "Content-Encoding"), Header{"Content-Type", []string{jsonContent}})
	return &Answer{Status: status, Header: headers, Body: body}
}

// An errorBody is what a client gets of a failure.
type errorBody struct {
	Message   string     `json:"message"`
	RequestID string     `json:"request_id"`
	Error     string     `json:"error,omitempty"`
	Errors    []string   `json:"errors,omitempty"`
	Node      *errorNode `json:"node,omitempty"`
}

type errorNode struct {
	Index int    `json:"index,omitempty"` // in nodes, from 1
	Name  string `json:"name"`
	Type  string `json:"type"`
}

const unexpected = "An unexpected error occurred"

// fail answers with 500 and tells the operator why.
func (c *Config) fail(kong *pdk.PDK, p *Plan, o *Outcome) {
	text := p.failureText(o.Failure)
	(&pdkHost{kong: kong}).Log(slog.LevelError, text)
	if o.Trace != nil {
		answer(kong, &Outcome{Answer: &Answer{Status: 500}, Trace: o.Trace})
		return
	}
	body := errorBody{Message: unexpected}
	if p.debug {
		n := o.Failure
		body = errorBody{Message: "node execution error", Error: p.errorText(n), Node: &errorNode{n.Index, n.Name, n.Type}}
	}
	refuse(kong, body)
}

// refuse answers the requests of a wrong configuration.
func (c *Config) refuse(kong *pdk.PDK) {
	body := errorBody{Message: unexpected}
	if _, err := c.resolve(); err != nil && c.Debug {
		body.Message = "configuration error"
		for _, p := range Problems(err) {
			body.Errors = append(body.Errors, p.Error())
		}
	}
	refuse(kong, body)
}

func refuse(kong *pdk.PDK, body errorBody) {
	body.RequestID, _ = pluginserver.Var(kong, requestIDVariable)
	text, err := encodeJSON(body)
	if err != nil {
		text = []byte(`{"message":"` + unexpected + `"}`)
	}
	kong.Response.Exit(500, text, map[string][]string{"Content-Type": {jsonContent}})
}

// errorText is the text of a failure without what may be secret.
func (p *Plan) errorText(n *NodeError) string {
	for _, s := range p.steps {
		if s.name == n.Name {
			return s.errorText(n.Err)
		}
	}
	return n.Err.Error()
}

func (p *Plan) failureText(n *NodeError) string {
	e := *n
	e.Err = fmt.Errorf("%s", p.errorText(n))
	return e.Error()
}
