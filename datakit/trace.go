package datakit

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"kong-go-plugins/datakit/fetch"
)

// A Trace tells what a workflow did for one request, without secrets. A nil Trace takes everything and keeps nothing.
type Trace struct {
	began  time.Time
	ended  time.Time
	failed bool
	nodes  []TraceNode
	events []TraceEvent
	byName map[string]int // of nodes
}

// A TraceNode is what has become of a node. What it depends on is there so that the trace can be drawn by itself.
type TraceNode struct {
	Name   string      `json:"name"`
	Type   string      `json:"type"`
	Status string      `json:"status"`
	Error  string      `json:"error,omitempty"`
	Phase  string      `json:"phase"` // access or response
	Branch string      `json:"branch,omitempty"`
	Links  []TraceLink `json:"links,omitempty"`
}

// A TraceLink is where an input comes from. An empty port is the whole value.
type TraceLink struct {
	From string `json:"from"`
	Out  string `json:"out,omitempty"`
	In   string `json:"in,omitempty"`
}

// A TraceEvent is something that happened to a node. At is in nanoseconds since the trace began.
type TraceEvent struct {
	Name   string      `json:"name"`
	Type   string      `json:"node_type"`
	Action string      `json:"action"` // run, complete, fail, skip or cancel; of calls schedule, dispatch and resume, too
	At     string      `json:"at"`
	Value  *TraceValue `json:"value,omitempty"`
	Error  string      `json:"error,omitempty"`
}

// A TraceValue is what flowed. The value of an object holds a TraceValue per field.
type TraceValue struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

func newTrace() *Trace { return &Trace{began: time.Now(), byName: map[string]int{}} }

// MarshalJSON writes the document that a client gets.
func (t *Trace) MarshalJSON() ([]byte, error) {
	status := "PLAN_COMPLETE"
	if t.failed {
		status = "PLAN_ERROR"
	}
	return encodeJSON(struct {
		StartedAt float64      `json:"started_at"`
		EndedAt   float64      `json:"ended_at"`
		Duration  float64      `json:"duration"`
		Status    string       `json:"status"`
		Nodes     []TraceNode  `json:"nodes"`
		Events    []TraceEvent `json:"events"`
	}{seconds(t.began), seconds(t.ended), t.ended.Sub(t.began).Seconds(), status, t.nodes, t.events})
}

// Nodes returns what has become of each node, in list order.
func (t *Trace) Nodes() []TraceNode { return t.nodes }

// Events returns what happened, oldest first.
func (t *Trace) Events() []TraceEvent { return t.events }

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func (t *Trace) event(s *step, action string, v *TraceValue, err error) {
	e := TraceEvent{Name: s.name, Type: s.typ, Action: action, At: strconv.FormatInt(time.Since(t.began).Nanoseconds(), 10), Value: v}
	if err != nil {
		e.Error = s.errorText(err)
	}
	t.events = append(t.events, e)
}

// errorText is an error as logs, traces and debug answers may show it: one of a node that handles secrets may quote them.
// Those of the vault itself name keys only.
func (s *step) errorText(err error) string {
	if !s.secret || s.name == vaultNode || s.isPlain(err) {
		return err.Error()
	}
	return hidden
}

// A plainError holds nothing of what flows.
type plainError string

func (e plainError) Error() string { return string(e) }

// plainTypes are types of nodes all of whose errors hold nothing of what flows into them.
var plainTypes = map[string]bool{"jwt_decode": true, "jwt_sign": true, "jwt_verify": true, "cache": true, "branch": true} // read-only

// isPlain reports whether an error of a node that handles secrets holds nothing of them. Those of calls name hosts.
func (s *step) isPlain(err error) bool {
	var plain plainError
	var status *fetch.StatusError
	var way *fetch.Error
	switch {
	case errors.As(err, &plain), errors.As(err, &status):
		return true
	case errors.As(err, &way):
		return !s.secretInput[self] && !s.secretInput["url"] && !s.secretInput["http_proxy"] && !s.secretInput["https_proxy"]
	}
	return plainTypes[s.typ]
}

// started notes that a node begins, with its inputs.
func (t *Trace) started(s *step, in values) {
	switch {
	case t == nil:
	case s.typ == "call":
		t.event(s, "schedule", s.shownInputs(in), nil)
		t.event(s, "dispatch", nil, nil)
	default:
		t.event(s, "run", s.shownInputs(in), nil)
	}
}

// resumed notes that a call is answered.
func (t *Trace) resumed(s *step) {
	if s.typ == "call" {
		t.event(s, "resume", nil, nil)
	}
}

// complete notes what a node has given.
func (t *Trace) complete(s *step, out values) {
	if t != nil {
		t.resumed(s)
		t.event(s, "complete", s.shownOutputs(out), nil)
	}
}

// written notes what the workflow writes to an end of the gateway.
func (t *Trace) written(s *step, in values) {
	if t != nil {
		t.event(s, "complete", s.shownInputs(in), nil)
	}
}

