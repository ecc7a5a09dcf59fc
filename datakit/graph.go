package datakit

import (
	"fmt"
	"slices"
	"strings"
)

// A graph is the workflow with its links. What is in it is sound: when there are problems, there is no graph.
type graph struct {
	vertices []*vertex // in list order, the implicit ones behind
	byName   map[string]int
	problems *problems
}

// A vertex is a node, declared or implicit, with what leads into it.
type vertex struct {
	name  string
	place int         // in graph.vertices
	conf  *NodeConfig // nil for implicit ones

	in, out    []port
	freeInputs bool

	links []*link // into it, in order
	owner *owner  // the branch that decides whether it runs
	late  bool    // it runs in the response phase

	secret bool // what it gives may hold values from a vault
}

// An owner is a branch, and the side of it that its members are on.
type owner struct {
	branch int
	side   bool
}

// A link carries the value of an output, or a part of it, to an input.
type link struct {
	from, to int
	out      string   // an output of from; self for the whole value
	path     []string // into the value
	in       string   // an input of to; self for the whole value
	typ      typ      // of the input
	check    func(any) error

	source, target string // as messages show them
}

func (l *link) String() string { return fmt.Sprintf("(%q -> %q)", l.source, l.target) }

// label is how messages name a vertex: node #2 (NAME), or node NAME for implicit ones.
func (v *vertex) label() string {
	if v.conf == nil {
		return "node " + v.name
	}
	return fmt.Sprintf("node #%d (%s)", v.conf.Index+1, v.name)
}

// newGraph links the nodes. All mistakes go to p.
func newGraph(nodes []*NodeConfig, r *Resources, p *problems) *graph {
	g := &graph{byName: map[string]int{}, problems: p}
	for _, c := range nodes {
		g.add(&vertex{name: c.Name, conf: c, in: c.kind.in, out: c.out, freeInputs: c.kind.freeInputs})
	}
	for _, name := range implicitNames {
		in, out := implicitPorts(name, r)
		g.add(&vertex{name: name, in: in, out: out})
	}
	for _, c := range nodes {
		g.linkNode(c)
	}
	for _, c := range nodes {
		if c.Type == "branch" {
			g.ownMembers(c)
		}
	}
	g.checkRequired()
	if g.checkCycles() {
		g.derive()
	}
	return g
}

func (g *graph) add(v *vertex) {
	v.place = len(g.vertices)
	g.byName[v.name] = v.place
	g.vertices = append(g.vertices, v)
}

// linkNode makes the links that a node declares, at its inputs and at its outputs.
func (g *graph) linkNode(c *NodeConfig) {
	ends := func(one, many string) (member []string, at []string, labels []string) {
		input, has := c.text(one)
		all, _ := c.object(many)
		for _, key := range sortedKeys(all) {
			if all[key] == nil {
				continue
			}
			path := many + "." + shortened(key)
			text, ok := all[key].(string)
			if !ok {
				c.fail(path, "expected a label such as NODE or NODE.FIELD, got %s", nameOf(all[key]))
				continue
			}
			member, at, labels = append(member, path), append(at, key), append(labels, text)
		}
		if has && len(labels) > 0 {
			c.fail(many, "%s and %s exclude each other; use one of them", one, many)
			return nil, nil, nil
		}
		if has {
			return []string{one}, []string{self}, []string{input}
		}
		return member, at, labels
	}
	members, inputs, sources := ends("input", "inputs")
	for i, member := range members {
		if c.Type == "call" && c.proxyLiteral(g, inputs[i], sources[i]) {
			continue
		}
		if from, ok := g.parse(c, member, sources[i]); ok {
			g.connect(c, member, from, label{c.Name, inputs[i]}, false)
		}
	}
	members, outputs, targets := ends("output", "outputs")
	for i, member := range members {
		if to, ok := g.parse(c, member, targets[i]); ok {
			g.connect(c, member, label{c.Name, outputs[i]}, to, true)
		}
	}
}

func (g *graph) parse(c *NodeConfig, member, text string) (label, bool) {
	l, err := parseLabel(text)
	if err != nil {
		c.fail(member, "%q: %s", shortened(text), err)
		return l, false
	}
	if _, known := g.byName[l.node]; !known {
		hint := ""
		if similar := closest(l.node, sortedKeys(g.byName)); similar != "" {
			hint = "; did you mean " + similar + "?"
		}
		c.fail(member, "%q: there is no node %s%s", shortened(text), shortened(l.node), hint)
		return l, false
	}
	return l, true
}

