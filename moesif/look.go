package moesif

import (
	"slices"
	"strings"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/moesif/content"
	"kong-go-plugins/moesif/remote"
)

// A view says which facts of a request access asks Kong for. Each costs, so none is asked in vain.
type view struct {
	headers bool // all of them, and then none of the single ones

	transactionID, accept, contentType, contentLength bool
	method, path, clientIP, consumer, requestID       bool
	buffering                                         bool
}

// viewOf returns what a configuration needs under the rules and rates that are known.
func viewOf(s *settings, m mode, rules *remote.Snapshot) view {
	n := rules.Needs()
	captures := s.captureRequestBody || s.captureResponseBody
	chooses := m.exempts() || m.onDemand() // whether the response is buffered
	readsRequest := s.captureRequestBody && (!m.buffersAll() || !s.captureResponseBody && chooses)
	v := view{
		headers:       n.Identity || n.IP || n.Headers,
		transactionID: s.transactionID,
		accept:        s.captureResponseBody && chooses,
		contentType:   captures && (chooses || readsRequest) || n.Body,
		contentLength: readsRequest,
		method:        s.captureResponseBody && chooses || readsRequest || n.Verb,
		path:          n.Route,
		clientIP:      n.IP,
		consumer:      n.Identity,
		requestID:     rules.Samples(),
	}
	v.buffering = m.exempts() && v.any() && (v.requestID || !s.captureResponseBody)
	return v
}

// any reports whether something is asked at all.
func (v view) any() bool { return v != view{} }

// A look is what access knows of a request. What was not asked for is unset.
type look struct {
	clientID                                            string // the transaction id that the client sent
	accept, contentType, contentLength, contentEncoding string
	method, path, requestID                             string

	x         exchange // its request headers, in clear, and its consumer; for identification
	buffering any      // Kong's switch
	known     bool     // buffering was asked

	body      []byte // of the request; nil for one that is too large or that is not there
	bodyRead  bool
	bodyError error
}

// look asks Kong, in one flight.
func (v view) look(kong *pdk.PDK, s *settings) (*look, error) {
	l := &look{}
	if !v.any() {
		return l, nil
	}
	vars := []struct {
		wanted bool
		name   string
		into   *string
	}{
		{v.transactionID && !v.headers, transactionVariable, &l.clientID},
		{v.accept && !v.headers, "http_accept", &l.accept},
		{v.contentType && !v.headers, "http_content_type", &l.contentType},
		{v.contentLength && !v.headers, "http_content_length", &l.contentLength},
		{v.method, "request_method", &l.method},
		{v.requestID, requestIDVariable, &l.requestID},
	}
	questions := make([]pluginserver.Question, 0, len(vars)+5)
	for _, q := range vars {
		if q.wanted {
			questions = append(questions, pluginserver.AskVar(q.name))
		}
	}
	for _, q := range []struct {
		wanted   bool
		question func() pluginserver.Question
	}{
		{v.headers, func() pluginserver.Question { return pluginserver.AskHeaders(maxHeaders) }},
		{v.path, pluginserver.AskPath},
		{v.clientIP, pluginserver.AskClientIP},
		{v.consumer, pluginserver.AskConsumer},
		{v.buffering, func() pluginserver.Question { return pluginserver.AskCtx(bufferingKey) }},
	} {
		if q.wanted {
			questions = append(questions, q.question())
		}
	}
	pluginserver.Prefetch(kong, questions...)

	for _, q := range vars {
		if !q.wanted {
			continue
		}
		value, err := pluginserver.Var(kong, q.name)
		if err != nil {
			return nil, err
		}
		*q.into = value
	}
	return l, v.lookFurther(kong, s, l)
}

