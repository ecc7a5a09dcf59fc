package datakit

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/itchyny/gojq"

	"kong-go-plugins/datakit/kv"
	"kong-go-plugins/internal/pluginserver"
)

// A Plan is a compiled workflow. Requests share it; nothing of it is ever changed but the memory that they leave to each
// other.
type Plan struct {
	steps       []*step // in list order, the implicit nodes behind
	early, late []int   // the steps of each phase that do something, in list order
	carried     []int   // steps of the access phase whose values the response phase needs

	request         Ports // of the node request, as wanted by anything
	serviceResponse Ports
	needsResponse   bool

	requestStep, serviceRequestStep, serviceResponseStep, responseStep int

	ask        [2][]pluginserver.Question // what Kong is asked first: in access, in response
	names      caser
	budget     time.Duration // of a phase
	overBudget error

	// needsDeadline is false where no node waits for others, and none but jq, which has a limit of its own, computes long:
	// then the time is looked at between nodes.
	needsDeadline bool

	claims   bool // others may wait for values that a request puts into a cache
	putsLate bool // and the response phase may put them in

	maxParallel int
	maxBody     int
	debug       bool
	warnings    []string
	report      func(key, text string)
	closers     []func()

	flows sync.Pool // of *flow
}

// A step is a node of a plan, declared or implicit.
type step struct {
	name, typ string
	index     int  // position in nodes from 1, 0 for implicit ones
	node      node // nil for the gateway's ends
	async     bool
	ender     *exitNode
	spread    bool // a whole value goes into its named inputs
	constant  bool // it gives the same in both phases

	links   []*link
	waits   []int // the steps that must be over
	feeds   []int // the steps that wait for it
	owner   *owner
	late    bool
	secret  bool
	whole   bool // it has one output, its whole value
	ins     []port
	outs    []port
	hasOut  []string
	headers bool // its field headers is one of received headers
	masks   map[string]bool

	secretInput map[string]bool // inputs that may hold values from a vault
	headerInput map[string]bool // inputs that are one header, whose values no trace shows

	observe func(time.Duration, status)
}

// NeedsResponse reports whether the workflow has work to do after the upstream has answered.
func (p *Plan) NeedsResponse() bool { return p.needsResponse }

// close gives back what the nodes share.
func (p *Plan) close() {
	for _, end := range p.closers {
		end()
	}
}

// Warnings are what is worth saying of a workflow though it is right.
func (p *Plan) Warnings() []string { return p.warnings }

// A builder compiles the nodes of one workflow.
type builder struct {
	graph   *graph
	engine  *Engine
	maxBody int
	budget  time.Duration
	opened  *kv.Cache // the workflow's cache, once a node has asked for it
	closers []func()

	cacheConfig *CacheConfig
	programs    []*gojq.Query
	names       caser // complete when all nodes are built
	warnings    []string
}

func (b *builder) warn(c *NodeConfig, member, format string, args ...any) {
	b.warnings = append(b.warnings, (&Problem{Path: c.path + "." + member, Node: c.Name, Text: fmt.Sprintf(format, args...)}).Error())
}

// compile checks a configuration and makes its plan. The error holds every mistake.
func (e *Engine) compile(c *Config) (*Plan, error) {
	var p problems
	c.problems(&p)
	nodes := readNodes(c.Nodes, &c.Resources, &p)
	g := newGraph(nodes, &c.Resources, &p)
	b := &builder{graph: g, engine: e, maxBody: c.MaxBodyBytes, budget: time.Duration(c.TimeoutMS) * time.Millisecond, cacheConfig: c.Resources.Cache}
	plan := &Plan{
		request: Ports{}, serviceResponse: Ports{}, budget: b.budget, maxParallel: c.MaxParallel, maxBody: c.MaxBodyBytes, debug: c.Debug, report: e.report,
	}
	for _, v := range g.vertices {
		plan.steps = append(plan.steps, b.step(v, &c.Resources))
	}
	c.Resources.Cache.check(&p)
	checkVault(c.Resources.Vault, &p)
	plan.closers = b.closers
	if err := p.err(); err != nil {
		plan.close()
		return nil, err
	}
	b.names = caser{lower: c.HeaderCase == "lower", aliases: headerAliases(b.programs)}
	plan.names = b.names
	plan.warnings = b.warnings
	plan.overBudget = plainError(fmt.Sprintf("the workflow took longer than %s (timeout_ms)", plan.budget))
	plan.connect(g)
	plan.ask = plan.questions(e.accessOnly())
	if plan.needsResponse && e.accessOnly() {
		return nil, errors.New("this workflow has work in the response phase (a node depends on service_response, feeds response, or sets kong.response.status), and the plugin was started with -phases access; start it without, or change the workflow")
	}
	return plan, nil
}

