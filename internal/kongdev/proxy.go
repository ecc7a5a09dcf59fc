package kongdev

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// A try is one attempt to reach the upstream, as Log.Serialize lists it.
type try struct {
	start   time.Time
	ip      string
	port    int
	latency time.Duration
	state   string // "failed" when it failed
	code    int
}

func (t *try) address() string { return net.JoinHostPort(t.ip, strconv.Itoa(t.port)) }

// clientWriter knows what has been sent to the client.
type clientWriter struct {
	http.ResponseWriter
	sent   int  // bytes, as nginx would have sent them
	begun  bool // the head has been written
	broken bool // the upstream broke off in the middle of the body
	failed bool // a plugin server's failure or a Lua error caused this answer
	gone   bool // the client takes nothing any more
	toEnd  bool // the body has neither a length nor chunks

	control *http.ResponseController
}

// ServeHTTP takes one client request through Kong's phases.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(clientConnKey{}).(*clientConn); ok && c.heads != nil {
		defer c.heads.Done()
	}
	if q := g.serve(w, r); q != nil && !q.linger() {
		q.abort() // what may still come would be taken for the next request
	}
}

// serve does all of a request, its log events started; nil when the gateway is
// closing.
func (g *Gateway) serve(w http.ResponseWriter, r *http.Request) *request {
	gen := g.enter()
	if gen == nil {
		http.Error(w, "the gateway is closing", http.StatusServiceUnavailable)
		return nil
	}
	defer gen.active.leave()
	q := newRequest(g, gen, w, r)
	defer q.end()
	q.run()
	g.counters.answered(q.out.failed) // before the trace tells of the answer: whoever then looks finds it counted
	q.logPhase()
	q.body.remove()
	if q.out.broken || q.status == statusClientGone && !q.out.begun {
		q.abort() // the upstream broke off: the client must see that; or the client did, and gets nothing
	}
	return q
}

// enter is the running generation with its gate entered, nil when the gateway
// is closing.
func (g *Gateway) enter() *generation {
	for gen := g.gen.Load(); ; {
		if gen.active.enter() {
			return gen
		}
		next := g.gen.Load()
		if next == gen {
			return nil
		}
		gen = next // gen was replaced and ended just now
	}
}

// run answers the request. Each step that answers ends it.
func (q *request) run() {
	if status := q.refused(); status != 0 {
		q.refuse(status)
		return
	}
	if err := q.rewritePhase(); err != nil {
		q.answerError(err)
		return
	}
	q.phase = phaseAccess
	if refusal := q.findRoute(); refusal != nil {
		q.ctx.exited = true
		q.answer(refusal)
		return
	}
	q.accessPhase()
	if q.delayed() {
		q.times.accessEnd = nowMS()
		q.times.responseLatency = q.times.accessEnd - q.start
		q.ctx.bufferedProxying = nil
		reply, err := q.ctx.exit, error(nil)
		if reply == nil {
			reply, err = q.delayedReply()
		}
		if err != nil {
			q.gw.log.Printf(errorlog.Err, "delayed_response: %s, request_id: %q", err, q.id)
			q.answerError(err)
			return
		}
		q.ctx.exited = true
		q.answer(reply)
		return
	}
	if q.service() == nil {
		q.ctx.bufferedProxying = nil
		q.times.accessEnd = nowMS()
		q.answerPage(503, "no Service found with those values")
		return
	}
	if err := q.chooseTarget(); err != nil {
		q.answerPage(503, err.Error())
		return
	}
	q.times.accessEnd = nowMS()
	q.ctx.proxied = true
	if truthy(q.ctx.bufferedProxying) {
		if upgrade := q.websocket(); upgrade == "" {
			q.proxyBuffered()
			return
		} else {
			q.gw.log.Printf(errorlog.Notice, "response buffering was turned off: connection upgrade (%s)", upgrade)
			q.ctx.bufferedProxying = nil
		}
	}
	q.proxyStreaming()
}

