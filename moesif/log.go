package moesif

import (
	"strings"
	"time"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/moesif/remote"
)

// Log queues the event. The client already has its response.
func (c *Config) Log(kong *pdk.PDK) {
	stats := c.capture.stats
	stats.received.Inc()
	s := c.settings()
	if s == nil {
		c.capture.sending.Drop(dropConfig)
		return
	}
	app, done := c.lease.get(c.capture, s)
	defer done()
	x, err := c.gather(kong, s, app.rules())
	switch {
	case err != nil:
		c.capture.sending.Drop(dropUnread)
		c.capture.report("log", "a request could not be read from Kong: "+err.Error())
	case x == nil:
		stats.sampledOut.Inc()
	default:
		app.queue.Add(encodeEvent(x, s))
		x.release()
	}
}

// gather asks Kong for all that the event needs: its log entry and then, in one flight, what is not in there. No call here
// is one that Kong could refuse, which in log would leak the request's data. It returns nil for a request that sampling
// leaves out.
func (c *Config) gather(kong *pdk.PDK, s *settings, rules *remote.Snapshot) (*exchange, error) {
	onDemand := s.captureResponseBody && c.capture.started().onDemand()
	if onDemand {
		pluginserver.Prefetch(kong, pluginserver.AskSerialize(), pluginserver.AskCtx(bufferingKey))
	}
	log, err := pluginserver.Serialize(kong)
	if err != nil {
		return nil, err
	}
	x, err := readExchange(log, time.Now())
	if err != nil {
		return nil, err
	}
	held, seen := c.capture.state.await(x.requestID)
	x.requestBody, x.blockedBy = held.request, held.blockedBy
	if held.blockedBy != "" {
		x.responseBody = held.response
	}
	x.transactionID = c.ownTransactionID(x.request.first(transactionHeader))
	if onDemand && !held.buffered {
		switched, err := pluginserver.CtxValue(kong, bufferingKey)
		held.buffered = err == nil && isOn(switched)
	}

	perhapsBlocked := !seen && x.answeredByKong && rules.Governs()
	if !rules.Samples() {
		c.gatherRest(kong, s, x, held.buffered, perhapsBlocked)
		return x, nil
	}
	draw := remote.Draw(x.requestID)
	if !remote.Kept(rules.MaxRate(x.remoteRequest(s, rules)), draw) {
		x.release()
		return nil, nil
	}
	c.gatherRest(kong, s, x, held.buffered, perhapsBlocked)
	rate := rules.Rate(x.remoteRequest(s, rules)) // who it is may be known only now
	if !remote.Kept(rate, draw) {
		x.release()
		return nil, nil
	}
	x.weight = remote.Weight(rate)
	return x, nil
}

// gatherRest asks for what is not in Kong's log entry. The event is made with what there is: an answer that is missing
// costs only its part.
func (c *Config) gatherRest(kong *pdk.PDK, s *settings, x *exchange, buffered, perhapsBlocked bool) {
	hidden := s.identity.hidden(x)
	wantBody := buffered && s.captureResponseBody && !certainlyLarger(x, s.responseBodyLimit) && !s.skipTypes.Has(x.response.joined("content-type"))
	wantCredential := x.authenticated && s.session.mode != "none"
	var questions []pluginserver.Question
	if wantBody {
		questions = append(questions, pluginserver.AskResponseBody())
	}
	for _, name := range hidden {
		questions = append(questions, pluginserver.AskHeader(name))
	}
	if wantCredential {
		questions = append(questions, pluginserver.AskCtx(credentialKey))
	}
	if perhapsBlocked {
		questions = append(questions, pluginserver.AskShared(blockedKey(s)))
	}
	if len(questions) > 0 {
		pluginserver.AskLast(kong, questions...)
	}

	if wantBody {
		x.responseBody, _, _ = pluginserver.ResponseBody(kong, s.responseBodyLimit)
	}
	for _, name := range hidden {
		if value, err := pluginserver.Header(kong, name); err == nil {
			x.secret = append(x.secret, headerField{name, []string{value}})
		}
	}
	if wantCredential {
		if v, err := pluginserver.CtxValue(kong, credentialKey); err == nil {
			x.credentialKey = textMember(v, "key")
			if id := textMember(v, "id"); id != "" {
				x.credentialID = id
			}
		}
	}
	if perhapsBlocked {
		x.blockedBy, _ = kong.Ctx.GetSharedString(blockedKey(s))
	}
}

// credentialKey names the accepted credential in Kong's request context.
const credentialKey = "authenticated_credential"

// maxHeaderBytes is more than the headers of a response take on the wire.
const maxHeaderBytes = 128 << 10

// certainlyLarger reports whether the response's body is over the limit, so that it need not cross the socket.
func certainlyLarger(x *exchange, limit int64) bool {
	return x.sent > limit+maxHeaderBytes || contentLength(x.response) > limit
}

// remoteRequest is what rates look at.
func (x *exchange) remoteRequest(s *settings, rules *remote.Snapshot) *remote.Request {
	r := &remote.Request{
		Verb: x.method, Route: route(x.url), Status: x.status, ContentType: x.request.joined("content-type"),
		IP:     clientIP(x.request, s.requestMasks, x.clientIP),
		Header: func(name string) string { return x.request.joined(strings.ToLower(name)) },
	}
	n := rules.Needs()
	if n.Identity {
		r.User, r.Company = s.identity.identify(x)
	}
	if n.RateBody {
		r.Body = plainBody(x.requestBody, x.request.joined("content-encoding"))
	}
	return r
}

// route is the path of a URL, without its query, as the client wrote it.
func route(target string) string {
	if _, rest, ok := strings.Cut(target, "://"); ok {
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return "/"
		}
		target = rest[slash:]
	}
	if end := strings.IndexAny(target, "?#"); end >= 0 {
		target = target[:end]
	}
	return target
}

// isOn reports whether a value of Kong's context counts as true in Lua.
func isOn(v any) bool {
	on, isBool := v.(bool)
	return v != nil && (!isBool || on)
}

// textMember returns a member of a decoded object that is a text.
func textMember(v any, name string) string {
	m, _ := v.(map[string]any)
	s, _ := m[name].(string)
	return s
}
