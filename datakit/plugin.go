// Package datakit is a Kong plugin that runs a workflow of nodes on each request: calls to other services, jq, caches,
// branches. It does what Kong's own Datakit does, by the same configuration.
//
// A configuration's way: config.go reads it, graph.go links the nodes and proves the workflow sound, plan.go compiles it
// once for all instances. A request's way: access.go and response.go read from Kong what the plan needs (pdk_host.go),
// run.go runs the nodes, and what the plan has come to is written last. A node type is one file, node_<type>.go.
//
// The plugin fails as the workflow says. Without a word on it, a node that fails, a wrong configuration or a defect of its
// own is answered with 500.
package datakit

//go:generate go run kong-go-plugins/schema/gen datakit

import (
	"flag"

	"kong-go-plugins/internal/pluginserver"
)

// Plugin returns what pluginserver.Run needs to know. It starts nothing.
func Plugin() pluginserver.Plugin {
	reports := pluginserver.NewReports()
	engine := NewEngine(reports.Report)
	return pluginserver.Plugin{
		Name:     "datakit",
		Version:  Version,
		Priority: Priority,
		Schema:   Schema(),
		New:      func() any { return New(engine) },
		Drain:    engine.Close,
		Reports:  reports,
		Metrics:  engine.register,
		Flags: func(f *flag.FlagSet) {
			engine.phases, engine.settings.prefix = f.Lookup("phases"), f.Lookup("kong-prefix")
		},
	}
}