// findRoute matches the request and sets what the match decides. When that is
// an answer of Kong's, it is returned and nothing is set.
func (q *request) findRoute() *kongReply {
	in := *q.in
	in.Method = q.method
	in.Host, _ = q.headers.Get("host") // and not the target's, which is the host for all else
	if q.gen.router.ByHeaders {
		in.Header = q.headers.Canonical()
	}
	m, ok := q.gen.router.Match(&in)
	if !ok {
		reply, _ := q.errorReply(404, "no Route matched with those values", nil) // the status is one of ours
		return reply
	}
	if refusal := q.refuseProtocol(m.Route); refusal != nil {
		return refusal
	}
	q.match = m
	q.ctx.hasBalancerData = true
	q.upstreamPath = m.UpstreamPath
	q.upstreamScheme = "http"
	if s := m.Service; s != nil {
		q.upstreamScheme = s.Protocol
		q.target = target{s.Host, s.Port}
		q.byAddress = q.target.isAddress()
	}
	if m.Route.PreserveHost {
		q.upstreamHost, _ = q.headers.Get("host")
	}
	return nil
}

// chooseTarget picks the target behind an upstream entity's name and resolves
// it. The error is Kong's text.
func (q *request) chooseTarget() error {
	name := q.target.host
	if b := q.gen.balancers[name]; b != nil && !q.byAddress {
		t, ok := b.pick()
		if !ok {
			return errors.New("failure to get a peer from the ring-balancer")
		}
		if b.hostHeader != "" {
			name = b.hostHeader
		} else {
			name = t.host
		}
		q.target = t
	}
	if q.byAddress {
		// Nothing is looked up; a name fails when it is connected to.
	} else if _, err := q.gw.proxy.resolve(q.in.Context(), q.target); err != nil {
		q.gw.log.Printf(errorlog.Err, "[dns] %v", err)
		return errors.New("name resolution failed")
	}
	if q.upstreamHost == "" {
		q.upstreamHost = name
		plain := q.upstreamScheme == "http"
		if p := q.target.port; p != 80 && p != 443 || p == 80 && !plain || p == 443 && plain {
			q.upstreamHost += ":" + strconv.Itoa(p)
		}
	}
	return nil
}

// websocket is "websocket" when the client asks for that upgrade.
func (q *request) websocket() string {
	if v, _ := q.headers.Get("upgrade"); strings.EqualFold(v, "websocket") {
		return "websocket"
	}
	return ""
}

// errReadTimeout ends an exchange whose upstream was silent too long.
var errReadTimeout = errors.New("upstream timed out") // read-only

// An exchange is one answered request to the upstream. done must be called
// when its body has been read.
type exchange struct {
	*http.Response
	ctx   context.Context // ends when nothing has arrived for too long
	alive func()          // to be called when something arrived
	done  func()
}

