package datakit_test

import (
	"os"
	"path/filepath"
	"testing"

	"kong-go-plugins/datakit"
	"kong-go-plugins/internal/pluginserver"
)

// TestMain makes this test binary the plugin, too, under the file name datakit.
func TestMain(m *testing.M) {
	executable, err := os.Executable()
	if err == nil {
		if filepath.Base(executable) == "datakit" {
			os.Exit(pluginserver.Run(datakit.Plugin()))
		}
	}
	os.Exit(m.Run())
}
