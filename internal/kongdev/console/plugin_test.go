package console

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/echo"
	"kong-go-plugins/internal/kongdev/external"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "guard" {
		if err := server.StartServer(func() any { return &guardPlugin{} }, "1.2.3", 1005); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

//go:embed testdata/workflow.json
var workflowTrace []byte // read-only; what datakit has answered with

// guardPlugin is a plugin to look at: the test binary under its name.
type guardPlugin struct {
	APIKey string `json:"api_key"`
}

func (*guardPlugin) Access(kong *pdk.PDK) {
	switch test, _ := kong.Request.GetHeader("x-test"); test {
	case "refuse":
		kong.Response.Exit(403, []byte("no"), nil)
		return
	case "workflow": // as datakit's answer to X-DataKit-Debug-Trace
		kong.Response.Exit(200, workflowTrace, map[string][]string{"Content-Type": {"application/json"}})
		return
	case "wrong":
		_, _ = kong.Response.GetStatus()
		return
	case "say":
		fmt.Fprintln(os.Stderr, "plugin says <b>hello</b> with Authorization: Bearer spoken-secret")
	}
	_, _ = kong.Request.GetHeader("authorization")
	_, _ = kong.Request.GetPath()
	_ = kong.ServiceRequest.SetHeader("X-Api-Key", "set-secret")
	_ = kong.ServiceRequest.SetHeader("X-Seen", "yes")
}

func (*guardPlugin) Response(kong *pdk.PDK) {
	_, _ = kong.Response.GetStatus()
	_ = kong.Response.SetHeader("X-Checked", "1")
}

func (*guardPlugin) Log(kong *pdk.PDK) { _, _ = kong.Log.Serialize() }

// A rig is a gateway with the plugin, a collector, and a console that is served.
type rig struct {
	*kongdev.Gateway
	t         *testing.T
	console   *Console
	collector *collector.Collector
	served    *kongdev.Loopback
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, "", "")
}

// newRigWith has further plugins in its configuration, and a command that draws their workflows.
func newRigWith(t *testing.T, plugins, graph string) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "kd") // short: socket paths are limited
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(dir, "guard-link")))
	bin := filepath.Join(dir, "guard")
	data, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(bin, data, 0o755)) // go-pdk names the plugin after the file behind links
	config, err := declarative.Parse("kong.yml", []byte(`
_format_version: "3.0"
services:
- name: orders
  url: http://echo.kongdev
  routes: [{name: everything, paths: [/], strip_path: false}]
plugins:
- {name: guard, config: {api_key: config-secret}}
`+plugins))
	require.NoError(t, err)
	r := &rig{t: t, console: New(), collector: collector.New()}
	r.console.fetch = 10 * time.Millisecond
	r.Gateway, err = kongdev.Start(context.Background(), kongdev.Options{
		Config: config, Prefix: dir, OnTrace: r.console.Trace, TraceBytes: TraceBytes, OnLog: r.console.Log,
		Plugins: []external.Server{{Name: "guard", QueryCmd: bin + " -dump", StartCmd: bin + " -kong-prefix " + dir, GraphCmd: graph}},
		Hosts:   map[string]http.Handler{"echo.kongdev": echo.New()},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	ctx, cancel := context.WithCancel(context.Background())
	wait := r.console.Attach(ctx, r.Gateway, r.collector)
	t.Cleanup(func() { cancel(); wait() })
	ready, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	require.NoError(t, r.Ready(ready))
	l, err := Listen(":0")
	require.NoError(t, err)
	r.served = kongdev.Serve(l, r.console.Handler())
	t.Cleanup(func() { require.NoError(t, r.served.Close()) })
	return r
}

// send makes a request; headers are name, value pairs.
func (r *rig) send(method, path string, headers ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(method, r.URL()+path, nil)
	require.NoError(r.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	_, err = io.Copy(io.Discard, resp.Body) // the connection is used again
	require.NoError(r.t, err)
	require.NoError(r.t, resp.Body.Close())
	return resp
}

// post gives the collector an event.
func (r *rig) post(event string) {
	r.t.Helper()
	req := httptest.NewRequest("POST", "/v1/events/batch", strings.NewReader("["+event+"]"))
	req.Header.Set("X-Moesif-Application-Id", "application-secret")
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r.collector.ServeHTTP(w, req)
	require.Equal(r.t, 201, w.Code, w.Body.String())
}

const sampleEvent = `{"request":{"time":"2026-01-02T03:04:05.678Z","uri":"http://a/orders?api_key=uri-secret&x=1","verb":"POST","ip_address":"10.1.2.3",
"headers":{"authorization":"Bearer header-secret","content-type":"application/json"},"body":{"password":"body-secret","note":"Basic dGV4dA== told","sku":"A-1"},"transfer_encoding":"json"},
"response":{"time":"2026-01-02T03:04:05.700Z","status":201,"headers":{"set-cookie":"sid=cookie-secret"},"body":"ZW5jb2RlZA==","transfer_encoding":"base64"},
"user_id":"alice","company_id":"acme","session_token":"session-secret"}`

// secrets are all that must never be served.
var secrets = []string{ // read-only
	"config-secret", "set-secret", "asked-secret", "query-secret", "uri-secret", "header-secret", "body-secret", "cookie-secret", "session-secret",
	"application-secret", "spoken-secret", "dGV4dA", "ZW5jb2Rl",
}
