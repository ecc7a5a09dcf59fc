package datakit

import (
	"strings"
	"time"
)

// A Node is a node of a plan as tools show it.
type Node struct {
	Name, Type string
	Index      int           // position in nodes from 1; 0 for implicit ones, whose type is implicit
	Late       bool          // it runs in the response phase
	Branch     string        // the branch that decides whether it runs, or ""
	Side       bool          // of the branch: true is then
	Links      []Link        // into it
	Outputs    []Port        // the one with an empty name is the whole value
	Timeout    time.Duration // of a call
	Ends       bool          // it answers the client
	Writes     bool          // a property that is set
}

// A Link carries a value into a node. Empty names stand for the whole value.
type Link struct {
	From string   // a node
	Out  string   // an output of From
	Path []string // into what Out gives
	In   string   // an input
	Type string   // of the input
}

// A Port is an output of a node and its type: string, number, boolean, map, object or any.
type Port struct{ Name, Type string }

// Nodes returns the nodes of a plan in list order, and behind them the implicit ones that the workflow uses.
func (p *Plan) Nodes() []Node {
	var list []Node
	for _, s := range p.steps {
		if s.index == 0 && len(s.links) == 0 && len(s.feeds) == 0 {
			continue
		}
		n := Node{Name: s.name, Type: s.typ, Index: s.index, Late: s.late, Ends: s.ender != nil}
		if s.owner != nil {
			n.Branch, n.Side = p.steps[s.owner.branch].name, s.owner.side
		}
		for _, l := range s.links {
			n.Links = append(n.Links, Link{p.steps[l.from].name, l.out, l.path, l.in, string(l.typ)})
		}
		for _, o := range s.outs {
			n.Outputs = append(n.Outputs, Port{o.name, string(o.typ)})
		}
		switch of := s.node.(type) {
		case *callNode:
			n.Timeout = of.request.Timeout
		case propertyNode:
			n.Writes = of.set
			if !of.set && !of.json {
				n.Outputs = []Port{{self, string(of.property.typ)}}
			}
		}
		list = append(list, n)
	}
	return list
}

// HeaderName returns how received headers call a name that a program looks up, and whether the program writes it so.
func (p *Plan) HeaderName(name string) (string, bool) {
	if p.names.lower {
		return strings.ToLower(name), strings.ToLower(name) == name
	}
	c := canonical(name)
	return c, c == name || p.names.aliases[c] == name
}
