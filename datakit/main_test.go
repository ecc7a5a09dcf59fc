package datakit_test

import (
	"os"
	"path/filepath"
	"testing"

	"kong-go-plugins/datakit"
	"kong-go-plugins/datakit/kv"
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
	// The first Redis replaces the library's log, which is a plain variable that clients read: before there are others.
	_ = kv.OpenRedis(kv.RedisOptions{Addresses: []string{"127.0.0.1:1"}}).Close()
	os.Exit(m.Run())
}
