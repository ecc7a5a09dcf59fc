// Command datakit is the Kong plugin datakit: run with -help it says how Kong starts it.
package main

import (
	"os"

	"kong-go-plugins/datakit"
	"kong-go-plugins/internal/pluginserver"
)

func main() { os.Exit(pluginserver.Run(datakit.Plugin())) }
