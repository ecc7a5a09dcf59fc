package moesif

import (
	"io"
	"net/http"
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
- name: stream
  url: http://stream.test
  routes:
  - {name: stream, paths: [/], strip_path: false, hosts: [stream.example.org]}
consumers:
- {username: ann, custom_id: custom-ann}
plugins:
- name: testauth
- name: moesif
  config:
    application_id: secret-application
`

// A testGateway is a gateway with the plugin, one that authenticates, and a collector.
type testGateway struct {
	*kongdevtest.Gateway
	opened  chan struct{} // has a value for each stream of stream.example.org
	streams chan struct{} // each value ends one
}

// startGateway starts it. program is the plugin's executable, config is added to the plugin's configuration, flags to its
// flags.
func startGateway(t *testing.T, program string, flags []string, config ...string) testGateway {
	t.Helper()
	text := gatewayConfig
	for name, line := range map[string]string{
		"flush_after_ms": "flush_after_ms: 20", "api_endpoint": "api_endpoint: http://collector.kongdev",
		"connect_timeout": "connect_timeout: 60000", "send_timeout": "send_timeout: 60000", // what a slow machine delays does not come twice
	} {
		if !strings.Contains(strings.Join(config, "\n"), name+":") {
			config = append(config, line)
		}
	}
	for _, line := range config {
		text += "    " + line + "\n"
	}
	return startGatewayOf(t, text, map[string]string{"moesif": program, "testauth": kongdevtest.Self}, map[string][]string{"moesif": flags})
}

// startGatewayOf starts a gateway of a whole configuration with these plugins.
func startGatewayOf(t *testing.T, text string, plugins map[string]string, flags map[string][]string) testGateway {
	t.Helper()
	g := testGateway{opened: make(chan struct{}, 10), streams: make(chan struct{}, 10)}
	g.Gateway = kongdevtest.Start(t, kongdevtest.Options{
		Config: text, Plugins: plugins, Flags: flags, Hosts: map[string]http.Handler{"stream.test": http.HandlerFunc(g.stream)},
	})
	return g
}

// stream answers an upgrade with an echo, and all else with an event stream that stays open after its first event.
func (g testGateway) stream(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		conn, both, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := both.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: 1\n\n")
	_ = http.NewResponseController(w).Flush()
	g.opened <- struct{}{}
	select {
	case <-g.streams:
	case <-r.Context().Done():
	}
	_, _ = io.WriteString(w, "data: 2\n\n")
}

// builtPlugin is the executable of cmd/moesif, built from the source.
const builtPlugin = ""

// send sends a request with pairs of headers to the host that the routes have.
func (g testGateway) send(method, target, body string, headers ...string) *kongdevtest.Response {
	return g.Send(method, target, body, append(headers[:len(headers):len(headers)], "Host", "api.example.org")...)
}
