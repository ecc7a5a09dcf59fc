package datakit

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/itchyny/gojq"

	"kong-go-plugins/datakit/fetch"
)

// Replacements stand for what the engine of a plugin takes from outside, so that a workflow runs without its services.
type Replacements struct {
	Calls http.RoundTripper // answers calls; CallName tells which one asks. nil is the network
	Now   func() time.Time  // for tokens, and when compiled for jq programs; nil is time.Now
}

// NewOfflineEngine is NewEngine with replacements.
func NewOfflineEngine(report func(key, text string), r Replacements) *Engine {
	e := NewEngine(report)
	e.keys.Now = r.Now
	if r.Calls != nil {
		e.client = fetch.New(fetch.Options{Transport: r.Calls})
	}
	return e
}

// CallName is the name of the node that sends a request, by the request's context.
func CallName(ctx context.Context) string {
	name, _ := ctx.Value(callNameKey{}).(string)
	return name
}

// fixedNow is jq's function now at a fixed time. It stands in the program: the library lets nothing replace its own.
func fixedNow(t time.Time) *gojq.FuncDef {
	seconds := strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', -1, 64)
	return &gojq.FuncDef{Name: "now", Body: &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: seconds}}}
}

// WantsTrace reports whether a request with this value of the header X-DataKit-Debug-Trace is answered with its trace.
func (p *Plan) WantsTrace(header string) bool { return p.debug && isYes(header) }

// TraceAnswer is an answer with the trace of its request in place of the body.
func TraceAnswer(status int, headers []Header, t *Trace) *Answer {
	return traceAnswer(status, headers, t)
}

// FailureAnswer is what a client gets of a failure.
func (p *Plan) FailureAnswer(f *NodeError, requestID string) *Answer {
	body := errorBody{Message: unexpected, RequestID: requestID}
	if p.debug {
		body.Message, body.Error, body.Node = "node execution error", p.errorText(f), &errorNode{f.Index, f.Name, f.Type}
	}
	text, err := encodeJSON(body)
	if err != nil {
		text = []byte(`{"message":"` + unexpected + `"}`)
	}
	return &Answer{Status: http.StatusInternalServerError, Header: []Header{{"Content-Type", []string{jsonContent}}}, Body: text}
}

// FailureText is a failure for the operator, without what may be secret.
func (p *Plan) FailureText(f *NodeError) string { return p.failureText(f) }
