package datakit

import "fmt"

// An Outcome is what a phase of a workflow has come to. Nothing of it has happened yet, apart from properties.
type Outcome struct {
	Answer   *Answer    // the workflow answers the client itself
	Failure  *NodeError // it failed: there is nothing else then, apart from the trace
	Service  Writes     // to the request to the upstream
	Response Writes     // to the response
	Status   int        // of the response, when the workflow sets one
	State    *State     // for the response phase
	Trace    *Trace     // nil unless asked for
}

// Writes change a request or a response.
type Writes struct {
	Headers []Header
	Query   *string // the whole query string
	Body    []byte
	HasBody bool
}

// A NodeError says which node of a workflow failed.
type NodeError struct {
	Index int // position in nodes from 1; 0 for implicit nodes
	Name  string
	Type  string
	Err   error
}

// Error is the text for the operator.
func (e *NodeError) Error() string {
	if e.Index == 0 {
		return fmt.Sprintf("node %s failed with error: %q", e.Name, e.Err.Error())
	}
	return fmt.Sprintf("node #%d (%s) failed with error: %q", e.Index, e.Name, e.Err.Error())
}

func (e *NodeError) Unwrap() error { return e.Err }

// A State is what the access phase leaves for the response phase.
type State struct {
	values  map[string]values // by step
	skipped []string
	status  int
	trace   *Trace
	plugin  map[string]any // kong.ctx.plugin
}
