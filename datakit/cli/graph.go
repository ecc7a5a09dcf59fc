package cli

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"kong-go-plugins/datakit"
)

var graphCommand = command{
	name:  "graph",
	usage: "graph [flags] FILE",
	about: "Draws a workflow: its phases as lanes, values as arrows with the ports they go from and to, branches as dotted arrows.\n" +
		"The critical path is marked: of all chains of nodes that wait for each other, the one with the most calls, since their\n" +
		"round trips add up; then the one whose timeouts together are longest, then the one with the most nodes.",
	run: graph,
}

func graph(o *out, f *flag.FlagSet, args []string) (int, error) {
	format := f.String("format", "mermaid", "`format` of the drawing: mermaid, dot (Graphviz) or json")
	n := f.Int("n", 0, "the `number` of the configuration, from 1, when the file holds several")
	plugin := f.String("plugin", "datakit", "the `name` that Kong has for the plugin")
	file, err := oneFile(f, args)
	if err != nil {
		return exitUsage, err
	}
	if *format != "mermaid" && *format != "dot" && *format != "json" {
		return wrongUsage("-format %q: expected mermaid, dot or json", *format)
	}
	s, err := openOne(file, *plugin, *n)
	if err != nil {
		return exitUsage, err
	}
	engine := datakit.NewOfflineEngine(func(string, string) {}, datakit.Replacements{})
	defer func() { _ = engine.Close(context.Background()) }()
	plan, err := engine.Compile(s.known().json())
	if err != nil {
		for _, one := range s.check() {
			fmt.Fprintln(o.stderr, one)
		}
		return exitBad, fmt.Errorf("a workflow with mistakes cannot be drawn")
	}
	d := newDrawing(plan.Nodes())
	switch *format {
	case "dot":
		o.printf("%s", d.dot())
	case "json":
		return exitGood, d.json(o.stdout)
	default:
		o.printf("%s", d.mermaid())
	}
	return exitGood, nil
}

