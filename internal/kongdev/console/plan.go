package console

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/declarative"
)

// A plan is the workflow of a plugin's configuration before any request: what
// its binary has drawn.
type plan struct {
	planSummary
	Debug bool           `json:"debug"`          // its requests can be traced
	Path  string         `json:"path,omitempty"` // one that reaches it
	Error string         `json:"error,omitempty"`
	Nodes []workflowNode `json:"-"` // none when there is an error

	version uint64
}

// A planSummary is a row of the list of workflows.
type planSummary struct {
	Number int64  `json:"n"`
	Plugin string `json:"plugin"`
	Scope  string `json:"scope"`
	Count  int    `json:"nodes_count"` // declared nodes
	Wrong  bool   `json:"wrong"`
}

// draw has the workflows of a gateway's configuration drawn, one by one.
func (c *Console) draw(ctx context.Context, g *kongdev.Gateway) {
	for _, p := range g.Config().Plugins {
		if ctx.Err() != nil {
			return
		}
		if !p.Enabled || !p.HasWorkflow() {
			continue
		}
		nodes, _ := p.Config["nodes"].([]any)
		one := plan{planSummary: planSummary{Plugin: p.Name, Scope: scopeOf(p), Count: len(nodes)}}
		one.Debug, _ = p.Config["debug"].(bool)
		if p.Route != nil && len(p.Route.Paths) > 0 && !strings.HasPrefix(p.Route.Paths[0], "~") {
			one.Path = p.Route.Paths[0]
		}
		drawn, err := g.Graph(ctx, p)
		var w workflow
		if err == nil {
			err = json.Unmarshal(drawn, &w)
		}
		if err != nil {
			one.Wrong, one.Error = true, withoutCredentials(clip(err.Error(), maxLine))
		}
		if one.Nodes = w.Nodes; len(one.Nodes) > maxWorkflowNodes {
			one.Nodes = nil
		}
		c.mu.Lock()
		c.version++
		one.Number, one.version = int64(len(c.plans)+1), c.version
		c.plans = append(c.plans, one)
		c.mu.Unlock()
	}
}

// scopeOf says which requests a plugin's configuration is for.
func scopeOf(p *declarative.Plugin) string {
	var parts []string
	if p.Route != nil {
		parts = append(parts, "route "+nameOr(p.Route.Name, p.Route.ID))
	}
	if p.Service != nil {
		parts = append(parts, "service "+nameOr(p.Service.Name, p.Service.ID))
	}
	if p.Consumer != nil {
		parts = append(parts, "consumer "+nameOr(p.Consumer.Username, p.Consumer.ID))
	}
	if len(parts) == 0 {
		return "every request"
	}
	return strings.Join(parts, ", ")
}

func nameOr(name, id string) string {
	if name != "" {
		return name
	}
	return id
}

// Traces that are looked for: so many, among so many newest requests.
const (
	maxTraces      = 10
	maxTraceSearch = 300
)

// A planDetail is a plan with the last requests whose traces it has, and one of
// those traces.
type planDetail struct {
	plan
	Traces   []traceSummary `json:"traces"`
	Shown    int64          `json:"shown,omitempty"` // the request whose trace Workflow is
	Workflow *workflow      `json:"workflow"`        // without a trace it has no events
}

type traceSummary struct {
	Number   int64  `json:"n"`
	TimeMS   int64  `json:"t"`
	Status   int    `json:"status"`
	Answered int64  `json:"us"`
	Route    string `json:"route,omitempty"`
}

// planDetail is a plan with its last traces, the one of a request among them or
// else the newest; false when there is no such plan.
func (c *Console) planDetail(number, request int64) (planDetail, bool) {
	c.mu.Lock()
	if number < 1 || number > int64(len(c.plans)) {
		c.mu.Unlock()
		return planDetail{}, false
	}
	d := planDetail{plan: c.plans[number-1], Traces: []traceSummary{}}
	recent := c.requests.newestOf(maxTraceSearch)
	c.mu.Unlock()
	if d.Nodes == nil {
		return d, true
	}
	d.Workflow = &workflow{Nodes: d.Nodes}
	wanted := kindsOf(d.Nodes)
	for _, l := range recent {
		t := l.Snapshot()
		w := workflowOf(t)
		if w == nil || !maps.Equal(kindsOf(w.Nodes), wanted) {
			continue
		}
		d.Traces = append(d.Traces, traceSummary{t.Number, t.Start.UnixMilli(), t.Status, micros(t.Answered), t.Route})
		if d.Shown == 0 || t.Number == request {
			d.Shown, d.Workflow = t.Number, w
		}
		if len(d.Traces) == maxTraces {
			break
		}
	}
	return d, true
}

// kindsOf are the types of nodes by name.
func kindsOf(nodes []workflowNode) map[string]string {
	kinds := make(map[string]string, len(nodes))
	for _, n := range nodes {
		kinds[n.Name] = n.Type
	}
	return kinds
}
