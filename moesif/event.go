package moesif

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"time"

	"kong-go-plugins/moesif/rawjson"
)

// maxEventBytes is the largest event that the collector takes (1 MB, in the stricter reading of it).
const maxEventBytes = 1000000

// An encoder is memory for one event, used again for the next.
type encoder struct {
	event             []byte
	request, response bodyBuffers
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// maxKeptBytes is the largest memory of an encoder that is used again: a rare large event does not keep it for ever.
const maxKeptBytes = 1 << 20

// encodeEvent writes the event of one exchange as the collector wants it. It is a pure function; the result is always
// valid JSON in UTF-8, and is encoded once: batches only join it. An event that would be too large goes without the larger
// body, and if need be without both.
func encodeEvent(x *exchange, s *settings) []byte {
	e := encoders.Get().(*encoder)
	requestBody := captureBody(wireBody{x.requestBody, x.request.joined("content-type"), x.request.joined("content-encoding")},
		bodyRules{s.requestBodyLimit, s.decode, s.skipTypes, s.requestMasks, s.sendUnmaskable}, &e.request)
	responseBody := captureBody(wireBody{x.responseBody, x.response.joined("content-type"), x.response.joined("content-encoding")},
		bodyRules{s.responseBodyLimit, s.decode, s.skipTypes, s.responseMasks, s.sendUnmaskable}, &e.response)
	for {
		e.event = appendEvent(e.event[:0], x, s, requestBody, responseBody)
		if len(e.event) <= maxEventBytes || requestBody.empty() && responseBody.empty() {
			break
		}
		if requestBody.size() > responseBody.size() {
			requestBody = capturedBody{}
		} else {
			responseBody = capturedBody{}
		}
	}
	event := bytes.Clone(e.event) // it may wait in the queue for long
	if cap(e.event)+e.request.cap()+e.response.cap() <= maxKeptBytes {
		encoders.Put(e)
	}
	return event
}

// appendEvent writes the event with these bodies.
func appendEvent(b []byte, x *exchange, s *settings, requestBody, responseBody capturedBody) []byte {
	user, company := s.identity.identify(x)
	b = append(b, `{"request":{"time":"`...)
	b = appendTime(b, x.started)
	b = append(b, `","uri":`...)
	b = rawjson.AppendString(b, s.requestMasks.URL(x.url))
	b = append(b, `,"verb":`...)
	b = rawjson.AppendString(b, x.method)
	b = append(b, `,"headers":`...)
	b = x.request.appendTo(b, s.requestMasks)
	b = appendMember(b, "api_version", s.apiVersion)
	b = appendMember(b, "ip_address", clientIP(x.request, s.requestMasks, x.clientIP))
	b = requestBody.appendTo(b)

	b = append(b, `},"response":{"time":"`...)
	b = appendTime(b, x.started.Add(x.took))
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(x.status), 10)
	b = append(b, `,"headers":`...)
	b = x.response.appendTo(b, s.responseMasks)
	b = responseBody.appendTo(b)
	b = append(b, '}')

	b = appendMember(b, "session_token", s.session.token(x, b))
	b = appendMember(b, "user_id", user)
	b = appendMember(b, "company_id", company)
	b = appendMember(b, "transaction_id", x.transactionID)
	b = appendMember(b, "blocked_by", x.blockedBy)
	b = append(b, `,"direction":"Incoming","weight":`...)
	b = strconv.AppendInt(b, int64(max(x.weight, 1)), 10)
	b = append(b, `,"metadata":{"kong":`...)
	b = appendKong(b, x)
	return append(b, "}}"...)
}

// appendTime appends t as RFC 3339 in UTC with exactly three decimals. The format without decimals is one that the time
// package has a short way for.
func appendTime(dst []byte, t time.Time) []byte {
	millis := t.Nanosecond() / int(time.Millisecond)
	dst = t.UTC().AppendFormat(dst, time.RFC3339)
	dst = dst[:len(dst)-1] // the Z
	return append(dst, '.', '0'+byte(millis/100), '0'+byte(millis/10%10), '0'+byte(millis%10), 'Z')
}

// appendKong appends what Kong knows of the request's way.
func appendKong(dst []byte, x *exchange) []byte {
	dst = append(dst, '{')
	start := len(dst)
	if len(x.routeHosts) > 0 {
		dst = append(dst, `,"route_hosts":[`...)
		for i, h := range x.routeHosts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = rawjson.AppendString(dst, h)
		}
		dst = append(dst, ']')
	}
	dst = appendMember(dst, "route_name", x.routeName)
	dst = appendMember(dst, "service_name", x.serviceName)
	dst = appendMember(dst, "request_id", x.requestID)
	if len(dst) > start {
		dst = slices.Delete(dst, start, start+1) // the first comma
	}
	return append(dst, '}')
}

// appendMember appends a comma and a member, or nothing for "".
func appendMember(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return rawjson.AppendString(dst, value)
}
