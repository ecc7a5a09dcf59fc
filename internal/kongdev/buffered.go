package kongdev

import (
	"bytes"
	"io"
	"net/http"
	"slices"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// proxyBuffered is Kong's buffered proxying: the whole request body is read,
// the whole response fetched, the response handlers run, then it is sent.
func (q *request) proxyBuffered() {
	if !q.readBody() {
		return
	}
	status, complete := q.fetch()
	q.upstreamStatus = "" // the main request has not asked an upstream itself
	if status == statusClientGone {
		q.upstreamFailed(status)
		return
	}
	if !complete && q.in.Method != http.MethodHead {
		q.phase = phaseError
		q.answer(q.unexpected(status))
		return
	}
	b := &q.buffered
	q.phase = phaseResponse
	q.times.responseStart = nowMS()
	q.times.waiting = q.times.responseStart - q.times.balancerEnd
	if err := checkStatus(b.status); err != nil { // Kong sets it as a plugin would
		q.gw.log.Printf(errorlog.Err, "%v: the upstream's status is %d, request_id: %q", err, b.status, q.id)
		q.answerError(err)
		return
	}
	q.status = b.status
	names := map[string]bool{}
	for _, h := range b.header {
		if !names[h.Key] {
			names[h.Key] = true
			q.setHeader(h.Name, b.header.Values(h.Key)...)
		}
	}
	if err := q.responsePhase(); err != nil {
		q.answerError(err)
		return
	}
	q.send(b.body)
}

// proxiedMethod is the method that the upstream gets. Kong fetches a buffered
// response by a subrequest, which knows no other methods than set_method does
// and makes them GET.
func (q *request) proxiedMethod() string {
	if truthy(q.ctx.bufferedProxying) && !slices.Contains(settableMethods, q.method) {
		return http.MethodGet
	}
	return q.method
}

// fetch gets the upstream's response into memory; complete is false when it
// could not be reached or broke off.
func (q *request) fetch() (status int, complete bool) {
	x, status := q.roundTrip()
	if x == nil {
		return status, false
	}
	defer x.done()
	b := &q.buffered
	b.done, b.status = true, x.StatusCode
	b.header = upstreamLines(x.Response)
	q.upstreamHeaders = b.header
	var body bytes.Buffer
	if x.ContentLength > 0 && x.ContentLength < 1<<20 {
		body.Grow(int(x.ContentLength))
	}
	buf := q.gw.buffers.Get().(*[16 << 10]byte)[:]
	defer q.gw.buffers.Put((*[16 << 10]byte)(buf))
	for {
		n, err := x.Body.Read(buf)
		x.alive()
		body.Write(buf[:n])
		if err == io.EOF {
			b.body = body.Bytes()
			return b.status, true
		}
		if err != nil {
			return http.StatusBadGateway, false
		}
	}
}
