// Package pluginserver runs one Go plugin under Kong Gateway.
//
// It takes the place of go-pdk's own server: plugins are written against go-pdk's types (*pdk.PDK), and Run is the whole
// of their main. What it does better, and why, is in docs/architecture.md; in short: one write per flight, setters
// answered at once and sent with the next flight, no failure of a handler ever reaches another request, and the process
// survives its own crash without a refused connection.
//
// A connection of Kong is served by one goroutine (server.go). For each event it makes an event (event.go), which is the
// net.Conn that go-pdk writes its calls to, and runs the plugin's handler on it.
package pluginserver

import (
	"context"
	"flag"
	"reflect"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/prometheus/client_golang/prometheus"

	"kong-go-plugins/schema"
)

// A Plugin is what a main hands to Run.
type Plugin struct {
	Name     string        // the plugin's name when neither -name nor the executable's base name says otherwise
	Version  string        // x.y.z, as Kong wants it
	Priority int           // Kong runs handlers by descending priority
	Schema   schema.Plugin // the configuration's declaration

	// New returns a pointer to a fresh configuration; Kong's JSON is unmarshalled into it. Its methods
	// Certificate, Rewrite, Access, Response, Preread and Log, each func(*pdk.PDK), are the plugin's phases.
	// A method Prepare() is called once, in the background, after Kong was told that the instance has started: what is
	// to be fetched or opened before the first request belongs there. Events do not wait for it.
	// A method Close() is called when the instance is gone for good. A method Check() error says what is wrong with a
	// configuration beyond its schema, for -validate; its texts begin with the field. A method Warnings() []string says what is odd
	// about one that is right.
	New func() any

	// FailOpen says what a failed handler does to the request: true ends the event and lets the request go on
	// (analytics), false answers 500 (identity, workflows).
	FailOpen bool

	// Drain flushes what the plugin still holds. It is called once, after the last handler has ended.
	Drain func(ctx context.Context) error

	// Reports are what the plugin's own goroutines tell the operator with; Run gives them the plugin's log. Optional.
	Reports *Reports

	Commands []string // how the executable is called for what main does in place of Run, for -help; optional

	Metrics func(prometheus.Registerer) // registers the plugin's collectors; optional
	Flags   func(*flag.FlagSet)         // registers the plugin's own flags; optional

	// CheckFlags says, before serving, what is wrong with the plugin's own flags. It may read files, and unlike the error
	// of a flag's Set its text does not repeat the value, which may be secret. Optional.
	CheckFlags func() error

	slack time.Duration // on top of the limits of processes, for tests, whose machine may be busy
}

type preparer interface{ Prepare() }

// A phase is a bit of a phases set.
type phases uint8

const (
	certificate phases = 1 << iota
	rewrite
	access
	response
	preread
	log
)

// phaseNames are Kong's names in the order in which a dump lists them, index = bit number.
var phaseNames = [...]string{"certificate", "rewrite", "access", "response", "preread", "log"}

func (p phases) String() string {
	for i, name := range phaseNames {
		if p == 1<<i {
			return name
		}
	}
	return "unknown"
}

// phaseOf returns the bit of a phase name, 0 when Kong has no such phase.
func phaseOf(name []byte) phases {
	for i, n := range phaseNames {
		if n == string(name) {
			return 1 << i
		}
	}
	return 0
}

// handlerSet holds a configuration's handlers by bit number.
type handlerSet [len(phaseNames)]func(*pdk.PDK)

func (h *handlerSet) of(p phases) func(*pdk.PDK) {
	for i := range h {
		if p == 1<<i {
			return h[i]
		}
	}
	return nil
}

func handlersOf(config any) (h handlerSet) {
	if c, ok := config.(interface{ Certificate(*pdk.PDK) }); ok {
		h[0] = c.Certificate
	}
	if c, ok := config.(interface{ Rewrite(*pdk.PDK) }); ok {
		h[1] = c.Rewrite
	}
	if c, ok := config.(interface{ Access(*pdk.PDK) }); ok {
		h[2] = c.Access
	}
	if c, ok := config.(interface{ Response(*pdk.PDK) }); ok {
		h[3] = c.Response
	}
	if c, ok := config.(interface{ Preread(*pdk.PDK) }); ok {
		h[4] = c.Preread
	}
	if c, ok := config.(interface{ Log(*pdk.PDK) }); ok {
		h[5] = c.Log
	}
	return h
}

// phasesOf lists the phases that the configuration type of a plugin has handlers for, in Kong's order.
// It calls New once, so New must have no side effects. A method with a phase's name and a wrong signature is not a phase.
func phasesOf(p Plugin) []string {
	config := p.New()
	if config == nil || reflect.TypeOf(config).Kind() != reflect.Pointer {
		return nil
	}
	h := handlersOf(config)
	var names []string
	for i, f := range h {
		if f != nil {
			names = append(names, phaseNames[i])
		}
	}
	return names
}
