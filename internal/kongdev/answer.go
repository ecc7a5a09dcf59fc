package kongdev

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/lua"
)

// setHeader is ngx.header[name] = values: underscores become dashes, no values
// remove the header. Transfer-Encoding cannot be set.
func (q *request) setHeader(name string, values ...string) {
	name = strings.ReplaceAll(name, "_", "-")
	if name == "" {
		return
	}
	if strings.EqualFold(name, "transfer-encoding") {
		q.gw.log.Printf(errorlog.Warn, "manually setting Transfer-Encoding. Ignored.")
		return
	}
	if len(values) > 1 && singular[strings.ToLower(name)] {
		values = values[len(values)-1:] // each takes the place of the one before
	}
	q.response.Set(cleanName(name), values...)
}

// addHeader is ngx.resp.add_header: one more line, or the place of the only one.
func (q *request) addHeader(name, value string) {
	name = strings.ReplaceAll(name, "_", "-")
	if singular[strings.ToLower(name)] {
		q.setHeader(name, value)
		return
	}
	q.response.Add(cleanName(name), value)
}

// checkLength refuses what nginx cannot take for a Content-Length.
func checkLength(name string, values []string) error {
	if !strings.EqualFold(strings.ReplaceAll(name, "_", "-"), "content-length") {
		return nil
	}
	for _, v := range values {
		if _, err := strconv.ParseUint(v, 10, 63); err != nil {
			return lua.Raise("failed to set header")
		}
	}
	return nil
}

// answer is Kong's own answer: from an Exit, an error page, a delayed response.
func (q *request) answer(r *kongReply) {
	q.applyReply(r)
	q.send(q.answerGRPC(r.body))
}

// applyReply puts an answer's status and headers into the response.
func (q *request) applyReply(r *kongReply) {
	q.status = r.status
	length := false
	if r.headers != nil {
		for name, v := range r.headers.Fields {
			values, _ := headerValues(name, v, true) // checked before
			q.setHeader(name, values...)
			if n := strings.ToLower(strings.ReplaceAll(name, "_", "-")); n == "content-length" {
				length = true
			}
		}
	}
	if !length {
		q.setHeader("Content-Length", strconv.Itoa(len(r.body)))
	}
}

// answerPage is kong.response.error outside of a plugin.
func (q *request) answerPage(status int, message string) {
	q.ctx.exited = true
	reply, _ := q.errorReply(status, message, nil) // the status is one of ours
	q.answer(reply)
}

// answerError answers after an event ended the request in rewrite or response:
// by the plugin's Exit, by Kong's 500, or by nginx's error page.
func (q *request) answerError(err error) {
	var exit *exitSignal
	var server *serverError
	switch {
	case errors.As(err, &exit):
		q.answer(exit.reply)
	case errors.As(err, &server):
		q.ctx.exited = true
		reply, _ := q.errorReply(500, nil, nil)
		q.answer(reply)
	default:
		q.phase = phaseError
		q.ctx.unexpected = true
		q.answer(q.unexpected(500))
	}
}

// send writes a complete response.
func (q *request) send(body []byte) {
	bodyless := q.in.Method == http.MethodHead || q.status == 204 || q.status == 304 || q.status < 200
	size := int64(len(body))
	if v, ok := q.response.Get("content-length"); ok {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n != size && !bodyless {
			q.response.Set("Content-Length", strconv.FormatInt(size, 10)) // Go would break the connection, as clients of Kong see it break
		}
	} else {
		size = -1
	}
	q.writeHead(size, bodyless)
	if !bodyless {
		q.writeBody(body, size < 0)
	}
	q.finishBody(size < 0 && !bodyless)
}

// writeHead runs the header filter and sends status and headers; size is -1
// when the body goes out in chunks.
func (q *request) writeHead(size int64, bodyless bool) {
	q.headerFilter()
	q.out.begun = true
	if size < 0 && !bodyless && q.unread() {
		q.in.Close = true // the end of this answer would wait for the rest of the body
	}
	h := q.out.Header()
	for i := range q.response {
		line := &q.response[i]
		name := line.Name // as it was given: Kong keeps its case
		if canonical := http.CanonicalHeaderKey(name); ownHeaders[canonical] {
			name = canonical
		}
		h[name] = append(h[name], line.Value)
	}
	if size < 0 && !bodyless && q.in.ProtoMajor == 1 && q.in.ProtoMinor == 0 { // the end of the connection is that of the body
		q.in.Close, q.out.toEnd = true, true
		h["Transfer-Encoding"] = []string{"identity"} // for Go's server: no chunks; it is not sent
	}
	length := len("HTTP/1.1 ") + 3 + len(" \r\n\r\n") + len(q.reasonPhrase()) + q.response.Size()
	if q.in.Close {
		h["Connection"] = []string{"close"}
		length += len("Connection: close\r\n")
	} else {
		h["Connection"] = []string{"keep-alive"}
		length += len("Connection: keep-alive\r\n")
	}
	if _, ok := q.response.Get("date"); !ok {
		length += len("Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")
	}
	if size < 0 && !bodyless && !q.out.toEnd {
		q.response.Set("Transfer-Encoding", "chunked") // for those who look at the headers in log
		length += len("Transfer-Encoding: chunked\r\n")
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // nginx guesses none
	}
	q.out.sent += length
	if q.head != nil {
		q.client.heads.SayStatus(q.status, q.reasonPhrase())
	}
	q.out.WriteHeader(q.status)
	if q.status < 200 && q.status != http.StatusSwitchingProtocols {
		q.out.broken = true // no answer follows, as in nginx: the client must not wait for one
	}
}