// connect makes a link, or several where an object goes into an object. atSource says on which side it was declared.
func (g *graph) connect(c *NodeConfig, member string, from, to label, atSource bool) {
	source, target := g.vertices[g.byName[from.node]], g.vertices[g.byName[to.node]]
	l := &link{from: source.place, to: target.place, source: from.String(), target: to.String()}
	if source == target {
		c.fail(member, "links the node to itself")
		return
	}
	var outType typ
	var ok bool
	if outType, ok = g.resolveSource(c, member, source, from, l, atSource); !ok {
		return
	}
	in, ok := g.resolveTarget(c, member, target, to)
	if !ok {
		return
	}
	l.in, l.typ, l.check = in.name, in.typ, in.check
	if l.in == self && outType == objectType && in.typ == objectType {
		g.expand(c, member, source, target, l)
		return
	}
	if source.isStatic() && l.out == self && in.typ == mapType {
		outType = mapType // a static node's whole value is a map, too
	}
	if !mayFlow(outType, in.typ) {
		g.problems.addWhole(c.path+"."+member, "invalid connection %s: type mismatch: %s -> %s", l, outType, in.typ)
		return
	}
	g.attach(c, member, l)
}

func (v *vertex) isStatic() bool { return v.conf != nil && v.conf.Type == "static" }

// resolveSource finds the output that a label names.
func (g *graph) resolveSource(c *NodeConfig, member string, v *vertex, from label, l *link, atSource bool) (typ, bool) {
	if len(v.out) == 0 && v.name != vaultNode && !v.isStatic() {
		if atSource {
			c.fail(member, "a node of type %s has no output", c.Type)
		} else if v.conf == nil {
			c.fail(member, "%q: nothing can be taken from %s, which is written only", from, v.name)
		} else {
			c.fail(member, "%q: a node of type %s has no output", from, v.conf.Type)
		}
		return "", false
	}
	whole, isSelf := portOf(v.out, self)
	if isSelf && atSource && from.rest != "" {
		c.fail(member, "a node of type %s has one output, its whole value; use output", c.Type)
		return "", false
	}
	if from.rest == "" {
		if isSelf {
			return whole.typ, true
		}
		return objectType, true
	}
	if isSelf {
		if whole.typ != anyType && whole.typ != mapType {
			c.fail(member, "%q: the output of %s is a %s, which has no fields", from, v.name, whole.typ)
			return "", false
		}
		_, l.path = label{from.node, "." + from.rest}.split(func(string) bool { return false })
		return anyType, true
	}
	var field string
	field, l.path = from.split(func(name string) bool { _, ok := portOf(v.out, name); return ok })
	p, ok := portOf(v.out, field)
	if !ok {
		what := "the fields of " + v.name + " are " + portNames(v.out)
		if similar := closest(field, strings.Split(portNames(v.out), ", ")); similar != "" {
			what += "; did you mean " + similar + "?"
		}
		if v.name == vaultNode {
			what = "resources.vault has no such key"
		}
		c.fail(member, "%q: there is no field %s; %s", from, shortened(field), what)
		return "", false
	}
	l.out = field
	if len(l.path) == 0 {
		return p.typ, true
	}
	if p.typ != anyType && p.typ != mapType {
		c.fail(member, "%q: %s is a %s, which has no fields", from, field, p.typ)
		return "", false
	}
	return anyType, true
}

// resolveTarget finds the input that a label names.
func (g *graph) resolveTarget(c *NodeConfig, member string, v *vertex, to label) (port, bool) {
	whole, isSelf := portOf(v.in, self)
	switch {
	case len(v.in) == 0 && !v.freeInputs && v.conf == nil:
		c.fail(member, "nothing can be connected to %s, which is read only", v.name)
		return port{}, false
	case len(v.in) == 0 && !v.freeInputs:
		c.fail(member, "a node of type %s has no input", v.conf.Type)
		return port{}, false
	case to.rest == "" && v.freeInputs:
		return port{name: self, typ: anyType}, true
	case to.rest == "" && isSelf:
		return whole, true
	case to.rest == "":
		return port{name: self, typ: objectType}, true
	case isSelf:
		c.fail(member, "%s has no input %s; a node of type %s takes one whole value: use input", v.name, shortened(to.rest), v.conf.Type)
		return port{}, false
	case v.freeInputs:
		if len(to.rest) > maxLabel {
			c.fail(member, "the name of an input has %d characters at most", maxLabel)
			return port{}, false
		}
		return port{name: to.rest, typ: anyType}, true
	}
	p, ok := portOf(v.in, to.rest)
	if !ok {
		hint := ""
		if similar := closest(to.rest, strings.Split(portNames(v.in), ", ")); similar != "" {
			hint = "; did you mean " + similar + "?"
		}
		c.fail(member, "%s has no input %s; its inputs are %s%s", v.name, shortened(to.rest), portNames(v.in), hint)
	}
	return p, ok
}

// expand links the fields that two objects have in common.
func (g *graph) expand(c *NodeConfig, member string, source, target *vertex, whole *link) {
	found := false
	for _, in := range target.in {
		out, ok := portOf(source.out, in.name)
		if !ok {
			continue
		}
		found = true
		l := &link{
			from: whole.from, to: whole.to, out: out.name, in: in.name, typ: in.typ, check: in.check,
			source: source.name + "." + out.name, target: target.name + "." + in.name,
		}
		if !mayFlow(out.typ, in.typ) {
			g.problems.addWhole(c.path+"."+member, "invalid connection %s: type mismatch: %s -> %s", l, out.typ, in.typ)
			continue
		}
		g.attach(c, member, l)
	}
	if !found {
		g.problems.addWhole(c.path+"."+member, "invalid connection %s: no field in common: %s has %s, %s takes %s",
			whole, source.name, portNames(source.out), target.name, portNames(target.in))
	}
}

