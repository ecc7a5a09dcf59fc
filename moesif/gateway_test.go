package moesif

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
)

// A testGateway is kongdev with the plugin and a collector.
type testGateway struct {
	t         *testing.T
	gateway   *kongdev.Gateway
	collector *kongdev.Collector
	log       *logBuffer
}

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
    api_endpoint: %s
`

// startGateway starts the plugin under a gateway. program is the plugin's executable; config is added to the plugin's.
func startGateway(t *testing.T, program, endpoint string, collector *kongdev.Collector, config ...string) *testGateway {
	t.Helper()
	return startGatewayWithFlags(t, program, nil, endpoint, collector, config...)
}

// startGatewayWithFlags starts the plugin with further flags.
func startGatewayWithFlags(t *testing.T, program string, flags []string, endpoint string, collector *kongdev.Collector, config ...string) *testGateway {
	t.Helper()
	prefix, err := os.MkdirTemp("", "kd") // short: socket paths are limited
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(prefix) })

	if !strings.Contains(strings.Join(config, " "), "flush_after_ms") {
		config = append(config, "flush_after_ms: 20")
	}
	text := fmt.Sprintf(gatewayConfig, endpoint)
	for _, line := range config {
		text += "    " + line + "\n"
	}
	declarative, err := kongdev.Parse("kong.yml", []byte(text))
	require.NoError(t, err)

	bin := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	if program == "" {
		program = self
	}
	copyProgram(t, program, filepath.Join(bin, "moesif"))
	copyProgram(t, self, filepath.Join(bin, "testauth"))
	servers, err := kongdev.Binaries{Dir: bin, Prefix: prefix}.Servers(t.Context(), declarative.PluginNames())
	require.NoError(t, err)
	for i := range servers {
		if servers[i].Name == "moesif" {
			servers[i].QueryCmd = strings.Join(append([]string{servers[i].QueryCmd}, flags...), " ")
			servers[i].StartCmd = strings.Join(append([]string{servers[i].StartCmd}, flags...), " ")
		}
	}
	infos, schemas, err := kongdev.Schemas(t.Context(), servers)
	require.NoError(t, err)
	require.NoError(t, declarative.CompletePlugins(schemas))

	g := &testGateway{t: t, collector: collector, log: &logBuffer{}}
	g.gateway, err = kongdev.Start(t.Context(), kongdev.Options{
		Config: declarative, Workers: 2, Prefix: prefix, Plugins: servers, Infos: infos,
		Hosts: map[string]http.Handler{"echo.kongdev": kongdev.NewEcho()}, Log: g.log,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = g.gateway.Close()
		if t.Failed() {
			t.Log(g.log.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, g.gateway.Ready(ctx))
	return g
}

// copyProgram gives an executable another name, which is what Kong calls the plugin by.
func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	if os.Link(from, to) == nil {
		return
	}
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, b, 0o755))
}

// buildPlugin returns the executable of cmd/moesif, which is built once.
func buildPlugin(t *testing.T) string {
	t.Helper()
	program, err := builtPlugin()
	require.NoError(t, err)
	return program
}

// builtFolder is the environment variable with the folder for it, which TestMain makes and removes.
const builtFolder = "MOESIF_TEST_FOLDER"

var builtPlugin = sync.OnceValues(func() (string, error) {
	program := filepath.Join(os.Getenv(builtFolder), "moesif")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/moesif").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return program, nil
})

// serveCollector gives a collector an address.
func serveCollector(t *testing.T) (*kongdev.Collector, string) {
	t.Helper()
	collector := kongdev.NewCollector()
	server, err := kongdev.ServeLoopback(collector)
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	return collector, server.URL()
}

// send sends a request with pairs of headers and returns the response with its body read.
func (g *testGateway) send(method, target, body string, headers ...string) (*http.Response, string) {
	g.t.Helper()
	request, err := http.NewRequestWithContext(g.t.Context(), method, g.gateway.URL()+target, strings.NewReader(body))
	require.NoError(g.t, err)
	request.Host = "api.example.org"
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	require.NoError(g.t, err)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	require.NoError(g.t, err)
	return response, string(content)
}

// A logBuffer keeps what the gateway logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
