// Command moesif is the Kong plugin moesif: run with -help it says how Kong starts it.
package main

import (
	"os"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/moesif"
)

func main() { os.Exit(pluginserver.Run(moesif.Plugin())) }
