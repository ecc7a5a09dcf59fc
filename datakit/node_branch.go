package datakit

import (
	"context"
	"fmt"
)

// branchKind decides which of its members run: those in then for true, those in else for false.
var branchKind = kind{
	since: "3.12",
	doc:   "Runs the nodes of one side and skips those of the other one.",
	options: []option{
		{name: "then", typ: listType, since: "3.12", doc: "Names of the nodes that run when the input is true."},
		{name: "else", typ: listType, since: "3.12", doc: "Names of the nodes that run when it is false. One of the two lists has a member."},
	},
	in: []port{{name: self, typ: booleanType, required: true, since: "3.12", doc: "Anything but true or false is an error."}},
	build: func(*NodeConfig, *builder) (node, error) {
		return branchNode{}, nil
	},
}

type branchNode struct{}

func (branchNode) run(_ context.Context, in values) (values, error) {
	side, ok := in.get(self).(bool)
	if !ok {
		return nil, fmt.Errorf("a branch takes true or false, got %s", nameOf(in.get(self)))
	}
	return values{{self, side}}, nil
}

// branchMembers are the names of a branch's members.
func branchMembers(c *NodeConfig) (then, otherwise []string) {
	then, _ = c.texts("then")
	otherwise, _ = c.texts("else")
	return then, otherwise
}
