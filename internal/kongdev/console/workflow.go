package console

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev"
)

// A workflow is what a plugin that runs nodes tells of a request in place of
// the answer's body, when it is asked to: datakit does for the header
// X-DataKit-Debug-Trace. It tells without secrets.
type workflow struct {
	Status   string          `json:"status"`
	Duration float64         `json:"duration"` // seconds
	Nodes    []workflowNode  `json:"nodes"`
	Events   []workflowEvent `json:"events"`
}

type workflowNode struct {
	Name   string         `json:"name"`
	Type   string         `json:"type"`
	Status string         `json:"status"`
	Error  string         `json:"error,omitempty"`
	Phase  string         `json:"phase"`
	Branch string         `json:"branch,omitempty"`
	Side   string         `json:"side,omitempty"` // of the branch; plans only
	Links  []workflowLink `json:"links,omitempty"`
}

type workflowLink struct {
	From string `json:"from"`
	Out  string `json:"out,omitempty"`
	In   string `json:"in,omitempty"`
}

type workflowEvent struct {
	Name   string `json:"name"`
	Action string `json:"action"`
	At     string `json:"at"` // nanoseconds since the start, a decimal
	Value  any    `json:"value,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Most that is drawn. A plan has 64 nodes, and a few implicit ones.
const (
	maxWorkflowNodes  = 100
	maxWorkflowEvents = 1000
)

// workflowOf finds the workflow that a plugin has answered with; nil when there
// is none, or when it was cut.
func workflowOf(t kongdev.Trace) *workflow {
	for _, e := range t.Events {
		for _, c := range e.Calls {
			if c.Method == "kong.response.exit" && len(c.Args) == c.ArgSize {
				if w := parseWorkflow(exitBody(c.Args)); w != nil {
					return w
				}
			}
		}
	}
	return nil
}

// exitBody is the field body of the arguments of kong.response.exit.
func exitBody(args []byte) []byte {
	for len(args) > 0 {
		number, kind, n := protowire.ConsumeTag(args)
		if n < 0 {
			return nil
		}
		args = args[n:]
		if number == 2 && kind == protowire.BytesType {
			body, _ := protowire.ConsumeBytes(args)
			return body
		}
		if n = protowire.ConsumeFieldValue(number, kind, args); n < 0 {
			return nil
		}
		args = args[n:]
	}
	return nil
}

// parseWorkflow reads a trace, and hides what sounds like a secret all the same.
func parseWorkflow(body []byte) *workflow {
	if !bytes.HasPrefix(body, []byte("{")) || !bytes.Contains(body, []byte(`"PLAN_`)) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var w workflow
	if d.Decode(&w) != nil || len(w.Nodes) == 0 || len(w.Nodes) > maxWorkflowNodes || len(w.Events) > maxWorkflowEvents {
		return nil
	}
	for i := range w.Events {
		w.Events[i].Value = redactValue("", w.Events[i].Value, 0)
		w.Events[i].Error = withoutCredentials(clip(w.Events[i].Error, maxString))
	}
	for i := range w.Nodes {
		w.Nodes[i].Error = withoutCredentials(clip(w.Nodes[i].Error, maxString))
	}
	return &w
}
