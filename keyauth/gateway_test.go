package keyauth

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/keyauth/key"
)

// builtPlugin is the executable of cmd/keyauth, built from the source.
const builtPlugin = ""

// programs are the ways to run the plugin: with the server of this project, and with go-pdk's own.
func programs() map[string]string {
	return map[string]string{"keyauth": builtPlugin, "go-pdk": kongdevtest.Self}
}

// digestOf is the digest of a key as the configuration has it.
func digestOf(t testing.TB, k string) string {
	t.Helper()
	h, err := key.NewHasher("")
	require.NoError(t, err)
	return h.Hash([]byte(k)).String()
}

// The key that every gateway of these tests knows, and its credential's id.
const (
	bobsKey        = "sekret"
	bobsCredential = "11111111-1111-4111-8111-111111111111"
	bobsID         = "def4f7d3-9863-5ad2-8fa9-c949bf26f55e" // as Kong makes it of the username
	anonsID        = "cd4f782c-ac87-5081-b322-b54834d15651"
)

// A route is a path with the plugin and its configuration as YAML lines.
type route struct {
	path   string
	config []string
}

type testGateway struct{ *kongdevtest.Gateway }

// startGateway starts a gateway with a route for each configuration, which all have bob's credential.
func startGateway(t *testing.T, program string, routes ...route) testGateway {
	t.Helper()
	return startWith(t, kongdevtest.Options{Config: gatewayConfig(t, routes...), Plugins: map[string]string{"keyauth": program}})
}

func startWith(t testing.TB, o kongdevtest.Options) testGateway {
	return testGateway{kongdevtest.Start(t, o)}
}

func gatewayConfig(t testing.TB, routes ...route) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`
_format_version: "3.0"
consumers:
- {username: bob, custom_id: bob-1}
- {username: anon}
services:
- name: echo
  url: http://echo.kongdev
  routes:
`)
	for _, r := range routes {
		b.WriteString("  - name: r" + strings.ReplaceAll(r.path, "/", "-") + "\n    paths: [" + r.path + "]\n    strip_path: false\n    plugins:\n    - name: keyauth\n      config:\n")
		if !slices.ContainsFunc(r.config, func(line string) bool { return strings.HasPrefix(line, "credentials:") }) {
			b.WriteString("        credentials: [{digest: \"" + digestOf(t, bobsKey) + "\", consumer: bob, id: " + bobsCredential + "}]\n")
		}
		for _, line := range r.config {
			b.WriteString("        " + line + "\n")
		}
	}
	return b.String()
}