// roundTrip sends the request to the upstream, again on another connection when
// it cannot be reached. The status says how it failed: 502, 504, or 499 when the
// client went away.
func (q *request) roundTrip() (*exchange, int) {
	s := q.service()
	connect := time.Duration(s.ConnectTimeout) * time.Millisecond
	silence := time.Duration(s.ReadTimeout) * time.Millisecond
	if connect <= 0 {
		connect = time.Minute
	}
	if silence <= 0 {
		silence = time.Minute
	}
	transport := q.gw.proxy.get(connect)
	q.phase = phaseBalancer
	header := q.upstreamHeader()
	for {
		t := &try{start: time.Now()}
		q.tries = append(q.tries, t)
		if q.byAddress && !q.target.isAddress() {
			t.ip, t.port, t.latency = q.target.host, q.target.port, time.Since(t.start)
			q.times.balancerEnd = nowMS()
			q.times.proxyLatency = q.times.balancerEnd - q.start
			q.gw.log.Printf(errorlog.Err, "failed to set the current peer (address: %s port: %d): no host allowed, request_id: %q"+
				" (the service's host is an address, and then Kong takes no name from set_target or set_upstream)", t.ip, t.port, q.id)
			return nil, http.StatusInternalServerError
		}
		q.trace.tryBegins()
		addr, err := q.gw.proxy.resolve(q.in.Context(), q.target)
		if err == nil {
			ip, port, _ := net.SplitHostPort(addr)
			t.ip = ip
			t.port, _ = strconv.Atoi(port)
			if _, local := q.gw.hosts.addrs[strings.ToLower(q.target.host)]; local {
				t.port = q.target.port
			}
		}
		t.latency = time.Since(t.start)
		q.times.balancerEnd = nowMS()
		if q.times.proxyLatency < 0 {
			q.times.proxyLatency = q.times.balancerEnd - q.start
		}
		ctx, cancel := context.WithCancelCause(q.in.Context())
		timer := time.AfterFunc(silence, func() { cancel(errReadTimeout) })
		connected := false
		trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
		req, err := q.upstreamRequest(httptrace.WithClientTrace(ctx, trace), header)
		var resp *http.Response
		if err == nil {
			resp, err = transport.RoundTrip(req)
		}
		if err == nil {
			q.addUpstreamStatus(resp.StatusCode)
			q.trace.tryEnds(t.address(), resp.StatusCode, false)
			return &exchange{Response: resp, ctx: ctx, alive: func() { timer.Reset(silence) }, done: func() {
				timer.Stop()
				_ = resp.Body.Close()
				cancel(nil)
			}}, 0
		}
		timer.Stop()
		status := http.StatusBadGateway
		switch {
		case q.in.Context().Err() != nil:
			status = statusClientGone
		case errors.Is(context.Cause(ctx), errReadTimeout):
			status = http.StatusGatewayTimeout
		default:
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				status = http.StatusGatewayTimeout
			}
		}
		cancel(nil)
		t.state, t.code = "failed", status
		q.trace.tryEnds(t.address(), status, true)
		q.addUpstreamStatus(status)
		if status == statusClientGone {
			return nil, status
		}
		q.gw.log.Printf(errorlog.Err, "upstream %s://%s:%d: %v, request_id: %q", q.upstreamScheme, q.target.host, q.target.port, err, q.id)
		if connected || len(q.tries) > s.Retries || !retryable(err) {
			return nil, status
		}
	}
}

// retryable says whether the upstream was not reached at all, so that another
// try is safe.
func retryable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED)
}

func (q *request) addUpstreamStatus(status int) {
	if q.upstreamStatus != "" {
		q.upstreamStatus += ", "
	}
	q.upstreamStatus += strconv.Itoa(status)
}

// hopHeaders are not passed on; the proxy sets some of them itself.
var hopHeaders = map[string]bool{ // read-only
	"host": true, "connection": true, "content-length": true, "transfer-encoding": true, "te": true, "via": true,
	"upgrade": true, "keep-alive": true, "expect": true, "proxy": true, "proxy-connection": true,
	"x-forwarded-for": true, "x-forwarded-proto": true, "x-forwarded-host": true, "x-forwarded-port": true,
	"x-forwarded-path": true, "x-forwarded-prefix": true, "x-real-ip": true, "x-kong-request-id": true,
}

