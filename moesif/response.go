package moesif

import (
	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
)

// Response exists so that Kong buffers: a response's body can be had in no other way. It keeps the request's body, which
// is gone in log, and leaves the response's body to log, off the client's path. It runs, too, for a request that access
// has exempted, when a plugin after this one wants the response.
func (c *Config) Response(kong *pdk.PDK) {
	s := c.settings()
	if s == nil {
		return
	}
	app, done := c.lease.get(c.capture, s)
	defer done()
	bodies := s.captureRequestBody || s.captureResponseBody
	readByAccess := s.captureRequestBody && app.rules().Needs().Body // perhaps
	var questions []pluginserver.Question
	if s.captureRequestBody && !readByAccess {
		questions = append(questions, pluginserver.AskRequestBody())
	}
	if bodies {
		questions = append(questions, pluginserver.AskVar(requestIDVariable))
	}
	if s.transactionID {
		questions = append(questions, pluginserver.AskVar(transactionVariable))
	}
	if s.transactionID || readByAccess {
		pluginserver.Prefetch(kong, questions...)
	} else { // nothing else is asked or told, so Kong need not wait; log may begin before the body is kept
		defer c.capture.state.expect()()
		pluginserver.AskLast(kong, questions...)
	}

	if bodies {
		c.keepBody(kong, s, readByAccess)
	}
	if s.transactionID { // the upstream's header of that name has replaced ours
		value, _ := pluginserver.Var(kong, transactionVariable)
		if id := clientTransactionID(value); id != "" {
			_ = pluginserver.SetResponseHeader(kong, transactionHeaderSent, id)
		}
	}
}

// keepBody keeps the request's body for log, and that Kong has buffered the response.
func (c *Config) keepBody(kong *pdk.PDK, s *settings, readByAccess bool) {
	id, err := pluginserver.Var(kong, requestIDVariable)
	if err != nil {
		return
	}
	var held heldState
	if readByAccess {
		held, _ = c.capture.state.take(id)
	}
	if s.captureRequestBody && !held.requestRead {
		body, _, err := pluginserver.RequestBody(kong, s.requestBodyLimit)
		if err != nil {
			c.capture.report("request body", "the request's body cannot be read: "+err.Error())
		}
		held.request = body
	}
	held.buffered = true
	if id != "" {
		c.capture.state.put(id, held)
	}
}
