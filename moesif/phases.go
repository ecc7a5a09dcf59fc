package moesif

import (
	"strings"
	"time"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
)

var _ interface {
	Access(*pdk.PDK)
	Response(*pdk.PDK)
	Log(*pdk.PDK)
} = (*Config)(nil)

// maxHeaders is how many headers are asked for where Kong's own limit of 100 can be raised.
const maxHeaders = 1000

// settings returns the checked configuration, or nil for a wrong one, which is reported once and costs only its events.
func (c *Config) settings() *settings {
	s, err := c.resolve()
	if c.reported.CompareAndSwap(false, true) {
		if err != nil {
			c.capture.stats.configErrors.Inc()
			c.capture.report("config", "configuration: "+strings.ReplaceAll(err.Error(), "\n", "; ")+"; its requests pass and are not captured")
		}
		for _, w := range c.warnings() {
			c.capture.report(w, "configuration: "+w)
		}
	}
	return s
}

// Access gives the request its transaction id, on the way to the upstream and back.
func (c *Config) Access(kong *pdk.PDK) {
	s := c.settings()
	if s == nil || !s.transactionID {
		return
	}
	value, err := pluginserver.Var(kong, transactionVariable)
	if err != nil {
		return // the connection is lost; Kong repeats the event
	}
	id := clientTransactionID(value)
	if id == "" {
		id = newUUID()
		c.capture.issued.put(id, struct{}{})
		_ = kong.ServiceRequest.SetHeader(transactionHeaderSent, id)
	}
	_ = kong.Response.SetHeader(transactionHeaderSent, id)
}

// Response exists so that Kong buffers: a response's body can be had in no other way. It keeps the request's body, which
// is gone in log, and leaves the response's body to log, off the client's path.
func (c *Config) Response(kong *pdk.PDK) {
	s := c.settings()
	if s == nil {
		return
	}
	bodies := s.captureRequestBody || s.captureResponseBody
	var questions []pluginserver.Question
	if s.captureRequestBody {
		questions = append(questions, pluginserver.AskRequestBody())
	}
	if bodies {
		questions = append(questions, pluginserver.AskVar("kong_request_id"))
	}
	if s.transactionID {
		questions = append(questions, pluginserver.AskVar(transactionVariable))
	}
	pluginserver.Prefetch(kong, questions...)

	var held heldBody
	if s.captureRequestBody {
		body, _, err := pluginserver.RequestBody(kong, s.requestBodyLimit)
		if err != nil {
			c.capture.report("request body", "the request's body cannot be read: "+err.Error())
		}
		held.request = body
	}
	if bodies {
		if id, _ := pluginserver.Var(kong, "kong_request_id"); id != "" {
			c.capture.bodies.put(id, held)
		}
	}
	if s.transactionID { // the upstream's header of that name has replaced ours
		value, _ := pluginserver.Var(kong, transactionVariable)
		if id := clientTransactionID(value); id != "" {
			_ = kong.Response.SetHeader(transactionHeaderSent, id)
		}
	}
}

// Log queues the event. The client already has its response.
func (c *Config) Log(kong *pdk.PDK) {
	c.capture.stats.received.Inc()
	s := c.settings()
	if s == nil {
		c.capture.sending.Drop(dropConfig)
		return
	}
	x, err := c.readExchange(kong, s)
	if err != nil {
		c.capture.sending.Drop(dropUnread)
		c.capture.report("log", "a request could not be read from Kong: "+err.Error())
		return
	}
	queue, done := c.lease.get(c.capture, s)
	defer done()
	queue.Add(encodeEvent(x, s))
}

// Close gives the configuration's queue back. Kong has no event for it any more.
func (c *Config) Close() { c.lease.end() }

// readExchange asks Kong for all that the event needs: its log entry and then, in one flight, what is not in there. No
// call here is one that Kong could refuse, which in log would leak the request's data.
func (c *Config) readExchange(kong *pdk.PDK, s *settings) (*exchange, error) {
	log, err := pluginserver.Serialize(kong)
	if err != nil {
		return nil, err
	}
	x, err := readExchange(log, time.Now())
	if err != nil {
		return nil, err
	}
	held, buffered := c.capture.bodies.take(x.requestID)
	x.requestBody = held.request
	x.transactionID = c.ownTransactionID(x.request.first(transactionHeader))

	hidden := s.identity.hidden(x)
	wantBody := buffered && s.captureResponseBody && !certainlyLarger(x, s.responseBodyLimit)
	var questions []pluginserver.Question
	if wantBody {
		questions = append(questions, pluginserver.AskResponseBody())
	}
	if len(hidden) > 0 {
		questions = append(questions, pluginserver.AskHeaders(maxHeaders))
	}
	if x.authenticated {
		questions = append(questions, pluginserver.AskCtx(credentialKey))
	}
	pluginserver.Prefetch(kong, questions...)

	// From here on the event is made with what there is: an answer that is missing costs only its part.
	if wantBody {
		x.responseBody, _, _ = pluginserver.ResponseBody(kong, s.responseBodyLimit)
	}
	if len(hidden) > 0 {
		if raw, err := pluginserver.Headers(kong, maxHeaders); err == nil {
			x.secret = x.request.only(raw, hidden)
		}
	}
	if x.authenticated {
		if v, err := pluginserver.CtxValue(kong, credentialKey); err == nil {
			x.credentialKey = textMember(v, "key")
			if id := textMember(v, "id"); id != "" {
				x.credentialID = id
			}
		}
	}
	return x, nil
}

// credentialKey names the accepted credential in Kong's request context.
const credentialKey = "authenticated_credential"

// ownTransactionID returns the event's own id: the header's if we made it for this request, else a new one, so that a
// client cannot make the collector take two requests for one.
func (c *Config) ownTransactionID(header string) string {
	if _, ours := c.capture.issued.take(header); ours {
		return header
	}
	return newUUID()
}

// maxHeaderBytes is more than the headers of a response take on the wire.
const maxHeaderBytes = 128 << 10

// certainlyLarger reports whether the response's body is over the limit, so that it need not cross the socket.
func certainlyLarger(x *exchange, limit int64) bool {
	return x.sent > limit+maxHeaderBytes || contentLength(x.response) > limit
}

// textMember returns a member of a decoded object that is a text.
func textMember(v any, name string) string {
	m, _ := v.(map[string]any)
	s, _ := m[name].(string)
	return s
}
