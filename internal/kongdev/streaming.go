package kongdev

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/header"
)

// singular are the response headers that nginx keeps one of: the upstream's
// replaces one that a plugin set before.
var singular = map[string]bool{ // read-only
	"content-type": true, "content-length": true, "content-encoding": true, "date": true, "server": true,
	"last-modified": true, "etag": true, "e-tag": true, "expires": true, "accept-ranges": true, "location": true,
	"content-range": true, "refresh": true,
}

// notPassed are the upstream's response headers that nginx keeps to itself.
var notPassed = map[string]bool{ // read-only
	"connection": true, "keep-alive": true, "transfer-encoding": true, "trailer": true, "upgrade": true,
	"x-accel-expires": true, "x-accel-redirect": true, "x-accel-limit-rate": true, "x-accel-buffering": true, "x-accel-charset": true,
	"status": true, "x-pad": true, "proxy-connection": true,
}

// upstreamLines are an upstream response's headers as nginx passes them on.
func upstreamLines(resp *http.Response) header.List {
	drop := map[string]bool{}
	for _, v := range resp.Header["Connection"] {
		for name := range strings.SplitSeq(strings.ToLower(v), ",") {
			drop[strings.TrimSpace(name)] = true
		}
	}
	lines := header.NewList("", resp.Header)
	return slices.DeleteFunc(lines, func(h header.Line) bool { return notPassed[h.Key] || drop[h.Key] })
}

// proxyStreaming passes the upstream's response on as it comes.
func (q *request) proxyStreaming() {
	if q.route().RequestBuffering && !q.readBody() {
		return
	}
	x, status := q.roundTrip()
	if x == nil {
		q.upstreamFailed(status)
		return
	}
	defer x.done()
	if x.StatusCode == http.StatusSwitchingProtocols {
		q.switchProtocols(x)
		return
	}
	q.upstreamHeaders = upstreamLines(x.Response)
	q.status, q.upstreamReason = x.StatusCode, x.Status
	for _, h := range q.upstreamHeaders {
		if singular[h.Key] {
			q.response.Set(h.Name, h.Value)
		} else {
			q.response.Add(h.Name, h.Value)
		}
	}
	size := x.ContentLength
	bodyless := q.in.Method == http.MethodHead || q.status == 204 || q.status == 304
	q.phase = phaseHeader
	q.writeHead(size, bodyless)
	broken := false
	if !bodyless {
		broken = !q.copyBody(x, size < 0)
	}
	q.finishBody(size < 0 && !bodyless)
	switch {
	case q.out.gone:
		q.out.broken = true
	case broken:
		q.gw.log.Printf(errorlog.Err, "upstream prematurely closed connection, request_id: %q", q.id)
		q.out.broken = true
	}
}

// copyBody passes the body on, piece by piece when its length is unknown. It
// reports whether the body was complete.
func (q *request) copyBody(x *exchange, chunked bool) bool {
	buf := q.gw.buffers.Get().(*[16 << 10]byte)[:]
	defer q.gw.buffers.Put((*[16 << 10]byte)(buf))
	for read := int64(0); ; {
		n, err := x.Body.Read(buf)
		x.alive()
		if !q.writeBody(buf[:n], chunked) {
			return false
		}
		if err == io.EOF {
			return true
		}
		if read += int64(n); n > 0 && read != x.ContentLength { // more may be long in coming
			q.out.flush()
		}
		if err != nil {
			return false
		}
	}
}

// readBody reads the request body before the upstream is asked; false when that
// failed and the request is over.
func (q *request) readBody() bool {
	err := q.body.load()
	if err == nil {
		return true
	}
	q.gw.log.Printf(errorlog.Info, "%v, request_id: %q", err, q.id)
	status := http.StatusBadRequest
	if errors.Is(err, errClientTimeout) {
		status = http.StatusRequestTimeout
		q.in.Close = true
	} else if q.in.Context().Err() != nil {
		status = statusClientGone
	}
	q.upstreamFailed(status)
	return false
}

// upstreamFailed answers with Kong's error page; nobody is left to read a 499.
func (q *request) upstreamFailed(status int) {
	if status == statusClientGone {
		q.status = status
		return
	}
	q.phase = phaseError
	q.ctx.unexpected = true
	q.answer(q.unexpected(status))
}

// switchProtocols joins client and upstream after a 101.
func (q *request) switchProtocols(x *exchange) {
	upstream, ok := x.Body.(io.ReadWriteCloser)
	hijacker, can := q.out.ResponseWriter.(http.Hijacker)
	if !ok || !can {
		q.upstreamFailed(http.StatusBadGateway)
		return
	}
	q.status = http.StatusSwitchingProtocols
	q.upstreamHeaders = upstreamLines(x.Response)
	for _, h := range q.upstreamHeaders {
		q.response.Add(h.Name, h.Value)
	}
	q.headerFilter()
	if q.client.heads != nil {
		q.client.heads.Raw()
	}
	client, buffered, err := hijacker.Hijack()
	if err != nil {
		q.upstreamFailed(http.StatusBadGateway)
		return
	}
	defer func() { _ = client.Close() }()
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " + x.Header.Get("Upgrade") + "\r\n"
	for _, h := range q.response {
		head += h.Name + ": " + h.Value + "\r\n"
	}
	if _, err := io.WriteString(client, head+"\r\n"); err != nil {
		return
	}
	q.out.sent += len(head) + 2
	_ = client.SetDeadline(time.Time{})
	cut := func() {
		_ = client.Close()
		_ = upstream.Close()
	}
	for _, end := range []context.Context{q.gw.closing, x.ctx} {
		stop := context.AfterFunc(end, cut)
		defer stop()
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(upstream, buffered)
		_ = upstream.Close()
	}()
	n, _ := io.Copy(client, &watchedReader{upstream, x.alive})
	q.out.sent += int(n)
	_ = client.Close()
	<-up
}

// A watchedReader tells when something arrived.
type watchedReader struct {
	io.Reader
	alive func()
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.alive()
	return n, err
}