// openOne reads the one configuration of a file that is to be worked with.
func openOne(file, plugin string, n int) (*source, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	sources, err := readSources(file, plugin, text)
	if err != nil {
		return nil, err
	}
	s, err := pick(sources, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// A drawing is a workflow as nodes in lanes, and arrows.
type drawing struct {
	nodes    []datakit.Node
	arrows   []arrow
	critical []string // names of the nodes on the critical path, in order
	calls    int      // on it
}

type arrow struct {
	from, to, label string
	branch          bool // a decision, no value
	order           bool // only the order of the gateway's ends
}

func newDrawing(nodes []datakit.Node) *drawing {
	d := &drawing{nodes: nodes}
	has := map[string]bool{}
	for _, n := range nodes {
		has[n.Name] = true
	}
	for _, n := range nodes {
		for _, l := range n.Links {
			d.arrows = append(d.arrows, arrow{from: l.From, to: n.Name, label: linkLabel(l)})
		}
		if n.Branch != "" {
			d.arrows = append(d.arrows, arrow{from: n.Branch, to: n.Name, label: sideName(n.Side), branch: true})
		}
	}
	if has["service_response"] && has["service_request"] {
		d.arrows = append(d.arrows, arrow{from: "service_request", to: "service_response", label: "upstream", order: true})
	}
	d.findCritical()
	return d
}

// linkLabel names the ports that a value goes from and to.
func linkLabel(l datakit.Link) string {
	out := strings.Join(append([]string{l.Out}, l.Path...), ".")
	out = strings.Trim(out, ".")
	switch {
	case out == l.In:
		return out
	case l.In == "":
		return out
	case out == "":
		return "→ " + l.In
	}
	return out + " → " + l.In
}

// A chain is a way through the workflow.
type chain struct {
	calls   int
	timeout time.Duration
	names   []string
}

func longer(a, b chain) bool {
	return cmp.Or(cmp.Compare(a.calls, b.calls), cmp.Compare(a.timeout, b.timeout), cmp.Compare(len(a.names), len(b.names))) > 0
}

// findCritical finds the longest chain. The first one in list order wins among equals.
func (d *drawing) findCritical() {
	byName := map[string]datakit.Node{}
	for _, n := range d.nodes {
		byName[n.Name] = n
	}
	longest := map[string]chain{}
	var to func(name string) chain
	to = func(name string) chain {
		if c, known := longest[name]; known {
			return c
		}
		var best chain
		for _, a := range d.arrows {
			if a.to == name {
				if c := to(a.from); longer(c, best) {
					best = c
				}
			}
		}
		n := byName[name]
		c := chain{best.calls, best.timeout, append(slices.Clone(best.names), name)}
		if n.Type == "call" {
			c.calls, c.timeout = c.calls+1, c.timeout+n.Timeout
		}
		longest[name] = c
		return c
	}
	var best chain
	for _, n := range d.nodes {
		if c := to(n.Name); longer(c, best) {
			best = c
		}
	}
	d.critical, d.calls = best.names, best.calls
}

func (d *drawing) isCritical(name string) bool { return slices.Contains(d.critical, name) }

// isCriticalArrow reports whether an arrow leads from one node of the critical path to the next.
func (d *drawing) isCriticalArrow(a arrow) bool {
	for i := range d.critical {
		if i > 0 && d.critical[i-1] == a.from && d.critical[i] == a.to {
			return true
		}
	}
	return false
}

// story says what the critical path is.
func (d *drawing) story() string {
	return fmt.Sprintf("critical path (%s): %s", counted(d.calls, "call"), strings.Join(d.critical, " → "))
}

// A lane is a phase.
type lane struct {
	id, title string
	nodes     []datakit.Node
}

// lanes are the phases, with the gateway's ends where a request meets them.
func (d *drawing) lanes() []lane {
	lanes := []lane{{id: "access", title: "access: before the upstream"}, {id: "response", title: "response: after the upstream"}}
	for _, n := range d.nodes {
		i := 0
		if n.Late {
			i = 1
		}
		lanes[i].nodes = append(lanes[i].nodes, n)
	}
	return slices.DeleteFunc(lanes, func(l lane) bool { return len(l.nodes) == 0 })
}

// mermaid draws for Mermaid, which GitHub and GitLab show.
func (d *drawing) mermaid() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%%%% %s\nflowchart LR\n", d.story())
	for _, l := range d.lanes() {
		fmt.Fprintf(&b, "  subgraph lane_%s [\"%s\"]\n", l.id, l.title)
		for _, n := range l.nodes {
			open, closed := "[", "]"
			switch {
			case n.Index == 0:
				open, closed = "([", "])"
			case n.Type == "branch":
				open, closed = "{", "}"
			case n.Type == "call":
				open, closed = "[[", "]]"
			case n.Ends:
				open, closed = "([", "])"
			}
			label := n.Name
			if n.Index > 0 {
				label += "<br/>" + n.Type
			}
			fmt.Fprintf(&b, "    %s%s\"%s\"%s\n", mermaidID(n.Name), open, label, closed)
		}
		b.WriteString("  end\n")
	}
	var marked []string
	for i, a := range d.arrows {
		line := "-->"
		if a.branch {
			line = "-.->"
		} else if a.order {
			line = "==>"
		}
		if a.label != "" {
			line += `|"` + strings.ReplaceAll(a.label, `"`, "#quot;") + `"|`
		}
		fmt.Fprintf(&b, "  %s %s %s\n", mermaidID(a.from), line, mermaidID(a.to))
		if d.isCriticalArrow(a) {
			marked = append(marked, fmt.Sprint(i))
		}
	}
	if d.calls > 0 {
		b.WriteString("  classDef critical stroke:#c0392b,stroke-width:3px\n")
		ids := make([]string, len(d.critical))
		for i, name := range d.critical {
			ids[i] = mermaidID(name)
		}
		fmt.Fprintf(&b, "  class %s critical\n", strings.Join(ids, ","))
		if len(marked) > 0 {
			fmt.Fprintf(&b, "  linkStyle %s stroke:#c0392b,stroke-width:3px\n", strings.Join(marked, ","))
		}
	}
	return b.String()
}

// mermaidID keeps a name from being a word of Mermaid such as end.
func mermaidID(name string) string { return "n_" + strings.ReplaceAll(name, "-", "_dash_") }

// dot draws for Graphviz.
func (d *drawing) dot() string {
	var b strings.Builder
	fmt.Fprintf(&b, "// %s\ndigraph workflow {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n", d.story())
	for _, l := range d.lanes() {
		fmt.Fprintf(&b, "  subgraph \"cluster_%s\" {\n    label=\"%s\";\n", l.id, l.title)
		for _, n := range l.nodes {
			shape, label := "box", n.Name+`\n`+n.Type
			switch {
			case n.Index == 0:
				shape, label = "oval", n.Name
			case n.Type == "branch":
				shape = "diamond"
			case n.Type == "call":
				shape = "component"
			case n.Ends:
				shape = "oval"
			}
			fmt.Fprintf(&b, "    \"%s\" [label=\"%s\", shape=%s%s];\n", n.Name, label, shape, d.dotMark(d.calls > 0 && d.isCritical(n.Name)))
		}
		b.WriteString("  }\n")
	}
	for _, a := range d.arrows {
		style := ""
		if a.branch {
			style = ", style=dotted"
		} else if a.order {
			style = ", style=bold"
		}
		fmt.Fprintf(&b, "  \"%s\" -> \"%s\" [label=\"%s\"%s%s];\n", a.from, a.to, strings.ReplaceAll(a.label, `"`, `\"`), style, d.dotMark(d.calls > 0 && d.isCriticalArrow(a)))
	}
	b.WriteString("}\n")
	return b.String()
}

func (d *drawing) dotMark(critical bool) string {
	if critical {
		return `, color="#c0392b", penwidth=3`
	}
	return ""
}
