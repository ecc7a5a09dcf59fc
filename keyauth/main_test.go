package keyauth

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/Kong/go-pdk/server"

	"kong-go-plugins/schema"
)

// TestMain makes this test binary two programs: the tests, and under the plugin's name the plugin on go-pdk's own
// server, under which the same handler must work too.
func TestMain(m *testing.M) {
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if filepath.Base(executable) != "keyauth" {
		os.Exit(m.Run())
	}
	if slices.Contains(os.Args, "-dump") {
		_, _ = os.Stdout.Write(Schema().Dump(schema.DumpInfo{Name: "keyauth", Version: Version, Priority: Priority, Phases: []string{"access"}}))
		return
	}
	gate := NewGate(func(_, text string) { fmt.Fprintln(os.Stderr, text) })
	if err := server.StartServer(func() any { return New(gate) }, Version, Priority); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
