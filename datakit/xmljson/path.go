package xmljson

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/antchfx/xpath"
)

// A Path selects parts of documents. Any number of goroutines may use it at once.
type Path struct{ expression string }

// Compile reads an XPath 1.0 expression. A prefix in it is the prefix in the document, whatever name space it stands for.
func Compile(expression string) (p *Path, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if _, err := xpath.Compile(expression); err != nil {
		return nil, err
	}
	return &Path{expression}, nil
}

// stopped is the panic that leaves a search: the library knows no other way out.
type stopped struct{ cause error }

var errTooLong = errors.New("xpath: the search takes more steps than are allowed; make the expression more exact")

// selectFrom returns what the expression gives: null for no node, the value of the only node, an array of several, or
// the number, boolean or text that it computes. An element is an object of one key, its name.
func (p *Path) selectFrom(ctx context.Context, root *node, o *Options) (v any, err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		v, err = nil, errors.New("xpath: a function got what it cannot take") // the library's text may show the document's
		if stop, ok := r.(stopped); ok {
			err = stop.cause
		}
	}()
	// A compiled expression keeps state while it runs, so each document gets its own. Compiling takes microseconds.
	expression, err := xpath.Compile(p.expression)
	if err != nil {
		return nil, err
	}
	left := o.Limits.Steps
	switch result := expression.Evaluate(&cursor{node: root, attr: -1, root: root, left: &left, ctx: ctx}).(type) {
	case *xpath.NodeIterator:
		return o.selected(result)
	case float64:
		return number(result), nil
	case string, bool:
		return result, nil
	default:
		return nil, fmt.Errorf("xpath: a result of type %T", result)
	}
}

func (o *Options) selected(nodes *xpath.NodeIterator) (any, error) {
	type place struct {
		node *node
		attr int
	}
	var all []any
	seen := map[place]bool{}
	for nodes.MoveNext() {
		at := nodes.Current().(*cursor)
		if p := (place{at.node, at.attr}); seen[p] {
			continue
		} else {
			seen[p] = true
		}
		v, err := o.selectedValue(at)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return all, nil
}

func (o *Options) selectedValue(at *cursor) (any, error) {
	switch {
	case at.attr >= 0:
		return at.node.attrs[at.attr].value, nil
	case at.node.isText():
		return o.typed(strings.Trim(at.node.text, space)), nil
	case at.node == at.root:
		return o.keyed(at.root.first)
	}
	return o.keyed(at.node)
}

// number is a computed number as JSON has it: whole where it is, null where it is none.
func number(f float64) any {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return int(f)
	}
	return f
}

// A cursor shows the tree to the library.
type cursor struct {
	node *node
	attr int // index of the attribute it is on, -1 on the node itself
	root *node

	left *int // steps
	ctx  context.Context
}

func (c *cursor) step() {
	if *c.left--; *c.left < 0 {
		panic(stopped{errTooLong})
	}
	if *c.left%4096 == 0 && c.ctx.Err() != nil {
		panic(stopped{context.Cause(c.ctx)})
	}
}

func (c *cursor) to(n *node) bool {
	c.step()
	if n == nil || c.attr >= 0 {
		return false
	}
	c.node = n
	return true
}

func (c *cursor) NodeType() xpath.NodeType {
	switch {
	case c.attr >= 0:
		return xpath.AttributeNode
	case c.node == c.root:
		return xpath.RootNode
	case c.node.isText():
		return xpath.TextNode
	}
	return xpath.ElementNode
}

func (c *cursor) name() string {
	if c.attr >= 0 {
		return c.node.attrs[c.attr].name
	}
	return c.node.name
}

func (c *cursor) LocalName() string {
	name := c.name()
	return name[strings.IndexByte(name, ':')+1:]
}

func (c *cursor) Prefix() string {
	prefix, _, found := strings.Cut(c.name(), ":")
	if !found {
		return ""
	}
	return prefix
}

// Value is the text of the node and of everything inside it.
func (c *cursor) Value() string {
	switch {
	case c.attr >= 0:
		return c.node.attrs[c.attr].value
	case c.node.isText():
		return c.node.text
	}
	var b strings.Builder
	for n := c.node.first; n != nil && n != c.node; {
		c.step()
		b.WriteString(n.text)
		if n.first != nil {
			n = n.first
			continue
		}
		for n != c.node && n.next == nil {
			n = n.parent
		}
		if n != c.node {
			n = n.next
		}
	}
	return b.String()
}

func (c *cursor) Copy() xpath.NodeNavigator {
	c.step()
	copied := *c
	return &copied
}

func (c *cursor) MoveToRoot() { c.node, c.attr = c.root, -1 }

func (c *cursor) MoveToParent() bool {
	c.step()
	if c.attr >= 0 {
		c.attr = -1
		return true
	}
	return c.to(c.node.parent)
}

func (c *cursor) MoveToNextAttribute() bool {
	c.step()
	if c.attr+1 >= len(c.node.attrs) {
		return false
	}
	c.attr++
	return true
}

func (c *cursor) MoveToChild() bool    { return c.to(c.node.first) }
func (c *cursor) MoveToNext() bool     { return c.to(c.node.next) }
func (c *cursor) MoveToPrevious() bool { return c.to(c.node.previous) }

func (c *cursor) MoveToFirst() bool {
	if c.node.parent == nil || c.node.previous == nil {
		return false
	}
	return c.to(c.node.parent.first)
}

func (c *cursor) MoveTo(other xpath.NodeNavigator) bool {
	o, ok := other.(*cursor)
	if !ok || o.root != c.root {
		return false
	}
	c.node, c.attr = o.node, o.attr
	return true
}
