package moesif

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Kong may run the phases of one request in two processes: access before its reload, the others after it. Nobody waits
// for the other's state; at most the request's body is missing from the event.
func TestReloadBetweenPhases(t *testing.T) {
	for name, flags := range map[string][]string{"full": nil, "access,log": {"-phases", "access,log"}} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, builtPlugin, flags)
			old := g.PluginPID("moesif")
			answered := make(chan *http.Response, 1)
			go func() {
				defer close(answered)
				request, _ := http.NewRequest(http.MethodPost, g.URL()+"/slow", strings.NewReader(`{"a":1}`))
				request.Host = "stream.example.org"
				request.Header.Set("Content-Type", "application/json")
				if response, err := http.DefaultClient.Do(request); assert.NoError(t, err) {
					answered <- response
				}
			}()
			<-g.opened
			require.NoError(t, g.Reload(g.Config()))
			assert.NotEqual(t, old, g.PluginPID("moesif"))
			g.streams <- struct{}{}
			response := <-answered
			require.NotNil(t, response)
			defer func() { _ = response.Body.Close() }()
			assert.Equal(t, 200, response.StatusCode)
			assert.Len(t, response.Header.Get(transactionHeaderSent), 36)

			e := g.eventsOf(t, "/slow")["/slow"]
			assert.Equal(t, response.Header.Get(transactionHeaderSent), e.Request.Headers[transactionHeader])
			assert.Len(t, e.TransactionID, 36)
			if name == "full" {
				assert.JSONEq(t, `{"a":1}`, string(e.Request.Body), "the response phase reads it")
				assert.NotEmpty(t, e.Response.Body)
			}
			assert.Zero(t, g.Stats().LostLogEvents)
			assert.Zero(t, g.Stats().Failed)
		})
	}
}

// Under the name that the Lua plugin once had, beside a configuration of its own name and one of a route: each event goes
// to the application of its configuration, and to no other.
func TestNamesAndApplicationsD27(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "moesif")
	out, err := exec.Command("go", "build", "-o", binary, "kong-go-plugins/cmd/moesif").CombinedOutput()
	require.NoError(t, err, "%s", out)
	const old = "kong-plugin-moesif"
	const set = "    api_endpoint: http://collector.kongdev\n    flush_after_ms: 20\n    send_timeout: 60000\n"
	text := strings.Replace(gatewayConfig, "- name: testauth\n", "", 1) + set +
		"- name: " + old + "\n  config:\n    application_id: second-application\n" + set +
		"- name: moesif\n  route: stream\n  config:\n    application_id: third-application\n" + set
	g := startGatewayOf(t, text, map[string]string{"moesif": binary, old: binary}, map[string][]string{old: {"-name", old}})
	g.send("GET", "/one", "")
	go func() { <-g.opened; g.streams <- struct{}{} }()
	g.Send("GET", "/two", "", "Host", "stream.example.org")
	g.Events(4)
	sent := map[string]int{}
	for _, b := range g.Collector.Batches() {
		sent[b.Application] += b.Events
		assert.Equal(t, userAgent, b.UserAgent)
	}
	assert.Equal(t, map[string]int{"secret-application": 1, "second-application": 2, "third-application": 1}, sent)
}

// Whatever runs beside it, each event has the bodies of its own request.
func TestBodiesBelongToTheirRequests(t *testing.T) {
	for name, flags := range map[string][]string{"full": nil, "on demand": {"-phases", "access,log", "-buffer", "on-demand"}} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, builtPlugin, flags)
			const clients, each = 8, 25
			var all sync.WaitGroup
			for c := range clients {
				all.Go(func() {
					for i := range each {
						n := c*each + i
						r := g.send("POST", fmt.Sprintf("/n/%d", n), fmt.Sprintf(`{"n":%d}`, n), "Content-Type", "application/json", transactionHeaderSent, "the-same")
						assert.Equal(t, 200, r.Status)
					}
				})
			}
			all.Wait()
			ids := map[string]bool{}
			for path, e := range g.events(t, clients*each) {
				n := strings.TrimPrefix(path, "/n/")
				assert.JSONEq(t, `{"n":`+n+`}`, string(e.Request.Body), path)
				assert.Contains(t, string(e.Response.Body), `"uri":"`+path+`"`)
				ids[e.TransactionID] = true
			}
			assert.Len(t, ids, clients*each, "a client's transaction id is not the event's")
		})
	}
}
