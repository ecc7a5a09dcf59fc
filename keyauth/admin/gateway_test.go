package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

const gatewayConfig = `
_format_version: "3.0"
services:
- name: echo
  url: http://echo.kongdev
  routes:
  - name: r
    paths: [/]
    plugins:
    - name: keyauth
`

// Consumers and keys that are made here are those of the gateway, and what is revoked here is refused there.
func TestThroughTheGateway(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "keyauth")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "kong-go-plugins/cmd/keyauth").CombinedOutput()
	require.NoError(t, err, string(out))
	g := kongdevtest.Start(t, kongdevtest.Options{Config: gatewayConfig, Plugins: map[string]string{"keyauth": binary}})
	assert.Equal(t, 401, g.Send("GET", "/", "", "apikey", "any").Status, "there is no keys file yet")

	cmd := exec.Command(binary, "admin", "-kong-prefix", g.Prefix(), "-key-prefix", "acme")
	require.NoError(t, cmd.Start())
	p := &process{cmd: cmd, client: overSocket(filepath.Join(g.Prefix(), "keyauth-admin.socket"))}
	t.Cleanup(p.kill)
	send := func(method, path, body string, status int) (answer map[string]any) {
		t.Helper()
		r, err := http.NewRequest(method, "http://admin"+path, strings.NewReader(body))
		require.NoError(t, err)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		resp, err := p.client.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, status, resp.StatusCode, "%s", text)
		if len(text) > 0 {
			require.NoError(t, json.Unmarshal(text, &answer))
		}
		return answer
	}
	require.Eventually(t, func() bool {
		resp, err := p.client.Get("http://admin/consumers")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}, patience, time.Millisecond)
	becomes := func(want int, key any) {
		t.Helper()
		require.Eventually(t, func() bool { return g.Send("GET", "/", "", "apikey", key.(string)).Status == want }, kongdevtest.Patience, 10*time.Millisecond)
	}

	alice := send("POST", "/consumers", `{"username":"alice","custom_id":"a-1"}`, 201)
	made := send("POST", "/consumers/alice/key-auth", ``, 201)
	becomes(200, made["key"])
	requests := g.Upstream.Requests()
	seen := requests[len(requests)-1].Header
	assert.Equal(t, alice["id"], seen.Get("X-Consumer-Id"))
	assert.Equal(t, "alice", seen.Get("X-Consumer-Username"))
	assert.Equal(t, "a-1", seen.Get("X-Consumer-Custom-Id"))
	assert.Equal(t, made["id"], seen.Get("X-Credential-Identifier"))

	id := "/key-auths/" + made["id"].(string)
	send("PATCH", id, `{"disabled":true}`, 200)
	becomes(401, made["key"])
	send("PATCH", id, `{"disabled":false,"scopes":["method:POST"]}`, 200)
	require.Eventually(t, func() bool { return g.Send("POST", "/", "", "apikey", made["key"].(string)).Status == 200 }, kongdevtest.Patience, 10*time.Millisecond)
	assert.Equal(t, 401, g.Send("GET", "/", "", "apikey", made["key"].(string)).Status)
	send("PATCH", id, `{"scopes":null}`, 200)
	becomes(200, made["key"])

	rotated := send("POST", id+"/rotate?grace=1h", ``, 201)
	becomes(200, rotated["key"])
	assert.Equal(t, 200, g.Send("GET", "/", "", "apikey", made["key"].(string)).Status, "both work for a while")
	send("PATCH", id, `{"key":"chosen"}`, 200)
	becomes(200, "chosen")
	becomes(401, made["key"])

	send("DELETE", "/consumers/alice/key-auth/chosen", ``, 204)
	becomes(401, "chosen")
	send("PUT", "/consumers/bob/", `{}`, 200)
	send("PUT", "/consumers/bob/key-auth/bobs", `{"ttl":100}`, 200)
	becomes(200, "bobs")
	send("DELETE", "/consumers/alice", ``, 204)
	becomes(401, rotated["key"])
	assert.Equal(t, 200, g.Send("GET", "/", "", "apikey", "bobs").Status)
}
