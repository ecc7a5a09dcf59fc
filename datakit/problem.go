package datakit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kong-go-plugins/schema"
)

// A Problem is one mistake in a configuration.
type Problem struct {
	Path string // of the member at fault, as in nodes[2].jq, counted from 0
	Text string // what is wrong, and what to do
	Node string // the name of the node, if it is one's

	whole bool // Text says all, in the words of Kong's own Datakit; Path is for those that look for the line
}

// Error is the whole message.
func (p *Problem) Error() string {
	switch {
	case p.whole || p.Path == "":
		return p.Text
	case p.Node != "":
		return fmt.Sprintf("%s (%s): %s", p.Path, p.Node, p.Text)
	}
	return p.Path + ": " + p.Text
}

// place is the position of the node that is at fault, -1 for what is no node's.
func (p *Problem) place() int {
	i := -1
	_, _ = fmt.Sscanf(p.Path, "nodes[%d]", &i)
	return i
}

// problems collects mistakes.
type problems struct {
	list []*Problem
}

func (p *problems) add(path, node, format string, args ...any) {
	p.list = append(p.list, &Problem{Path: path, Node: node, Text: fmt.Sprintf(format, args...)})
}

// addWhole adds a mistake with the text that users know.
func (p *problems) addWhole(path, format string, args ...any) {
	p.list = append(p.list, &Problem{Path: path, Text: fmt.Sprintf(format, args...), whole: true})
}

// err joins all mistakes, by node, or is nil.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b *Problem) int { return a.place() - b.place() })
	errs := make([]error, len(p.list))
	for i, e := range p.list {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// Problems returns the mistakes that an error of Compile holds.
func Problems(err error) []*Problem {
	var list []*Problem
	for _, part := range schema.Parts(err) {
		var p *Problem
		if !errors.As(part, &p) {
			p = &Problem{Text: part.Error()}
		}
		list = append(list, p)
	}
	return list
}

// oneLine is the message of an error as one line of a log.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
