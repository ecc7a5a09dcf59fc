package moesif

import (
	"errors"
	"math"
	"strconv"
	"time"

	"kong-go-plugins/moesif/rawjson"
)

// An exchange is one request with its response: everything that an event is made of.
type exchange struct {
	requestID string
	method    string
	url       string // scheme://host:port and the request target
	request   headers
	secret    headers // the request headers of which Kong shows only that they are there, where needed; never sent
	status    int
	response  headers
	sent      int64 // bytes sent to the client, headers included; 0 when unknown
	started   time.Time
	took      time.Duration
	clientIP  string

	answeredByKong bool // by Kong or a plugin, not by the upstream

	consumer      *consumer
	authenticated bool // a credential was accepted; its id below, the credential itself is asked for
	credentialID  string
	credentialKey string

	routeName   string
	routeHosts  []string
	serviceName string

	transactionID string // the event's own
	blockedBy     string // the governance rule that answered the request
	weight        int    // how many requests the event stands for; 0 is 1

	requestBody  []byte
	responseBody []byte
}

// A consumer is Kong's consumer; unset members are "".
type consumer struct{ ID, Username, CustomID string }

var errNotAnObject = errors.New("kong's serialized log is not a JSON object")

// readExchange reads Kong's serialized log, as far as it is used. A member of an unexpected type is left unset: another
// plugin can change any of them, and an event without it is better than none. Invalid UTF-8 becomes U+FFFD.
func readExchange(log []byte, now time.Time) (*exchange, error) {
	if !rawjson.IsObject(log) || !rawjson.Readable(log) {
		return nil, errNotAnObject
	}
	x := &exchange{}
	var target string
	var startedAt float64
	h := newHeaderReader()
	rawjson.Members(string(log), func(name, v string) { // all texts below are parts of this one
		switch name {
		case "request":
			target = x.readRequest(v, &h)
		case "response":
			x.readResponse(v, &h)
		case "latencies":
			rawjson.Members(v, func(name, v string) {
				if d := numberValue(v); name == "request" && d > 0 && d < maxTookMillis {
					x.took = time.Duration(math.Round(d)) * time.Millisecond
				}
			})
		case "source":
			x.answeredByKong = textValue(v) == "kong"
		case "started_at":
			startedAt = numberValue(v)
		case "client_ip":
			x.clientIP = textValue(v)
		case "consumer":
			x.consumer = readConsumer(v)
		case "authenticated_entity":
			if x.authenticated = rawjson.IsObject(v); x.authenticated {
				x.credentialID = textIn(v, "id")
			}
		case "route":
			x.readRoute(v)
		case "service":
			x.serviceName = textIn(v, "name")
		}
	})
	if x.url == "" {
		x.url = target
	}
	if startedAt > 0 && startedAt < maxStartMillis {
		x.started = time.UnixMilli(int64(startedAt))
	} else {
		x.started = now.Add(-x.took)
	}
	return x, nil
}

// readRequest returns the request's target besides.
func (x *exchange) readRequest(object string, h *headerReader) (target string) {
	rawjson.Members(object, func(name, v string) {
		switch name {
		case "id":
			x.requestID = textValue(v)
		case "url":
			x.url = textValue(v)
		case "uri":
			target = textValue(v)
		case "method":
			x.method = textValue(v)
		case "headers":
			x.request = h.read(v)
		}
	})
	return target
}

func (x *exchange) readResponse(object string, h *headerReader) {
	rawjson.Members(object, func(name, v string) {
		switch name {
		case "status":
			if status := numberValue(v); status > 0 && status < 1000 {
				x.status = int(status)
			}
		case "size":
			x.sent, _ = strconv.ParseInt(v, 10, 64) // 0 when it is text
		case "headers":
			x.response = h.read(v)
		}
	})
}

func (x *exchange) readRoute(object string) {
	rawjson.Members(object, func(name, v string) {
		switch name {
		case "name":
			x.routeName = textValue(v)
		case "hosts":
			rawjson.Elements(v, func(host string) {
				if rawjson.IsString(host) {
					x.routeHosts = append(x.routeHosts, textValue(host))
				}
			})
		}
	})
}

func readConsumer(object string) *consumer {
	if !rawjson.IsObject(object) {
		return nil
	}
	return &consumer{ID: textIn(object, "id"), Username: textIn(object, "username"), CustomID: textIn(object, "custom_id")}
}

// textValue returns a JSON text decoded, "" for another value.
func textValue(v string) string { return rawjson.Unquote(v) }

// textIn returns a member that is a text.
func textIn(object, name string) (found string) {
	rawjson.Members(object, func(n, v string) {
		if n == name {
			found = textValue(v)
		}
	})
	return found
}

// numberValue returns a JSON number, 0 for another value.
func numberValue(v string) float64 {
	if v == "" || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return 0
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil {
		return 0
	}
	return n
}

// Bounds of Kong's times. No event ends after the year 9999, beyond which RFC 3339 has no time.
const (
	maxTookMillis  = 365 * 24 * 3600 * 1000
	maxStartMillis = 253402300799999 - maxTookMillis
)

// token returns the first value of a request header that is not blank, the real one of a redacted header.
func (x *exchange) token(name string) string {
	if v := x.secret.first(name); v != "" {
		return v
	}
	v := x.request.first(name)
	if v == redacted && isRedacted(name) {
		return ""
	}
	return v
}

// isRedacted reports whether Kong writes REDACTED for the values of a header.
func isRedacted(name string) bool { return name == "authorization" || name == "proxy-authorization" }
