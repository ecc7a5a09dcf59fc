package moesif

import (
	"strings"
	"testing"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

const gatewayConfig = `
_format_version: "3.0"
services:
- name: echo
  url: http://echo.kongdev
  routes:
  - {name: all, paths: [/], strip_path: false, hosts: [api.example.org]}
- name: down
  url: http://127.0.0.1:1
  routes:
  - {name: down, paths: [/down], hosts: [api.example.org]}
consumers:
- {username: ann, custom_id: custom-ann}
plugins:
- name: testauth
- name: moesif
  config:
    application_id: secret-application
`

// A testGateway is a gateway with the plugin, one that authenticates, and a collector.
type testGateway struct{ *kongdevtest.Gateway }

// startGateway starts it. program is the plugin's executable, config is added to the plugin's configuration, flags to its
// flags.
func startGateway(t *testing.T, program string, flags []string, config ...string) testGateway {
	t.Helper()
	text := gatewayConfig
	for name, line := range map[string]string{"flush_after_ms": "flush_after_ms: 20", "api_endpoint": "api_endpoint: http://collector.kongdev"} {
		if !strings.Contains(strings.Join(config, "\n"), name+":") {
			config = append(config, line)
		}
	}
	for _, line := range config {
		text += "    " + line + "\n"
	}
	return testGateway{kongdevtest.Start(t, kongdevtest.Options{
		Config: text, Plugins: map[string]string{"moesif": program, "testauth": kongdevtest.Self}, Flags: map[string][]string{"moesif": flags},
	})}
}

// builtPlugin is the executable of cmd/moesif, built from the source.
const builtPlugin = ""

// send sends a request with pairs of headers to the host that the routes have.
func (g testGateway) send(method, target, body string, headers ...string) *kongdevtest.Response {
	return g.Send(method, target, body, append(headers[:len(headers):len(headers)], "Host", "api.example.org")...)
}