// upstreamHeader is the header that Kong's nginx configuration sends.
func (q *request) upstreamHeader() http.Header {
	drop := map[string]bool{}
	if c, _ := q.headers.Get("connection"); c != "" && c != "keep-alive" && c != "close" && c != "upgrade" {
		for name := range strings.SplitSeq(strings.ToLower(c), ",") {
			drop[strings.TrimSpace(name)] = true
		}
	}
	h := make(http.Header, len(q.headers)+10)
	for i := range q.headers {
		line := &q.headers[i]
		if !hopHeaders[line.Key] && !drop[line.Key] {
			if strings.ContainsFunc(line.Value, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
				q.gw.log.Printf(errorlog.Warn, "the upstream does not get the header %q: kongdev cannot send its control characters, as Kong does", line.Name)
				continue
			}
			name := line.Name // as it was given: nginx keeps its case
			if line.Key == "user-agent" || line.Key == "accept-encoding" || line.Key == "range" {
				name = http.CanonicalHeaderKey(name) // else Go's client does not find it
			}
			h[name] = append(h[name], line.Value)
		}
	}
	if _, ok := q.headers.Get("user-agent"); !ok {
		h["User-Agent"] = nil // keeps Go's own away
	}
	h["Connection"] = []string{"keep-alive"}
	if q.websocket() != "" {
		h["Connection"] = []string{"keep-alive, Upgrade"}
		h["Upgrade"] = []string{"websocket"}
	}
	if te, _ := q.headers.Get("te"); strings.Contains(strings.ToLower(te), "trailers") {
		h["TE"] = []string{"trailers"}
	}
	via := q.inboundVersion() + " " + serverHeader
	if v, ok := q.headers.Get("via"); ok {
		via = v + ", " + via
	}
	h["Via"] = []string{via}
	forwarded := q.clientIP
	if v, ok := q.headers.Get("x-forwarded-for"); ok {
		forwarded = v + ", " + forwarded
	}
	path, _, _ := strings.Cut(q.uri, "?")
	h["X-Forwarded-For"] = []string{forwarded}
	h["X-Forwarded-Proto"] = []string{q.scheme()}
	h["X-Forwarded-Host"] = []string{q.host}
	h["X-Forwarded-Port"] = []string{strconv.Itoa(q.port)}
	h["X-Forwarded-Path"] = []string{path}
	if p := q.match.Prefix; p != "" && p != "/" {
		h["X-Forwarded-Prefix"] = []string{p}
	}
	h["X-Real-IP"] = []string{q.clientIP}
	h["X-Kong-Request-Id"] = []string{q.id}
	return h
}

// upstreamURI is the path and query that the upstream sees.
func (q *request) upstreamURI() string {
	if strings.HasSuffix(q.uri, "?") || q.args != "" {
		return q.upstreamPath + "?" + q.args
	}
	return q.upstreamPath
}

func (q *request) upstreamRequest(ctx context.Context, header http.Header) (*http.Request, error) {
	u := &url.URL{Scheme: q.upstreamScheme, Host: net.JoinHostPort(q.target.host, strconv.Itoa(q.target.port))}
	if u.Scheme != "https" {
		u.Scheme = "http"
	}
	if strings.ContainsAny(q.upstreamHost, " /") {
		// Go's client would cut it there and send what is left. Upstreams must see that it is none: they refuse a second line as well.
		header = header.Clone()
		header["host"] = []string{q.upstreamHost}
	}
	path, query, hasQuery := strings.Cut(q.upstreamURI(), "?")
	if strings.HasPrefix(path, "//") {
		u.Path, u.RawPath = path, path
	} else {
		u.Opaque = path
	}
	u.RawQuery, u.ForceQuery = query, hasQuery
	req := (&http.Request{
		Method: q.proxiedMethod(), URL: u, Host: q.upstreamHost, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if !q.body.read && !q.route().RequestBuffering {
		if q.in.ContentLength == 0 {
			req.Body = http.NoBody
			return req, nil
		}
		req.Body, req.ContentLength = io.NopCloser(q.body.src), q.in.ContentLength
		return req, nil
	}
	if err := q.body.load(); err != nil {
		return nil, err
	}
	body, size, err := q.body.open()
	if err != nil {
		return nil, err
	}
	req.Body, req.ContentLength = body, size
	req.GetBody = func() (io.ReadCloser, error) {
		body, _, err := q.body.open()
		return body, err
	}
	return req, nil
}
