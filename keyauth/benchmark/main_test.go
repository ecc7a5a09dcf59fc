// Package benchmark compares keyauth with the same check written plainly on go-pdk's own server, in one run:
//
//	go test -bench . ./keyauth/benchmark
//
// Each is a process of its own; the figures are its processor time, not that of the driver, which plays Kong. Machines
// differ: read the ratios.
package benchmark

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/keyauth"
	"kong-go-plugins/schema"
)

// Roles: which plugin this binary is under another file name.
const (
	ours      = "keyauth"
	peer      = "plain"
	ourNoop   = "noop"
	peersNoop = "plainnoop"
)

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case ours:
		os.Exit(pluginserver.Run(keyauth.Plugin()))
	case ourNoop:
		os.Exit(pluginserver.Run(pluginserver.Plugin{Name: ourNoop, Version: "1.0.0", Priority: 1, New: func() any { return &noop{} }}))
	case peer:
		servePlain(func() any { return &plain{} })
	case peersNoop:
		servePlain(func() any { return &noop{} })
	default:
		code := m.Run()
		printTable(os.Stdout)
		os.Exit(code)
	}
}

// noop does nothing: what an event costs without a plugin's work.
type noop struct{}

func (*noop) Access(*pdk.PDK) {}

// servePlain runs a plugin on go-pdk's own server. Its dump is that of keyauth, so that both take one configuration.
func servePlain(newConfig func() any) {
	if slices.Contains(os.Args, "-dump") {
		_, _ = os.Stdout.Write(keyauth.Schema().Dump(schema.DumpInfo{Name: peer, Version: "1.0.0", Priority: keyauth.Priority, Phases: []string{"access"}}))
		return
	}
	fmt.Fprintln(os.Stderr, server.StartServer(func() any { return newConfig() }, "1.0.0", keyauth.Priority))
	os.Exit(1)
}
