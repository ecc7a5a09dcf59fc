// Package moesif is a Kong plugin that logs API traffic to Moesif's API analytics service.
//
// For every request it makes one event: who asked what, the answer, and both bodies. The handlers (access.go, response.go,
// log.go) only ask Kong; encodeEvent (event.go) is a pure function; package send holds the encoded events of one application
// and sends them in batches, in order, until the collector has them; package remote knows its sampling rates and rules.
//
// The plugin never stops traffic by a failure. A wrong configuration, a collector that is away, a full queue or a defect of
// its own costs events, which are counted and spoken of, never a request. It answers a request only where a governance rule
// says so, or, with governance_fail_open off, while the rules are not known.
package moesif

//go:generate go run kong-go-plugins/schema/gen moesif

import (
	"kong-go-plugins/internal/pluginserver"
)

// Plugin returns what pluginserver.Run needs to know. It starts nothing.
func Plugin() pluginserver.Plugin {
	reports := pluginserver.NewReports()
	capture := NewCapture(reports.Report)
	return pluginserver.Plugin{
		Name:     "moesif",
		Version:  Version,
		Priority: Priority,
		Schema:   Schema(),
		New:      func() any { return New(capture) },
		FailOpen: true,
		Drain:    capture.Close,
		Reports:  reports,
		Metrics:  capture.Register,
		Flags:    capture.registerFlags,

		CheckFlags: capture.checkFlags,
	}
}
