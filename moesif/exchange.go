package moesif

import (
	"errors"
	"math"
	"strconv"
	"sync"
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

	memory headerReader // of the headers
}

var exchanges = sync.Pool{New: func() any {
	return &exchange{memory: headerReader{fields: make([]headerField, 0, 32), values: make([]string, 0, 32)}}
}}

// release gives x back when nobody uses it, or a part of it, any more.
func (x *exchange) release() {
	memory := x.memory
	memory.reset()
	*x = exchange{memory: memory}
	exchanges.Put(x)
}

// A consumer is Kong's consumer; unset members are "".
type consumer struct{ ID, Username, CustomID string }

var errNotAnObject = errors.New("kong's serialized log is not a JSON object")

// readExchange reads Kong's serialized log, as far as it is used, in one pass. A member of an unexpected type is left unset:
// another plugin can change any of them, and an event without it is better than none. Invalid UTF-8 becomes U+FFFD.
// Whoever has the exchange releases it.
func readExchange(log string, now time.Time) (*exchange, error) {
	r := logReader{rawjson.NewReader(log)} // all texts below are parts of the log's
	if r.Next() != '{' {
		return nil, errNotAnObject
	}
	x := exchanges.Get().(*exchange)
	var target string
	var startedAt float64
	r.Members(func(name string) {
		switch name {
		case "request":
			target = r.request(x)
		case "response":
			r.response(x)
		case "latencies":
			r.Members(func(name string) {
				if name == "request" {
					if d := numberValue(r.Value()); d > 0 && d < maxTookMillis {
						x.took = time.Duration(math.Round(d)) * time.Millisecond
					}
				}
			})
		case "source":
			x.answeredByKong = r.Text() == "kong"
		case "started_at":
			startedAt = numberValue(r.Value())
		case "client_ip":
			x.clientIP = r.Text()
		case "consumer":
			x.consumer = r.consumer()
		case "authenticated_entity":
			if x.authenticated = r.Next() == '{'; x.authenticated {
				x.credentialID = r.textIn("id")
			}
		case "route":
			r.route(x)
		case "service":
			x.serviceName = r.textIn("name")
		}
	})
	if !r.Whole() {
		x.release()
		return nil, errNotAnObject
	}
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

// A logReader reads the parts of Kong's serialized log.
type logReader struct{ *rawjson.Reader[string] }

// request returns the request's target besides.
func (r *logReader) request(x *exchange) (target string) {
	r.Members(func(name string) {
		switch name {
		case "id":
			x.requestID = r.Text()
		case "url":
			x.url = r.Text()
		case "uri":
			target = r.Text()
		case "method":
			x.method = r.Text()
		case "headers":
			x.request = x.memory.read(r.Reader)
		}
	})
	return target
}

func (r *logReader) response(x *exchange) {
	r.Members(func(name string) {
		switch name {
		case "status":
			if status := numberValue(r.Value()); status > 0 && status < 1000 {
				x.status = int(status)
			}
		case "size":
			x.sent, _ = strconv.ParseInt(r.Value(), 10, 64) // 0 when it is text
		case "headers":
			x.response = x.memory.read(r.Reader)
		}
	})
}

func (r *logReader) route(x *exchange) {
	r.Members(func(name string) {
		switch name {
		case "name":
			x.routeName = r.Text()
		case "hosts":
			r.Elements(func() {
				if r.Next() == '"' {
					x.routeHosts = append(x.routeHosts, r.Text())
				}
			})
		}
	})
}

func (r *logReader) consumer() *consumer {
	if r.Next() != '{' {
		return nil
	}
	c := &consumer{}
	r.Members(func(name string) {
		switch name {
		case "id":
			c.ID = r.Text()
		case "username":
			c.Username = r.Text()
		case "custom_id":
			c.CustomID = r.Text()
		}
	})
	return c
}

// textIn reads an object and returns a member of it that is a text.
func (r *logReader) textIn(member string) (found string) {
	r.Members(func(name string) {
		if name == member {
			found = r.Text()
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