// step builds one node.
func (b *builder) step(v *vertex, r *Resources) *step {
	s := &step{name: v.name, typ: "implicit", links: v.links, owner: v.owner, late: v.late, secret: v.secret, ins: v.in, outs: v.out}
	for _, p := range v.out {
		if s.whole = p.name == self; s.whole {
			break
		}
		s.hasOut = append(s.hasOut, p.name)
		s.headers = s.headers || p.name == "headers"
	}
	s.secretInput, s.headerInput = map[string]bool{}, map[string]bool{}
	for _, l := range v.links {
		if b.graph.vertices[l.from].secret {
			s.secretInput[l.in] = true
		}
		if n := len(l.path); n > 0 && secretHeaders[strings.ToLower(l.path[n-1])] {
			s.headerInput[l.in] = true
		}
	}
	if len(v.in) > 0 && !v.freeInputs {
		_, takesSelf := portOf(v.in, self)
		s.spread = !takesSelf
	}
	if v.conf == nil {
		if v.name == vaultNode {
			s.constant = true
			s.node = vaultNodeOf(b, v, r)
		}
		return s
	}
	c := v.conf
	s.typ, s.index, s.async, s.masks = c.Type, c.Index+1, c.kind.async, c.kind.masks
	s.constant = v.isStatic() && v.owner == nil
	s.observe = b.engine.stats.observer(c.Name, c.Type)
	n, err := c.kind.build(c, b)
	if err != nil {
		for _, p := range Problems(err) {
			member, text, ok := strings.Cut(p.Text, ": ")
			if option, _, _ := strings.Cut(member, "["); ok && c.declares(option) {
				c.fail(member, "%s", text)
			} else {
				c.fail("", "%s", p.Text)
			}
		}
	}
	c.rest("a node of type " + c.Type)
	s.node = n
	if w, ok := n.(interface{ waits() bool }); ok {
		s.async = w.waits()
	}
	if exit, ok := n.(exitNode); ok {
		s.ender = &exit
	}
	return s
}

// connect finds what waits for what, and what is to be read.
func (p *Plan) connect(g *graph) {
	p.requestStep, p.serviceRequestStep = g.byName[requestNode], g.byName[serviceRequestNode]
	p.serviceResponseStep, p.responseStep = g.byName[serviceResponseNode], g.byName[responseNode]
	carried := make([]bool, len(p.steps))
	for i, s := range p.steps {
		for _, from := range g.sources(g.vertices[i]) {
			if len(s.links) == 0 && (s.owner == nil || s.owner.branch != from) {
				continue // only an order between the gateway's ends
			}
			if !s.waitsFor(from) {
				continue
			}
			s.waits = append(s.waits, from)
			p.steps[from].feeds = append(p.steps[from].feeds, i)
			if (s.late) && !p.steps[from].late && !p.steps[from].constant {
				carried[from] = true
			}
		}
		for _, l := range s.links {
			switch l.from {
			case p.requestStep:
				p.request.add(l.out, p.steps[l.from].hasOut)
			case p.serviceResponseStep:
				p.serviceResponse.add(l.out, p.steps[l.from].hasOut)
			}
		}
	}
	for i, s := range p.steps {
		if carried[i] {
			p.carried = append(p.carried, i)
		}
		if s.node == nil {
			continue
		}
		if s.typ == "call" && !s.late {
			p.request[traceParent] = true
		}
		if s.late || s.constant && p.feedsLate(s) {
			p.late = append(p.late, i)
		}
		if !s.late {
			p.early = append(p.early, i)
		}
		if n, ok := s.node.(propertyNode); ok && n.set && n.name == statusProperty {
			p.needsResponse = true
		}
		if n, ok := s.node.(cacheNode); ok {
			p.claims = p.claims || n.wait > 0
			p.putsLate = p.putsLate || s.late
		}
		p.needsResponse = p.needsResponse || s.late
		p.needsDeadline = p.needsDeadline || s.async || s.typ == "xml_to_json" || s.typ == "json_to_xml" || s.typ == "jq" && p.budget < 2*jqTime
	}
	p.needsResponse = p.needsResponse || len(p.steps[p.responseStep].links) > 0
}

// waitsFor reports whether a step needs another one: for data, or as its branch.
func (s *step) waitsFor(from int) bool {
	if s.owner != nil && s.owner.branch == from {
		return true
	}
	for _, l := range s.links {
		if l.from == from {
			return true
		}
	}
	return false
}

func (p *Plan) feedsLate(s *step) bool {
	for _, i := range s.feeds {
		if p.steps[i].late {
			return true
		}
	}
	return false
}

// add adds a port, or all when the whole value is wanted.
func (w Ports) add(out string, all []string) {
	if out != self {
		w[out] = true
		return
	}
	for _, name := range all {
		w[name] = true
	}
}

// status reports whether a node sets the response's status.
func (p *Plan) status() bool {
	return p.hasProperty(func(n propertyNode) bool { return n.set && n.name == statusProperty })
}

// usesPlugin reports whether a node keeps values in kong.ctx.plugin.
func (p *Plan) usesPlugin() bool {
	return p.hasProperty(func(n propertyNode) bool { return strings.HasPrefix(n.name, ctxPlugin) })
}

func (p *Plan) hasProperty(is func(propertyNode) bool) bool {
	for _, s := range p.steps {
		if n, ok := s.node.(propertyNode); ok && is(n) {
			return true
		}
	}
	return false
}
