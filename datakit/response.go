package datakit

import (
	"slices"
	"strings"
	"time"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
)

// Response runs what is left of the workflow once the upstream has answered. Kong buffers the upstream's answer because of
// this handler; Access takes that back for workflows without work here. It may run all the same, when a plugin behind
// this one wants the response.
func (c *Config) Response(kong *pdk.PDK) {
	began := time.Now()
	p := c.plan()
	if p == nil || !p.needsResponse && !p.debug {
		return
	}
	travels := len(p.carried) > 0 || p.debug || p.status() || p.usesPlugin()
	questions := slices.Clip(p.ask[1])
	if travels {
		questions = append(questions, pluginserver.AskShared(c.stateKey()))
	}
	if p.needsResponse {
		questions = append(questions, pluginserver.AskStatus())
	}
	pluginserver.Prefetch(kong, questions...)
	state, lost := c.travelled(kong, travels)
	if !p.needsResponse && (state == nil || state.trace == nil) && !lost {
		return
	}
	host := &pdkHost{kong: kong, maxBody: p.maxBody, settings: c.engine.settings}
	var o *Outcome
	if lost || !p.canGoOn(state) {
		o = &Outcome{Failure: &NodeError{Name: responseNode, Type: "implicit", Err: errLost}}
	} else {
		if state != nil {
			host.plugin = state.plugin
		}
		o = p.Response(p.context(kong), host, state)
	}
	switch {
	case o.Failure != nil:
		clearAll(kong)
		c.fail(kong, p, o)
	case o.Answer != nil:
		clearBody(kong)
		answer(kong, o)
	default:
		writeResponse(kong, o)
	}
	c.engine.stats.phase("response", o, time.Since(began))
}

var errLost = lostError{}

// A lostError says that the access phase ran in a process that is gone.
type lostError struct{}

func (lostError) Error() string {
	return "what the access phase of this request has left is lost: the gateway was reloaded, or the plugin restarted or configured anew, in between"
}

// travelled reads what the access phase has left. lost says that there is something, and that it is gone.
func (c *Config) travelled(kong *pdk.PDK, asked bool) (state *State, lost bool) {
	if !asked {
		return nil, false
	}
	value, err := kong.Ctx.GetSharedAny(c.stateKey())
	text, _ := value.(string)
	switch {
	case err != nil || text == "":
		return nil, false
	case text == keptMarker:
		id, _ := pluginserver.Var(kong, requestIDVariable)
		state = c.engine.states.take(id + c.id)
	default:
		state = decodeState(text)
	}
	return state, state == nil
}

// clearBody takes away the headers that describe the upstream's body, which another one replaces.
func clearBody(kong *pdk.PDK) {
	for _, name := range []string{"Content-Encoding", "ETag", "Content-Type"} {
		_ = kong.Response.ClearHeader(name)
	}
}

// clearAll takes away the headers of the upstream's response: a workflow that has failed did not get to take out those that
// clients must not see, and nobody may keep the failure as long as the response. Browsers show it only with those of CORS.
func clearAll(kong *pdk.PDK) {
	headers, err := pluginserver.ResponseHeaders(kong, maxHeaders)
	if err != nil {
		clearBody(kong)
		return
	}
	for _, name := range sortedKeys(headers) {
		if !strings.HasPrefix(strings.ToLower(name), "access-control-") {
			_ = kong.Response.ClearHeader(name)
		}
	}
}

// writeResponse tells Kong what the workflow changes in the response.
func writeResponse(kong *pdk.PDK, o *Outcome) {
	if o.Trace != nil || o.Response.HasBody {
		replaceBody(kong, o)
		return
	}
	if o.Status != 0 {
		_ = kong.Response.SetStatus(o.Status)
	}
	writeResponseHeaders(kong, o.Response.Headers)
}

func writeResponseHeaders(kong *pdk.PDK, headers []Header) {
	for _, h := range headers {
		switch {
		case h.Name == "Content-Length":
		case len(h.Values) == 0:
			_ = kong.Response.ClearHeader(h.Name)
		default:
			_ = kong.Response.SetHeader(h.Name, valid(h.Values[0]))
			for _, v := range h.Values[1:] {
				_ = kong.Response.AddHeader(h.Name, valid(v))
			}
		}
	}
}

// replaceBody ends the request with another body under the response's status and headers.
func replaceBody(kong *pdk.PDK, o *Outcome) {
	status := o.Status
	if status == 0 {
		var err error
		if status, err = kong.Response.GetStatus(); err != nil {
			return
		}
	}
	_ = kong.Response.ClearHeader("Content-Encoding")
	_ = kong.Response.ClearHeader("ETag")
	var cleared []Header
	for _, h := range o.Response.Headers {
		if len(h.Values) == 0 {
			cleared = append(cleared, h)
		}
	}
	writeResponseHeaders(kong, cleared)
	a := &Answer{Status: status, Header: o.Response.Headers, Body: o.Response.Body}
	answer(kong, &Outcome{Answer: a, Trace: o.Trace})
}
