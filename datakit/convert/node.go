package convert

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What the old filter had, by its documentation for Kong 3.9 and 3.10:
//   - inputs and outputs may be lists of labels, or of objects with one key;
//   - a label without a field means the first port of its node, which is the body of all that have one;
//   - inputs of jq are variables, named by the user or after their source;
//   - property and handlebars nodes have ports called value and output;
//   - timeout is in seconds, a method may be in small letters, a node needs no name.

// ownPort is the old name of the port that is a node's whole value now.
var ownPort = map[string]string{"property": "value", "handlebars": "output", "template": "output"} // read-only

// implicitPort matches the names of the oldest filter for the ports of the implicit nodes.
var implicitPort = regexp.MustCompile(`^(request|service_request|service_response|response)_(headers|body|query)$`)

// isOld reports whether a workflow uses what only the old filter has.
func isOld(nodes *yaml.Node) bool {
	return slices.ContainsFunc(nodes.Content, func(n *yaml.Node) bool {
		switch textOf(member(n, "type")) {
		case "handlebars", "template", "response":
			return true
		case "jq":
			names := append(inputNames(member(n, "inputs")), notName.ReplaceAllString(textOf(member(n, "input")), "_"))
			if usesVariables(textOf(member(n, "jq")), names) {
				return true
			}
		}
		for _, key := range []string{"inputs", "outputs"} {
			if list := member(n, key); list != nil && list.Kind == yaml.SequenceNode {
				return true
			}
		}
		return textOf(member(n, "name")) == ""
	})
}

func inputNames(inputs *yaml.Node) (names []string) {
	if inputs != nil && inputs.Kind == yaml.MappingNode {
		for i := 0; i < len(inputs.Content); i += 2 {
			names = append(names, inputs.Content[i].Value)
		}
	}
	return names
}

// A converter rewrites one workflow.
type converter struct {
	c     *conversion
	types map[string]string     // of its nodes, by name
	nodes map[string]*yaml.Node // by name

	node *yaml.Node // the one at hand
	name string
	kind string
}

func (c *conversion) convertNodes(nodes *yaml.Node) {
	v := &converter{c: c, types: map[string]string{}, nodes: map[string]*yaml.Node{}}
	for i, n := range nodes.Content {
		name, kind := textOf(member(n, "name")), textOf(member(n, "type"))
		if name == "" {
			name = fmt.Sprintf("%s_%d", strings.ToUpper(kind), i+1)
			remove(n, "name")
			n.Content = append([]*yaml.Node{scalar("name"), scalar(name)}, n.Content...)
		}
		if v.types[name] != "" {
			v.c.notes = append(v.c.notes, Note{n.Line, name, true, "a second node of this name; give it another one"})
		}
		v.types[name], v.nodes[name] = kind, n
	}
	for _, n := range nodes.Content {
		v.node, v.name, v.kind = n, textOf(member(n, "name")), textOf(member(n, "type"))
		v.convert()
	}
	for _, n := range nodes.Content {
		if textOf(member(n, "type")) == "call" && member(n, "on_error") == nil {
			v.c.notes = append(v.c.notes, Note{n.Line, textOf(member(n, "name")), false,
				"a call that fails, or is answered with anything but 2xx, now fails the workflow; on_error: continue lets it go on"})
			break
		}
	}
}

func (v *converter) tell(open bool, format string, args ...any) {
	v.c.notes = append(v.c.notes, Note{v.node.Line, v.name, open, fmt.Sprintf(format, args...)})
}

func (v *converter) convert() {
	variables := v.inputs()
	v.outputs()
	switch v.kind {
	case "call":
		v.call()
	case "jq":
		program := member(v.node, "jq")
		converted, err := convertProgram(textOf(program), variables)
		if err != nil {
			v.tell(true, "the program does not compile, so it stays as it is: %v", err)
		} else if program != nil {
			if program.Value = converted; strings.Contains(converted, "\n") {
				program.Style = yaml.LiteralStyle
			}
		}
	case "exit", "response":
		set(v.node, "type", scalar("exit"))
		if status, err := strconv.Atoi(textOf(member(v.node, "status"))); err == nil && status < 200 {
			v.tell(true, "status %d is none the plugin can answer with; 200 to 599 are", status)
		}
	case "handlebars", "template":
		v.tell(true, "there are no templates; make it a node of type jq whose program is a text, such as %s",
			`"Hello \(.user.name)"`)
	}
}

func (v *converter) call() {
	if timeout := member(v.node, "timeout"); timeout != nil {
		if s, err := strconv.ParseFloat(timeout.Value, 64); err == nil {
			timeout.Value, timeout.Tag = strconv.Itoa(int(s*1000)), "!!int"
		}
	}
	if method := member(v.node, "method"); method != nil {
		method.Value = strings.ToUpper(method.Value)
	}
}

