// Package soak runs a plugin under the development gateway and under load, and kills, replaces and overlaps its
// processes:
//
//	make soak
//
// runs each test for a minute and prints the figures. Without the variable SOAK the tests are short, and their bounds are
// three times the aim, so that a busy machine decides nothing.
package soak

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/schema"
)

// pluginName is the plugin's, and the base name of the copy of this test binary that is it.
const pluginName = "soakplugin"

func TestMain(m *testing.M) {
	if exe, err := os.Executable(); err == nil && filepath.Base(exe) == pluginName {
		os.Exit(pluginserver.Run(soakPlugin()))
	}
	os.Exit(m.Run())
}

// soakPlugin lets requests pass or refuses them, as its configuration says. Its Drain takes two seconds and leaves a
// file that tells how many requests the process had seen.
func soakPlugin() pluginserver.Plugin {
	var file string
	var seen atomic.Int64
	return pluginserver.Plugin{
		Name: pluginName, Version: "1.0.0", Priority: 1000,
		Schema: schema.Plugin{Name: pluginName, Fields: []schema.Field{{Name: "mode", Type: schema.String, Required: true}}},
		New:    func() any { return &config{seen: &seen} },
		Flags:  func(f *flag.FlagSet) { f.StringVar(&file, "drain-file", "", "file that the end of Drain writes") },
		Drain: func(context.Context) error {
			if file == "" {
				return nil
			}
			time.Sleep(2 * time.Second)
			return os.WriteFile(file, []byte(strconv.FormatInt(seen.Load(), 10)), 0o600)
		},
	}
}

type config struct {
	Mode string `json:"mode"`
	seen *atomic.Int64
}

// Access asks one thing and sets two, as a key check does. What it answers names the configuration that answered. A request
// that may pass is over for Kong before the handler is.
func (c *config) Access(kong *pdk.PDK) {
	c.seen.Add(1)
	path, err := kong.Request.GetPath()
	if err != nil {
		return
	}
	_ = kong.Response.SetHeader("X-Mode", c.Mode)
	_ = kong.Response.SetHeader("X-Path", path)
	if c.Mode == "refuse" {
		pluginserver.Refuse(kong, 403, "refused", map[string]string{"X-Mode": c.Mode})
		return
	}
	pluginserver.AskLast(kong, pluginserver.AskMethod(), pluginserver.AskHeaders(10))
	_, _ = pluginserver.Method(kong)
}
