package moesif

import (
	"net/http"
	"slices"
	"strings"

	"kong-go-plugins/moesif/content"
)

// A plan is what access does about a request's bodies.
type plan struct {
	keepRequest bool // the request's body belongs into the event
	readRequest bool // access must read it, since no response handler of ours will

	// At most one of them: Kong buffers each response where there is a response phase.
	exempt bool // the response need not be buffered
	demand bool // the response must be buffered
}

// planOf decides. kept is false when the event is certainly left out by sampling.
func planOf(s *settings, m mode, l *look, kept bool) plan {
	streams := isGRPC(l.contentType)
	var p plan
	p.keepRequest = kept && s.captureRequestBody && !streams && !s.skipTypes.Has(l.contentType)
	response := kept && s.captureResponseBody && !streams && !wantsEventStream(l.accept) && isBufferable(l.method)
	switch {
	case m.exempts():
		p.exempt = !response
		p.readRequest = p.exempt && p.keepRequest
	case m.onDemand():
		p.demand = response
		p.readRequest = p.keepRequest
	case !m.buffersAll():
		p.readRequest = p.keepRequest
	}
	p.readRequest = p.readRequest && !isCertainlyUnread(l, s.requestBodyLimit)
	return p
}

// wantsEventStream reports whether a client asks for server-sent events, which buffering would hold back until the last.
func wantsEventStream(accept string) bool {
	return strings.Contains(strings.ToLower(accept), "text/event-stream")
}

// isGRPC reports whether a request is gRPC's: Kong cannot buffer it, and it may send and receive at the same time.
func isGRPC(contentType string) bool {
	return strings.HasPrefix(content.MediaType(contentType), "application/grpc")
}

// isBufferable reports whether Kong knows the method where it buffers. It makes any other one a GET there.
// Source: the methods that nginx-Lua's subrequests know; tried on Kong 3.9.1.
func isBufferable(method string) bool {
	return method == "" || slices.Contains([]string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND",
		"PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE"}, method)
}

// isCertainlyUnread reports whether the request has no body, or one over the limit, as far as its headers tell.
func isCertainlyUnread(l *look, limit int64) bool {
	n := contentLength(headers{{"content-length", []string{l.contentLength}}})
	switch l.method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return n == 0 || n > limit // one that is chunked is as good as unknown
	}
	return l.contentLength == "0" || n > limit
}
