package datakit

import "log/slog"

// A Host is the gateway as a workflow sees it: Kong through its PDK, or a stand-in without a gateway. It is called by one
// goroutine at a time. An error means that the gateway could not answer; it fails the node that asked.
type Host interface {
	// Request reads the wanted ports of the implicit node request, in one question if it can.
	Request(want Ports) (Message, error)

	// ServiceResponse reads the wanted ports of the implicit node service_response. It is asked in the response phase only.
	ServiceResponse(want Ports) (Message, error)

	// Property reads a property by the name that the workflow has: nil, or a value that flows.
	Property(name string) (any, error)

	// SetProperty writes one. kong.response.status is not among them: it is part of the outcome.
	SetProperty(name string, value any) error

	// Log tells the operator. It is not used for what happens on every request.
	Log(level slog.Level, text string)
}

// Ports is a set of ports of request or service_response, and traceParent.
type Ports map[string]bool

// traceParent asks for the header of that name, which calls pass on. It is no port of a node.
const traceParent = "traceparent"

// A Message is a request or a response as it was received. Fields that were not wanted are zero.
type Message struct {
	Header   map[string][]string // names in any case
	RawQuery string
	Body     []byte
	Size     int64 // of the body in bytes; a larger one than the limit has a nil Body

	TraceParent string // of the W3C's trace context

	Path, RawPath, Method, Scheme string
	Port                          int
	Version                       float64
	Status                        int
}
