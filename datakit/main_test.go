package datakit_test

import (
	"os"
	"path/filepath"
	"testing"

	"kong-go-plugins/datakit"
	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/schema"
)

// TestMain makes this test binary the plugin, too, under the file name datakit.
func TestMain(m *testing.M) {
	executable, err := os.Executable()
	if err == nil {
		switch name := filepath.Base(executable); name {
		case "datakit":
			os.Exit(pluginserver.Run(datakit.Plugin()))
		case "noop":
			os.Exit(pluginserver.Run(pluginserver.Plugin{Name: name, Version: "0.1.0", Priority: 1, Schema: schema.Plugin{Name: name}, New: func() any { return &noop{} }}))
		}
	}
	os.Exit(m.Run())
}
