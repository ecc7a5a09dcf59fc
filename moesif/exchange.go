package moesif

import (
	"encoding/json"
	"errors"
	"math"
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
type consumer struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	CustomID string `json:"custom_id"`
}

// serialized is Kong's serialized log as far as it is used. The members that Kong versions write in different types are
// kept raw.
type serialized struct {
	Request struct {
		ID      string          `json:"id"`
		URL     string          `json:"url"`
		URI     string          `json:"uri"`
		Method  string          `json:"method"`
		Headers json.RawMessage `json:"headers"`
	} `json:"request"`
	Response struct {
		Status  float64         `json:"status"`
		Size    json.RawMessage `json:"size"`
		Headers json.RawMessage `json:"headers"`
	} `json:"response"`
	Latencies struct {
		Request float64 `json:"request"`
	} `json:"latencies"`
	Source              string    `json:"source"`
	StartedAt           float64   `json:"started_at"`
	ClientIP            string    `json:"client_ip"`
	Consumer            *consumer `json:"consumer"`
	AuthenticatedEntity *struct {
		ID string `json:"id"`
	} `json:"authenticated_entity"`
	Route struct {
		Name  string          `json:"name"`
		Hosts json.RawMessage `json:"hosts"`
	} `json:"route"`
	Service struct {
		Name string `json:"name"`
	} `json:"service"`
}

var errNotAnObject = errors.New("kong's serialized log is not a JSON object")

// readExchange reads Kong's serialized log. A member of an unexpected type is left unset: another plugin can change any
// of them, and an event without it is better than none. Invalid UTF-8 becomes U+FFFD.
func readExchange(log []byte, now time.Time) (*exchange, error) {
	var s serialized
	err := json.Unmarshal(log, &s)
	if _, typed := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !typed || !rawjson.IsObject(log) {
		return nil, errNotAnObject
	}
	x := &exchange{
		requestID:      s.Request.ID,
		method:         s.Request.Method,
		url:            s.Request.URL,
		request:        parseHeaders(s.Request.Headers),
		response:       parseHeaders(s.Response.Headers),
		clientIP:       s.ClientIP,
		answeredByKong: s.Source == "kong",
		consumer:       s.Consumer,
		routeName:      s.Route.Name,
		serviceName:    s.Service.Name,
	}
	if x.url == "" {
		x.url = s.Request.URI
	}
	_ = json.Unmarshal(s.Response.Size, &x.sent) // 0 when it is text, or absent
	if status := s.Response.Status; status > 0 && status < 1000 {
		x.status = int(status)
	}
	if d := s.Latencies.Request; d > 0 && d < maxTookMillis {
		x.took = time.Duration(math.Round(d)) * time.Millisecond
	}
	if t := s.StartedAt; t > 0 && t < maxStartMillis {
		x.started = time.UnixMilli(int64(t))
	} else {
		x.started = now.Add(-x.took)
	}
	if s.AuthenticatedEntity != nil {
		x.authenticated = true
		x.credentialID = s.AuthenticatedEntity.ID
	}
	rawjson.Elements([]byte(s.Route.Hosts), func(v []byte) {
		if rawjson.IsString(v) {
			x.routeHosts = append(x.routeHosts, rawjson.Unquote(v))
		}
	})
	return x, nil
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
