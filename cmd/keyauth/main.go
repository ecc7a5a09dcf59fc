// Command keyauth is the Kong plugin keyauth: run with -help it says how Kong starts it. "keyauth keys" makes, shows and ends
// API keys in the node's keys file; "keyauth admin" serves an Admin API for the same.
package main

import (
	"os"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/keyauth"
	"kong-go-plugins/keyauth/admin"
	"kong-go-plugins/keyauth/cli"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "admin":
			os.Exit(admin.Run(os.Args[2:], os.Stdout, os.Stderr))
		case "keys":
			os.Exit(cli.Run(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		}
	}
	p := keyauth.Plugin()
	p.Commands = []string{"keys COMMAND [flags] [ID...]", "admin [flags]"}
	os.Exit(pluginserver.Run(p))
}
