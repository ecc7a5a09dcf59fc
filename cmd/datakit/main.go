// Command datakit is the Kong plugin datakit: run with -help it says how Kong starts it. "datakit validate", "graph", "run",
// "test" and "convert" work on files with workflows, without Kong.
package main

import (
	"os"
	"strings"

	"kong-go-plugins/datakit"
	"kong-go-plugins/datakit/cli"
	"kong-go-plugins/internal/pluginserver"
)

func main() {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") { // every setting of the server is a flag
		os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
	}
	p := datakit.Plugin()
	p.Commands = cli.Usages()
	os.Exit(pluginserver.Run(p))
}
