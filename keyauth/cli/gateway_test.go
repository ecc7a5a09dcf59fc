package cli

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
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
consumers:
- {username: alice, custom_id: a-1}
- {username: bob}
services:
- name: echo
  url: http://echo.kongdev
  routes: [{name: all, paths: [/]}]
plugins:
- {name: keyauth}
`

// A node is a gateway with the plugin, and the commands beside it.
type node struct {
	*kongdevtest.Gateway
	t *testing.T
}

func startNode(t *testing.T) node {
	return node{kongdevtest.Start(t, kongdevtest.Options{Config: gatewayConfig, Plugins: map[string]string{"keyauth": ""}}), t}
}

// keys runs a command, which must succeed, as a process of its own and returns what it prints.
func (n node) keys(stdin string, args ...string) string {
	n.t.Helper()
	cmd := process(append(args, "-kong-prefix", n.Prefix())...)
	cmd.Stdin = strings.NewReader(stdin)
	var notes bytes.Buffer
	cmd.Stderr = &notes
	out, err := cmd.Output()
	require.NoError(n.t, err, notes.String())
	return strings.TrimSpace(string(out))
}

func (n node) send(key string) (status int, username string) {
	r := n.Send("GET", "/", "", "apikey", key)
	var echo struct{ Headers map[string]string }
	_ = json.Unmarshal([]byte(r.Body), &echo)
	return r.Status, echo.Headers["x-consumer-username"]
}

// becomes waits until requests with the key are answered with the status.
func (n node) becomes(status int, key string) {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		got, _ := n.send(key)
		return got == status
	}, kongdevtest.Patience, 20*time.Millisecond, "status %d", status)
}

// What the commands do counts in a gateway that runs.
func TestKeysAndTheGateway(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	status, _ := n.send("unknown")
	require.Equal(t, 401, status)

	first := n.keys("", "create", "-consumer", "alice", "-expires", "1d")
	n.becomes(200, first)
	_, username := n.send(first)
	assert.Equal(t, "alice", username)

	second := n.keys(first, "rotate", "-key-stdin", "-grace", "1h", "-expires", "never")
	n.becomes(200, second)
	n.becomes(200, first)
	third := n.keys(second, "rotate", "-key-stdin", "-grace", "1s")
	n.becomes(401, second)
	n.becomes(200, third)

	n.keys(third, "disable", "-key-stdin")
	n.becomes(401, third)
	n.keys(third, "enable", "-key-stdin")
	n.becomes(200, third)
	n.keys(third, "revoke", "-key-stdin")
	n.becomes(401, third)

	stores := n.keys("", "create", "-consumer", "carol", "-create-consumer")
	n.becomes(200, stores)
	_, username = n.send(stores)
	assert.Equal(t, "carol", username, "a consumer of the keys file, which Kong does not know")
	for _, key := range []string{first, second, third, stores} {
		assert.NotContains(t, n.Log(), key)
	}
}

// Keys of the bundled key-auth go on working: from its file, and from its Admin API.
func TestImportsCountInTheGateway(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	file := filepath.Join(t.TempDir(), "kong.yml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(gatewayConfig, "{username: bob}",
		"{username: bob, keyauth_credentials: [{key: bobs-old-key-of-the-file}]}", 1)), 0o600))
	require.Contains(t, n.keys("", "import", "-from", file), "1  stored")
	n.becomes(200, "bobs-old-key-of-the-file")

	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := map[string]any{
			"/key-auths": []any{map[string]any{"id": "1e0c0000-0000-4000-8000-000000000001", "key": "old-key-of-the-database",
				"consumer": map[string]any{"id": bobsID}, "created_at": 1700000000}},
			"/consumers": []any{map[string]any{"id": bobsID, "username": "bob"}},
		}[r.URL.Path]
		if r.Header.Get("Kong-Admin-Token") != "the-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": list, "next": nil})
	}))
	t.Cleanup(api.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("the-token\n"), 0o600))
	require.Contains(t, n.keys("", "import", "-from-admin-api", api.URL, "-token-file", token), "1  stored")
	n.becomes(200, "old-key-of-the-database")
	_, username := n.send("old-key-of-the-database")
	assert.Equal(t, "bob", username)

	var out, notes bytes.Buffer
	assert.Equal(t, 1, run([]string{"import", "-from-admin-api", api.URL, "-kong-prefix", n.Prefix()}, streams{nil, &out, &notes, time.Now, outlives}))
	assert.Contains(t, notes.String(), "status 401; correct -token-file")

	// What is exported as configuration is good in another gateway, by Kong's own means.
	config := n.keys("", "export", "-format", "config", "-o", "json")
	other := node{kongdevtest.Start(t, kongdevtest.Options{
		Config:  strings.Replace(gatewayConfig, "{name: keyauth}", "{name: keyauth, config: "+config+"}", 1),
		Plugins: map[string]string{"keyauth": ""},
	}), t}
	for _, key := range []string{"bobs-old-key-of-the-file", "old-key-of-the-database"} {
		status, username := other.send(key)
		assert.Equal(t, 200, status)
		assert.Equal(t, "bob", username)
	}
}

const bobsID = "def4f7d3-9863-5ad2-8fa9-c949bf26f55e" // as Kong makes it of the username