// lookFurther reads the answers that are no variables.
func (v view) lookFurther(kong *pdk.PDK, s *settings, l *look) error {
	var err error
	if v.headers {
		if err := l.readHeaders(kong, s); err != nil {
			return err
		}
		l.clientID = l.x.request.joined(transactionHeader)
		l.accept, l.contentType = l.x.request.joined("accept"), l.x.request.joined("content-type")
		l.contentLength, l.contentEncoding = l.x.request.joined("content-length"), l.x.request.joined("content-encoding")
	}
	if v.path {
		if l.path, err = kong.Request.GetPath(); err != nil {
			return err
		}
	}
	if v.clientIP {
		if l.x.clientIP, err = kong.Client.GetIp(); err != nil {
			return err
		}
	}
	if v.consumer {
		found, err := kong.Client.GetConsumer()
		if err != nil {
			return err
		}
		if found.Id != "" {
			l.x.consumer = &consumer{ID: found.Id, Username: found.Username, CustomID: found.CustomId}
		}
		if l.x.consumer != nil && isAnonymous(&l.x) { // unless a client has forged that, to escape its quota
			credential, err := pluginserver.CtxValue(kong, credentialKey)
			if err != nil {
				return err
			}
			l.x.authenticated = credential != nil
		}
	}
	if v.buffering {
		l.buffering, err = pluginserver.CtxValue(kong, bufferingKey)
		l.known = true
	}
	return err
}

// readHeaders reads all request headers. Nobody hides from a rule behind more headers than Kong hands out: those that say
// who it is are then asked for one by one.
func (l *look) readHeaders(kong *pdk.PDK, s *settings) error {
	raw, err := pluginserver.Headers(kong, maxHeaders)
	if err != nil {
		return err
	}
	n := 0
	for name, values := range raw {
		l.x.request = append(l.x.request, headerField{name, values})
		n += len(values)
	}
	if n < maxHeaders {
		return nil
	}
	for _, name := range slices.Concat([]string{s.identity.userHeader, s.identity.companyHeader}, s.identity.tokenHeaders, addressHeaders()) {
		if name == "" || len(raw[name]) > 0 {
			continue
		}
		value, err := pluginserver.Var(kong, "http_"+strings.ReplaceAll(name, "-", "_"))
		if err != nil {
			return err
		}
		if value != "" {
			l.x.request = append(l.x.request, headerField{name, []string{value}})
		}
	}
	return nil
}

// more is what access asks when the first answers call for it.
type more struct {
	body      bool
	coding    bool  // and how it is encoded
	limit     int64 // of the body
	requestID bool
	buffering bool
}

// more asks Kong again, for what is not known yet.
func (l *look) more(kong *pdk.PDK, m more) (err error) {
	m.coding = m.coding && l.contentEncoding == ""
	m.requestID = m.requestID && l.requestID == ""
	m.buffering = m.buffering && !l.known
	var questions []pluginserver.Question
	if m.body {
		questions = append(questions, pluginserver.AskRequestBody())
	}
	if m.coding {
		questions = append(questions, pluginserver.AskVar(codingVariable))
	}
	if m.requestID {
		questions = append(questions, pluginserver.AskVar(requestIDVariable))
	}
	if m.buffering {
		questions = append(questions, pluginserver.AskCtx(bufferingKey))
	}
	pluginserver.Prefetch(kong, questions...)
	if m.body {
		l.body, _, l.bodyError = pluginserver.RequestBody(kong, m.limit)
		l.bodyRead = true
	}
	if m.coding {
		if l.contentEncoding, err = pluginserver.Var(kong, codingVariable); err != nil {
			return err
		}
	}
	if m.requestID {
		if l.requestID, err = pluginserver.Var(kong, requestIDVariable); err != nil {
			return err
		}
	}
	if m.buffering {
		l.buffering, err = pluginserver.CtxValue(kong, bufferingKey)
	}
	return err
}

// request is what the rules and rates look at, where there are any.
func (l *look) request(s *settings, rules *remote.Snapshot) *remote.Request {
	if !rules.Governs() && !rules.Samples() {
		return &remote.Request{}
	}
	user, company := s.identity.identify(&l.x)
	return &remote.Request{
		User: user, Company: company, Verb: l.method, Route: l.path, ContentType: l.contentType,
		IP:     clientIP(l.x.request, s.requestMasks, l.x.clientIP),
		Header: func(name string) string { return l.x.request.joined(strings.ToLower(name)) },
	}
}

// plainBody is the request's body without its codings; one that cannot be decoded stays as it is.
func (l *look) plainBody() []byte { return plainBody(l.body, l.contentEncoding) }

func plainBody(body []byte, encoding string) []byte {
	codings := content.Codings(encoding)
	if len(codings) == 0 {
		return body
	}
	plain, err := content.Decode(body, codings, governedBytes)
	if err != nil {
		return body
	}
	return plain
}

// Variables of nginx.
const (
	requestIDVariable = "kong_request_id"
	codingVariable    = "http_content_encoding"
)
