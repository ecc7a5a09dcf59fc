// Package keyauth is a Kong plugin that authenticates consumers by API key, as Kong's key-auth does, with credentials of
// its own: only digests of keys are stored.
//
// A request's way: find.go finds the key (in a header, the query or the body), package key hashes it, package store
// has its entry, judge.go says whether that is good here and now, identity.go tells Kong and the upstream who it is.
// access.go holds these together and asks Kong as little as possible.
//
// The plugin fails closed. A wrong configuration, a store that cannot answer and a defect of its own are answered with
// 500: never "accepted", never "wrong key", never the anonymous consumer.
package keyauth

//go:generate go run kong-go-plugins/schema/gen keyauth

import (
	"flag"

	"kong-go-plugins/internal/pluginserver"
)

// Plugin returns what pluginserver.Run needs to know. It starts nothing.
func Plugin() pluginserver.Plugin {
	reports := pluginserver.NewReports()
	gate := NewGate(reports.Report)
	return pluginserver.Plugin{
		Name:     "keyauth",
		Version:  Version,
		Priority: Priority,
		Schema:   Schema(),
		New:      func() any { return New(gate) },
		Drain:    gate.Close,
		Reports:  reports,
		Metrics:  gate.Register,
		Flags:    func(f *flag.FlagSet) { gate.prefix = f.Lookup("kong-prefix") },
	}
}
