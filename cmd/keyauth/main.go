// Command keyauth is the Kong plugin keyauth: run with -help it says how Kong starts it.
package main

import (
	"os"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/keyauth"
)

func main() { os.Exit(pluginserver.Run(keyauth.Plugin())) }