// attach adds a link unless its input has a source already.
func (g *graph) attach(c *NodeConfig, member string, l *link) {
	target := g.vertices[l.to]
	for _, other := range target.links {
		if other.in != l.in && other.in != self && l.in != self {
			continue
		}
		hint := ""
		if other.from == l.from && other.out == l.out && slices.Equal(other.path, l.path) && other.in == l.in {
			hint = "; the link is declared twice, specify one side"
		}
		g.problems.addWhole(c.path+"."+member, "invalid connection %s: conflicts with existing connection %s%s", l, other, hint)
		return
	}
	target.links = append(target.links, l)
	if target.conf != nil {
		target.conf.linked[l.in] = true
	}
	if source := g.vertices[l.from]; source.isStatic() {
		g.checkLiteral(c, member, source, l)
	}
}

// checkLiteral tells at once what would fail on every request.
func (g *graph) checkLiteral(c *NodeConfig, member string, source *vertex, l *link) {
	v := follow(staticValue(source.conf, l.out), l.path, false)
	if _, err := convert(v, l.typ); err != nil {
		g.problems.addWhole(c.path+"."+member, "invalid connection %s: %s", l, err)
		return
	}
	if l.check != nil {
		if err := l.check(v); err != nil {
			g.problems.addWhole(c.path+"."+member, "invalid connection %s: %s", l, err)
		}
	}
}

// ownMembers gives a branch its members.
func (g *graph) ownMembers(c *NodeConfig) {
	then, otherwise := branchMembers(c)
	if len(then)+len(otherwise) == 0 {
		c.fail("", "a branch needs members: name nodes in then, in else, or in both")
	}
	own := func(member string, names []string, side bool) {
		for i, name := range names {
			at := fmt.Sprintf("%s[%d]", member, i)
			place, ok := g.byName[name]
			switch {
			case ok && g.vertices[place].conf == nil:
				c.fail(at, "%s is an implicit node, which no branch can skip", name)
			case !ok:
				hint := ""
				if similar := closest(name, sortedKeys(g.byName)); similar != "" && !isReserved(similar) {
					hint = "; did you mean " + similar + "?"
				}
				c.fail(at, "there is no node %q%s", shortened(name), hint)
			case name == c.Name:
				c.fail(at, "a branch cannot be a member of itself")
			case g.vertices[place].owner != nil:
				c.fail(at, "%s is a member of the branch %s already", name, g.vertices[g.vertices[place].owner.branch].name)
			default:
				g.vertices[place].owner = &owner{g.byName[c.Name], side}
			}
		}
	}
	own("then", then, true)
	own("else", otherwise, false)
}

func (g *graph) checkRequired() {
	for _, v := range g.vertices {
		for _, p := range v.in {
			if p.required && !v.conf.connected(p.name) {
				if p.name == self {
					v.conf.fail("input", "required for a node of type %s", v.conf.Type)
				} else {
					v.conf.fail("inputs."+p.name, "required for a node of type %s", v.conf.Type)
				}
			}
		}
	}
}

// sources returns where what leads into a vertex comes from: data, its branch, and the upstream for the response.
func (g *graph) sources(v *vertex) []int {
	var from []int
	for _, l := range v.links {
		from = append(from, l.from)
	}
	if v.owner != nil {
		from = append(from, v.owner.branch)
	}
	switch v.name {
	case serviceRequestNode:
		from = append(from, g.byName[requestNode])
	case serviceResponseNode:
		from = append(from, g.byName[serviceRequestNode])
	case responseNode:
		from = append(from, g.byName[serviceResponseNode])
	}
	slices.Sort(from)
	return slices.Compact(from)
}

// derive finds the phases, and what may hold secrets. The graph has no cycle.
func (g *graph) derive() {
	order := g.order()
	for _, place := range order {
		v := g.vertices[place]
		v.late = v.name == serviceResponseNode || v.name == responseNode || v.conf != nil && isLateProperty(v.conf)
		for _, from := range g.sources(v) {
			v.late = v.late || g.vertices[from].late
		}
	}
	stores := map[string]bool{} // what keeps values beside the links, and has been given a secret
	for before := -1; before != len(stores); {
		before = len(stores)
		for _, place := range order {
			v := g.vertices[place]
			store := v.store()
			v.secret = v.name == vaultNode || stores[store]
			for _, l := range v.links {
				v.secret = v.secret || g.vertices[l.from].secret
			}
			if v.secret && store != "" {
				stores[store] = true
			}
		}
	}
}

// store names what a node keeps values in that another node may get from it: the cache, or a property.
func (v *vertex) store() string {
	if v.conf == nil || v.conf.Type != "property" && v.conf.Type != "cache" {
		return ""
	}
	name, _ := v.conf.members["property"].(string)
	return v.conf.Type + " " + name
}

// path writes vertices as a path.
func (g *graph) path(places []int) string {
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = g.vertices[p].name
	}
	return strings.Join(names, " → ")
}