// An end is one side of links: a port of this node, and the label it is linked with.
type end struct{ port, label string }

// ends reads inputs or outputs in any of their old forms.
func (v *converter) ends(one, many string) (ends []end) {
	add := func(port string, n *yaml.Node) {
		if label := textOf(n); label != "" {
			ends = append(ends, end{strings.TrimSpace(port), strings.TrimSpace(label)})
		}
	}
	add("", member(v.node, one))
	list := member(v.node, many)
	if list == nil {
		return ends
	}
	items := []*yaml.Node{list}
	if list.Kind == yaml.SequenceNode {
		items = list.Content
	}
	for _, item := range items {
		if item.Kind == yaml.ScalarNode {
			add("", item)
			continue
		}
		for i := 0; i+1 < len(item.Content); i += 2 {
			add(item.Content[i].Value, item.Content[i+1])
		}
	}
	return ends
}

// write puts the ends back, as the one whole value or as an object.
func (v *converter) write(one, many string, ends []end) {
	at := one
	if member(v.node, one) == nil {
		at = many
	} else {
		remove(v.node, many)
	}
	switch {
	case len(ends) == 0:
		remove(v.node, at)
	case len(ends) == 1 && ends[0].port == "":
		replace(v.node, at, one, scalar(ends[0].label))
	default:
		object := &yaml.Node{Kind: yaml.MappingNode, Style: member(v.node, at).Style & yaml.FlowStyle}
		for _, e := range ends {
			set(object, e.port, scalar(e.label))
		}
		replace(v.node, at, many, object)
	}
}

// notName is what cannot be part of a variable's name.
var notName = regexp.MustCompile(`[^A-Za-z0-9_]`)

// inputs converts what flows in. It returns the variables that a program has for it.
func (v *converter) inputs() (variables []string) {
	ends := v.ends("input", "inputs")
	for i, e := range ends {
		old := e.label
		e.label = v.source(old)
		if e.port == ownPort[v.kind] {
			e.port = ""
		}
		switch {
		case e.port != "":
			variables = append(variables, e.port)
		case v.kind == "call", v.kind == "exit", v.kind == "response":
			e.port = "body"
			if _, field, found := strings.Cut(e.label, "."); found && (field == "headers" || field == "query") {
				e.port = field
			}
		case v.kind == "jq":
			name := notName.ReplaceAllString(old, "_")
			if len(ends) > 1 || usesVariables(textOf(member(v.node, "jq")), []string{name}) {
				e.port, variables = name, append(variables, name)
			}
		case v.kind == "handlebars", v.kind == "template":
			e.port = notName.ReplaceAllString(old, "_")
		}
		ends[i] = e
	}
	v.write("input", "inputs", ends)
	return variables
}

func (v *converter) outputs() {
	var kept []end
	for i, e := range v.ends("output", "outputs") {
		e.label = v.target(e.label)
		switch {
		case v.kind == "call" && e.port == "error":
			set(v.node, "on_error", scalar("continue")) // only then there is this output
		case v.kind == "jq" && i > 0:
			v.tell(true, "a program has one result, so the link to %s is gone; make one node per result", e.label)
			continue
		case e.port == "" && v.kind == "call":
			e.port = "body"
		case v.kind == "jq", e.port == ownPort[v.kind]:
			e.port = ""
		}
		kept = append(kept, e)
	}
	v.write("output", "outputs", kept)
}

// source is the label of what flows in, as it is written now.
func (v *converter) source(label string) string {
	node, field := v.split(label)
	switch kind := v.types[node]; {
	case field == "" && (kind == "call" || node == "request" || node == "service_response"):
		field = "body"
	case kind == "call" && field == "error":
		set(v.nodes[node], "on_error", scalar("continue")) // only then there is this output
	case kind == "jq" && field != "", kind != "" && field == ownPort[kind]:
		field = ""
	}
	return strings.TrimSuffix(node+"."+field, ".")
}

// target is the label of where something flows, as it is written now.
func (v *converter) target(label string) string {
	node, field := v.split(label)
	kind := v.types[node]
	switch {
	case field == "" && (kind == "call" || kind == "exit" || kind == "response" || node == "service_request" || node == "response"):
		field = "body"
	case kind != "" && field == ownPort[kind]:
		field = ""
	}
	return strings.TrimSuffix(node+"."+field, ".")
}

func (v *converter) split(label string) (node, field string) {
	if m := implicitPort.FindStringSubmatch(label); m != nil && v.types[label] == "" {
		return m[1], m[2]
	}
	node, field, _ = strings.Cut(label, ".")
	return strings.TrimSpace(node), strings.TrimSpace(field)
}