// ownHeaders are those that Go's server looks at, and finds by this case only.
var ownHeaders = map[string]bool{ // read-only
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Date": true, "Trailer": true, "Transfer-Encoding": true,
}

// reasonPhrase is what follows the status: the upstream's as it came, else nginx's.
func (q *request) reasonPhrase() string {
	if status, text, _ := strings.Cut(q.upstreamReason, " "); status == strconv.Itoa(q.status) {
		return text
	}
	return nginxStatusText(q.status)
}

// nginxStatusText is the reason phrase as nginx has it: it has fewer.
func nginxStatusText(status int) string {
	switch status {
	case 302:
		return "Moved Temporarily"
	case 405:
		return "Not Allowed"
	case 408:
		return "Request Time-out"
	case 413:
		return "Request Entity Too Large"
	case 414:
		return "Request-URI Too Large"
	case 416:
		return "Requested Range Not Satisfiable"
	case 503:
		return "Service Temporarily Unavailable"
	case 504:
		return "Gateway Time-out"
	case 203, 205, 207, 208, 226, 300, 305, 407, 417, 418, 422, 423, 424, 425, 426, 428, 431, 451, 506, 508, 510, 511:
		return ""
	}
	return http.StatusText(status)
}

// writeBody sends a piece of the body and reports whether the client took it.
func (q *request) writeBody(b []byte, chunked bool) bool {
	if len(b) == 0 {
		return true
	}
	n, ok := q.out.send(b)
	q.sentBytes += n
	q.out.sent += n
	if chunked && !q.out.toEnd {
		q.out.sent += len(strconv.FormatInt(int64(n), 16)) + len("\r\n\r\n")
	}
	return ok
}

// finishBody hands everything to the client before the log phase begins.
func (q *request) finishBody(chunked bool) {
	if chunked && !q.out.toEnd {
		q.out.sent += len("0\r\n\r\n")
	}
	q.out.flush()
	if q.ctx.proxied {
		begin := q.times.headerStart
		if q.times.responseStart > 0 {
			begin = q.times.responseStart
		}
		q.times.receive = nowMS() - begin
	}
}

// headerFilter runs the header filters of plugins and adds Kong's own headers.
func (q *request) headerFilter() {
	q.times.headerStart = nowMS()
	q.headerFilters()
	q.kongHeaders()
}

// kongHeaders sets Kong's own headers, after those of every plugin.
func (q *request) kongHeaders() {
	t := &q.times
	begin := t.headerStart
	if t.responseStart > 0 {
		begin = t.responseStart
	}
	if q.ctx.proxied {
		if t.waiting < 0 {
			end := t.balancerEnd
			if end == 0 {
				end = t.accessEnd
			}
			t.waiting = begin - end
		}
		if t.proxyLatency < 0 {
			t.proxyLatency = begin - q.start
		}
		q.response.Set("X-Kong-Upstream-Latency", strconv.FormatInt(t.waiting, 10))
		q.response.Set("X-Kong-Proxy-Latency", strconv.FormatInt(t.proxyLatency, 10))
		via := "1.1 " + serverHeader
		if v, ok := q.upstreamHeaders.Get("via"); ok {
			via = v + ", " + via
		}
		q.response.Set("Via", via)
		if _, ok := q.response.Get("server"); !ok {
			q.response.Set("Server", serverHeader)
		}
	} else {
		if t.responseLatency < 0 {
			t.responseLatency = begin - q.start
		}
		q.response.Set("X-Kong-Response-Latency", strconv.FormatInt(t.responseLatency, 10))
		q.response.Set("Server", serverHeader)
	}
	q.response.Set("X-Kong-Request-Id", q.id)
}
