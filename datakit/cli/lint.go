package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/itchyny/gojq"

	"kong-go-plugins/datakit"
)

// A warning is what is odd about a configuration that is right.
type warning struct {
	path string
	line int // behind that of path
	text string
}

// lint finds what is odd about a sound workflow.
func lint(plan *datakit.Plan, s *source) (found []warning) {
	nodes := plan.Nodes()
	known := &shapes{nodes: map[string]datakit.Node{}, source: s, results: map[string]*shape{}}
	fed := map[string]bool{}
	for _, n := range nodes {
		known.nodes[n.Name] = n
		for _, l := range n.Links {
			fed[l.From] = true
		}
	}
	warn := func(n datakit.Node, member string, line int, format string, args ...any) {
		path := fmt.Sprintf("nodes[%d]", n.Index-1)
		if member != "" {
			path += "." + member
		}
		found = append(found, warning{path, line, fmt.Sprintf(format, args...)})
	}
	for _, n := range inOrder(nodes) {
		if n.Type == "jq" {
			program, _ := s.node(n.Index - 1)["jq"].(string)
			for _, w := range checkProgram(plan, known, n, program) {
				member, line := "jq", s.lineWithin(fmt.Sprintf("nodes[%d].jq", n.Index-1), program, w.piece)
				if name, isInput := strings.CutPrefix(w.piece, "input "); isInput {
					member, line = "inputs."+name, 0
				}
				warn(n, member, line, "%s", w.text)
			}
		}
		if n.Type == "branch" {
			for _, l := range n.Links {
				if v := known.of(l); v.kind != "" && v.kind != "boolean" {
					warn(n, "input", 0, "a branch takes true or false, and %s gives %s: every request fails", l.From, article(v.kind))
				}
			}
		}
		if text := idle(n, s, fed[n.Name]); text != "" {
			warn(n, "", 0, "%s", text)
		}
	}
	return found
}

// idle says why a node does nothing, or "".
func idle(n datakit.Node, s *source, fed bool) string {
	options := s.node(n.Index - 1)
	program, _ := options["jq"].(string)
	switch {
	case fed, n.Index == 0:
		return ""
	case n.Type == "static", n.Type == "jq" && !strings.Contains(program, "error"), n.Type == "property" && !n.Writes && options["non_nil"] != true,
		n.Type == "json_to_xml", n.Type == "jwt_decode", n.Type == "jwt_sign":
		return fmt.Sprintf("nothing takes its output, and a node of type %s does nothing else", n.Type)
	}
	return ""
}

// inOrder returns nodes so that each stands behind those it takes values from.
func inOrder(nodes []datakit.Node) []datakit.Node {
	var list []datakit.Node
	done := map[string]bool{}
	byName := map[string]datakit.Node{}
	for _, n := range nodes {
		byName[n.Name] = n
	}
	var visit func(n datakit.Node)
	visit = func(n datakit.Node) {
		if done[n.Name] {
			return
		}
		done[n.Name] = true
		for _, l := range n.Links {
			visit(byName[l.From])
		}
		list = append(list, n)
	}
	for _, n := range nodes {
		visit(n)
	}
	return list
}

// checkProgram checks the program of a jq node and notes the shape of its result.
func checkProgram(plan *datakit.Plan, known *shapes, n datakit.Node, program string) []jqWarning {
	query, err := gojq.Parse(program)
	if err != nil {
		return nil
	}
	inputs := &uses{keys: map[string]bool{}}
	c := &jqChecker{header: plan.HeaderName, inputs: inputs, names: map[string]bool{}}
	in, vars, named := kindOf("null"), scope{}, []string{}
	for _, l := range n.Links {
		v := known.of(l)
		if l.In == "" {
			in = v
			continue
		}
		if c.all == nil {
			c.all = &shape{kind: "object", closed: true, keys: map[string]*shape{}}
			in = c.all
		}
		c.all.keys[l.In] = v
		variable := *v
		variable.uses = inputs
		vars["$"+l.In] = &variable
		named = append(named, l.In)
	}
	if c.all == nil {
		c.all = &shape{} // is no value's
	}
	result := c.use(c.query(query, in, vars))
	if result == c.all || result.uses != nil {
		result = anything
	}
	known.results[n.Name] = &shape{kind: result.kind, keys: result.keys, closed: result.closed}
	slices.Sort(named)
	for _, name := range named {
		if !inputs.all && !inputs.keys[name] {
			c.found = append(c.found, jqWarning{piece: "input " + name, text: fmt.Sprintf("the program does not look at the input %s", name)})
		}
	}
	return slices.DeleteFunc(c.found, func(w jqWarning) bool { return w.header != "" && c.names[w.header] })
}

// lineWithin is how many lines below the member's the piece of a text stands, when the text is a block and has it once.
func (s *source) lineWithin(path, text, piece string) int {
	if !s.blocks[path] {
		return 0
	}
	found := 0
	for i, line := range strings.Split(text, "\n") {
		if !strings.Contains(line, piece) {
			continue
		}
		if found > 0 {
			return 0
		}
		found = i + 1
	}
	return found
}
