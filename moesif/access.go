package moesif

import (
	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/moesif/remote"
)

// Access does what must be done before the upstream sees the request: it gives it a transaction id, answers it where a
// governance rule says so, and decides whether its bodies are wanted. Kong is asked only for what these need, mostly in
// one flight; what is set leaves with the end of the event.
func (c *Config) Access(kong *pdk.PDK) {
	s := c.settings()
	if s == nil {
		return
	}
	app, done := c.lease.get(c.capture, s)
	defer done()
	rules := app.rules()
	if !s.failOpen && app.governs() && !rules.Known() {
		refuseUngoverned(kong)
		return
	}

	mode := c.capture.started()
	v := viewOf(s, mode, rules)
	l, err := v.look(kong, s)
	if err != nil {
		return // the connection is lost; Kong repeats the event
	}
	request := l.request(s, rules)
	kept := !v.requestID || remote.Kept(rules.MaxRate(request), remote.Draw(l.requestID))
	p := planOf(s, mode, l, kept)

	inBody := rules.Needs().Body && remote.ReadsBody(l.contentType)
	var decision remote.Decision
	if !inBody {
		decision = rules.Govern(request)
	}
	limit := s.requestBodyLimit
	if inBody {
		limit = max(limit, governedBytes)
	}
	err = l.more(kong, more{
		body:      inBody || p.readRequest || decision.Blocked && p.keepRequest,
		coding:    inBody,
		limit:     limit,
		requestID: inBody || p.readRequest || decision.Blocked,
		buffering: p.exempt && v.any() && !decision.Blocked,
	})
	if err != nil {
		return
	}
	if l.bodyError != nil {
		c.capture.report("request body", "the request's body cannot be read: "+l.bodyError.Error())
	}
	if inBody {
		request.Body = l.plainBody()
		decision = rules.Govern(request)
	}

	var held heldState
	if p.keepRequest && l.bodyRead && int64(len(l.body)) <= s.requestBodyLimit {
		held.request = l.body
	}
	held.requestRead = l.bodyRead
	id := c.transactionID(s, l)
	switch {
	case decision.Blocked:
		held.blockedBy, held.response = decision.RuleID, decision.Body
		c.capture.state.put(l.requestID, held)
		c.block(kong, s, decision, id)
		return
	case l.bodyRead:
		c.capture.state.put(l.requestID, held)
	}
	if s.ruleHeaders {
		for _, h := range decision.Headers {
			_ = kong.Response.SetHeader(h.Name, h.Value)
		}
	}
	setTransactionID(kong, id)
	switch {
	case p.exempt && !wantedByAnother(l.buffering):
		_ = pluginserver.SetCtxFlag(kong, bufferingKey, false)
	case p.demand:
		_ = pluginserver.SetCtxFlag(kong, bufferingKey, true)
	}
}

// bufferingKey is Kong's own switch in the request's context: the response is buffered where it is true. A plugin that
// runs before this one and wants the response sets a text in its place, which means the same to Kong and keeps this
// plugin from switching it off.
// Source: kong/runloop/plugins_iterator.lua and kong/pdk/service/request.lua of Kong 3.9.1.
const bufferingKey = "buffered_proxying"

// wantedByAnother reports whether the switch's value says that another plugin wants the response.
func wantedByAnother(value any) bool {
	s, ok := value.(string)
	return ok && s != ""
}
