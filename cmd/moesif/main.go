// Command moesif is the Kong plugin moesif: run with -help it says how Kong starts it. "moesif replay" sends what a spool
// folder holds.
package main

import (
	"os"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/moesif"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "replay" {
		os.Exit(moesif.Replay(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(pluginserver.Run(moesif.Plugin()))
}