// fail notes why a node failed, and what it had by then.
func (t *Trace) fail(s *step, out values, err error) {
	if t == nil {
		return
	}
	var v *TraceValue
	if out != nil {
		v = s.shownOutputs(out)
	}
	t.resumed(s)
	t.event(s, "fail", v, err)
}

// skipped notes that a node does not run, and what its branch has decided; nil when that has not run either.
func (t *Trace) skipped(s *step, decision *TraceValue) { t.event(s, "skip", decision, nil) }

// canceled notes that a node ends before its time, or has not begun.
func (t *Trace) canceled(s *step) { t.event(s, "cancel", nil, nil) }

// statusNames are those of Kong's Datakit.
var statusNames = map[status]string{ // read-only
	pending: "NODE_PENDING", running: "NODE_RUNNING", complete: "NODE_COMPLETE", failed: "NODE_ERROR", skipped: "NODE_SKIPPED", canceled: "NODE_CANCELED",
}

// close notes how a phase has left the nodes. With a trace the response's body is the trace, so the node response has
// not written.
func (t *Trace) close(p *Plan, steps []progress, failure *NodeError, answered, late bool) {
	t.ended = time.Now()
	t.failed = failure != nil
	for i, s := range p.steps {
		if s.index == 0 && len(s.links) == 0 && len(s.feeds) == 0 {
			continue // an end that the workflow does not use
		}
		n := TraceNode{Name: s.name, Type: s.typ, Status: statusNames[steps[i].status], Phase: "access"}
		if s.late {
			n.Phase = "response"
		}
		if s.owner != nil {
			n.Branch = p.steps[s.owner.branch].name
		}
		for _, l := range s.links {
			n.Links = append(n.Links, TraceLink{p.steps[l.from].name, strings.Join(append([]string{l.out}, l.path...), "."), l.in})
		}
		switch {
		case i == p.responseStep:
			n.Status = statusNames[skipped]
		case i == p.serviceRequestStep && failure == nil && !answered:
			n.Status = statusNames[complete]
		case steps[i].status == pending && (failure != nil || answered):
			n.Status = statusNames[canceled]
		}
		if failure != nil && failure.Name == s.name {
			n.Error = s.errorText(failure.Err)
		}
		if at, known := t.byName[s.name]; !known {
			t.byName[s.name] = len(t.nodes)
			t.nodes = append(t.nodes, n)
		} else if s.late && late || failure != nil && failure.Name == s.name {
			t.nodes[at] = n
		}
	}
}

// hidden stands for what nobody may see.
const hidden = "********"

// secretHeaders are names whose values no trace shows, wherever they are.
var secretHeaders = map[string]bool{ // read-only
	"authorization": true, "proxy-authorization": true, "api-key": true, "apikey": true, "x-api-key": true, "cookie": true, "set-cookie": true,
	"x-consumer-username": true, "x-consumer-custom-id": true, "x-consumer-id": true, "x-credential-identifier": true,
}

// shownInputs are a node's inputs as a trace shows them.
func (s *step) shownInputs(in values) *TraceValue {
	if in == nil {
		return nil
	}
	if v, whole := in.lookup(self); whole {
		return shownValue(v, s.inputType(self), s.secretInput[self] || s.headerInput[self] || s.masks[self])
	}
	fields := make(map[string]*TraceValue, len(in))
	for _, p := range in {
		fields[p.port] = shownValue(p.value, s.inputType(p.port), s.secretInput[p.port] || s.secretInput[self] || s.headerInput[p.port] || s.masks[p.port])
	}
	return &TraceValue{string(objectType), fields}
}

func (s *step) inputType(name string) typ {
	if p, ok := portOf(s.ins, name); ok {
		return p.typ
	}
	return anyType
}

// shownOutputs are a node's outputs as a trace shows them.
func (s *step) shownOutputs(out values) *TraceValue {
	if s.whole {
		return shownValue(out.get(self), s.outs[0].typ, s.secret || s.masks[self])
	}
	if len(s.outs) == 0 {
		return nil
	}
	fields := make(map[string]*TraceValue, len(out))
	for _, o := range out {
		p, _ := portOf(s.outs, o.port)
		fields[o.port] = shownValue(o.value, p.typ, s.secret || s.masks[o.port])
	}
	return &TraceValue{string(objectType), fields}
}

func shownValue(v any, t typ, secret bool) *TraceValue {
	if t == anyType || t == "" {
		t = typ(nameOf(v))
		if t == objectType {
			t = mapType
		}
	}
	if secret && v != nil {
		return &TraceValue{string(t), hidden}
	}
	return &TraceValue{string(t), redacted(v)}
}

// redacted copies a value without the headers that nobody may see.
func redacted(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, e := range v {
			if e != nil && secretHeaders[strings.ToLower(key)] {
				m[key] = hidden
				continue
			}
			m[key] = redacted(e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = redacted(e)
		}
		return list
	case string:
		return valid(v)
	case float64:
		return finite(v)
	}
	return v
}
