package cli

import (
	"encoding/json"
	"io"
	"strings"

	"kong-go-plugins/datakit"
)

// A jsonNode is a node of a drawing for programs, in the form that it has in a trace.
type jsonNode struct {
	Name   string              `json:"name"`
	Type   string              `json:"type"`
	Phase  string              `json:"phase"` // access or response
	Branch string              `json:"branch,omitempty"`
	Side   string              `json:"side,omitempty"` // of the branch: then or else
	Links  []datakit.TraceLink `json:"links,omitempty"`
}

// json draws for programs, such as the console of kongdev.
func (d *drawing) json(w io.Writer) error {
	nodes := make([]jsonNode, 0, len(d.nodes))
	for _, n := range d.nodes {
		j := jsonNode{Name: n.Name, Type: n.Type, Phase: "access", Branch: n.Branch}
		if n.Late {
			j.Phase = "response"
		}
		if n.Branch != "" {
			j.Side = sideName(n.Side)
		}
		for _, l := range n.Links {
			j.Links = append(j.Links, datakit.TraceLink{From: l.From, Out: strings.Trim(strings.Join(append([]string{l.Out}, l.Path...), "."), "."), In: l.In})
		}
		nodes = append(nodes, j)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"critical": d.critical, "calls": d.calls, "nodes": nodes})
}

// sideName is the member of a branch that lists the nodes of a side.
func sideName(then bool) string {
	if then {
		return "then"
	}
	return "else"
}
