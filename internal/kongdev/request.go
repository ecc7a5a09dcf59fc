package kongdev

import (
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"encoding/binary"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/header"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/nginx"
	"kong-go-plugins/internal/kongdev/router"
	"kong-go-plugins/internal/kongdev/uri"
)

// A request is what nginx and Kong hold for one client request. One goroutine
// works on it; log handlers work on copies of their own (see snapshot).
type request struct {
	gw     *Gateway
	gen    *generation
	worker *worker
	in     *http.Request
	head   *nginx.Head // nil with HTTP/2
	out    *clientWriter
	phase  phase

	id        string // kong_request_id
	start     int64  // when it arrived, in milliseconds since 1970
	uri       string // as the client sent it, with the query
	method    string // what the upstream will get
	args      string // the query, which setters may replace
	hasArgs   bool
	length    int         // of the request on the wire, without the body
	headers   header.List // what the upstream will get, less what the proxy adds
	body      body
	host      string // without the port
	port      int    // that the client reached
	clientIP  string
	clientTCP int // the client's port
	client    *clientConn
	onClient  int64 // the request's number on it

	match          router.Match
	upstreamScheme string
	upstreamPath   string
	upstreamHost   string // the Host header, when set by anything but the service
	target         target // where to proxy to
	byAddress      bool   // the service's host is an address: Kong takes every later target for one as well

	status   int         // of the response
	response header.List // its headers

	ctx       nginxContext
	shared    *sharedContext
	collected struct {
		done                   bool
		headers, response, log []*pluginConfig
	}
	serializeValues []serializeValue

	times           timings
	tries           []*try
	upstreamStatus  string // of every try, as nginx lists them; "" when not proxied or buffered
	upstreamHeaders header.List
	upstreamReason  string // the upstream's status with its reason phrase, when its response is passed on
	buffered        struct {
		done   bool
		status int
		header header.List
		body   []byte
	}
	sentBytes int

	trace   *LiveTrace
	endings []func() // what to do when the request has ended: abandoned connections, body file
	logOnce *serialized
}

// nginxContext is ngx.ctx: what Kong keeps for the request, and what plugins
// put beside it.
type nginxContext struct {
	consumer, credential        lua.Value
	bufferedProxying            lua.Value
	delayed                     lua.Value  // delayed_response as a plugin set it
	exit                        *kongReply // Kong's own delayed response
	exited, proxied, unexpected bool
	pluginID                    string
	hasBalancerData             bool
	extra                       map[string]lua.Value
}

// sharedContext is kong.ctx.shared. The log handlers of a request use the same one.
type sharedContext struct {
	mu     sync.Mutex
	values map[string]lua.Value
}

func (s *sharedContext) get(key string) lua.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[key]
}

func (s *sharedContext) set(key string, v lua.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v == nil {
		delete(s.values, key)
		return
	}
	if s.values == nil {
		s.values = map[string]lua.Value{}
	}
	s.values[key] = v
}

// timings are Kong's time stamps in milliseconds since 1970, or its durations
// in milliseconds; 0 is unset for a stamp, -1 for a duration.
type timings struct {
	accessEnd, balancerEnd, responseStart, headerStart, logStart int64
	waiting, proxyLatency, responseLatency, receive              int64
}

func nowMS() int64 { return time.Now().UnixMilli() }

func newRequest(g *Gateway, gen *generation, w http.ResponseWriter, r *http.Request) *request {
	q := newBareRequest(g, gen, w, r)
	q.trace = q.newTrace()
	return q
}

// newBareRequest is one that no trace tells about.
func newBareRequest(g *Gateway, gen *generation, w http.ResponseWriter, r *http.Request) *request {
	client, onClient := countOnConnection(r)
	head := client.head()
	if head != nil {
		r = head.Restore(r)
		if r.TLS == nil {
			r.TLS = client.heads.TLS
		}
	}
	q := &request{
		head: head, client: client, onClient: onClient, gw: g, gen: gen, in: r, id: randomID(), start: nowMS(), uri: uri.OriginForm(r.RequestURI), method: r.Method,
		worker: gen.workers[g.next.Add(1)%uint64(len(gen.workers))],
		shared: &sharedContext{}, status: http.StatusOK,
		times: timings{waiting: -1, proxyLatency: -1, responseLatency: -1, receive: -1},
	}
	q.out = &clientWriter{ResponseWriter: w, control: http.NewResponseController(w)}
	_, q.args, q.hasArgs = strings.Cut(q.uri, "?")
	host := r.Host
	if head != nil {
		q.headers, q.length = head.Headers, head.Length
		if head.Host != "" {
			host = head.Host
		}
	} else {
		q.headers = header.NewList(r.Host, r.Header)
		if r.ContentLength > 0 || r.Header.Get("Content-Length") != "" {
			q.headers.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
		}
		q.length = len(q.method) + len(q.uri) + len("  HTTP/1.1\r\n\r\n") + q.headers.Size()
	}
	q.body = newBody(g, r)
	if r.Body != http.NoBody {
		_ = q.out.control.EnableFullDuplex() // else an answer would wait for the body's end
		q.body.src = &patientBody{Reader: r.Body, control: q.out.control, wait: g.opts.bodyWait}
	}
	q.host = clientHost(host)
	q.port = router.LocalPort(r)
	ip, port, _ := net.SplitHostPort(r.RemoteAddr)
	q.clientIP = ip
	q.clientTCP, _ = strconv.Atoi(port)
	return q
}

// snapshot is the copy that a log handler works on.
func (q *request) snapshot() *request {
	s := *q
	s.phase = phaseLog
	s.ctx.extra = maps.Clone(q.ctx.extra)
	return &s
}

// atEnd runs f when the request has ended.
func (q *request) atEnd(f func()) { q.endings = append(q.endings, f) }

func (q *request) end() {
	for _, f := range q.endings {
		f()
	}
	q.endings = nil
}

// route and service are nil before routing and where nothing matched.
func (q *request) route() *declarative.Route     { return q.match.Route }
func (q *request) service() *declarative.Service { return q.match.Service }

func (q *request) consumerID() string {
	t, _ := q.ctx.consumer.(*lua.Table)
	id, _ := t.Get("id").(string)
	return id
}

// truthy is Lua's idea of a condition.
func truthy(v lua.Value) bool { return v != nil && v != false }

// randomID is 32 hexadecimal digits, unguessable enough for a request id.
func randomID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
}

// randomUUID is a version 4 UUID.
func randomUUID() string {
	b := []byte(randomID())
	b[12] = '4'
	b[16] = "89ab"[rand.IntN(4)]
	s := string(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
