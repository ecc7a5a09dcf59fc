// Package cmd_test holds what must be true of all binaries together.
package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "kong-go-plugins/"

// gateway is the one folder of cmd that is no plugin.
const gateway = "kongdev"

// heavy are libraries that one plugin is made for and the others must not carry, with the plugins that may. A library
// without a plugin is for tests, or for nobody. An entry stands for every package below it.
var heavy = map[string][]string{ // read-only
	"github.com/itchyny/gojq":        {"datakit"},
	"github.com/golang-jwt/jwt":      {"datakit"},
	"github.com/antchfx/xmlquery":    {"datakit"},
	"github.com/antchfx/xpath":       {"datakit"},
	"github.com/redis/go-redis":      {"datakit", "keyauth"},
	"github.com/maypok86/otter":      {"datakit", "keyauth"},
	"github.com/jackc/pgx":           {"keyauth"},
	"github.com/tidwall/btree":       {"keyauth"},
	"github.com/go-json-experiment":  {"keyauth"},
	"github.com/moesif/moesifapi-go": nil,

	"github.com/Kong/go-pdk/test":     nil,
	"github.com/Kong/go-pluginserver": nil,
	"github.com/stretchr/testify":     nil,
	"github.com/yuin/gopher-lua":      nil,
	"github.com/gin-gonic/gin":        nil,
	"github.com/gofiber/fiber":        nil,
	"github.com/labstack/echo":        nil,
	"github.com/go-chi/chi":           nil,
	"github.com/gorilla/mux":          nil,
	"github.com/valyala/fasthttp":     nil,
	"google.golang.org/grpc":          nil,
	"testing":                         nil,
	module + "internal/transcript":    nil,
	module + "internal/kongconf":      nil,
	module + "internal/kongdev":       {gateway},
	module + "internal/frames":        {gateway},
	module + "cmd":                    nil,
}

// embeddedServer is go-pdk's own server. Only the package itself counts: the messages below it are in use.
const embeddedServer = "github.com/Kong/go-pdk/server"

// layers says what each part of the project may import of the rest; they point one way.
var layers = map[string][]string{ // read-only
	"schema":                nil,
	"internal/frames":       nil,
	"internal/transcript":   {"internal/frames"},
	"internal/direct":       nil,
	"internal/pluginserver": {"schema", "internal/direct"},
	"internal/kongdev":      {"schema", "internal/frames"},

	"internal/kongdev/collector":   nil,
	"internal/kongdev/declarative": {"schema", "internal/kongdev/uri"},
	"internal/kongdev/echo":        nil,
	"internal/kongdev/errorlog":    nil,
	"internal/kongdev/external":    {"schema", "internal/kongdev/declarative", "internal/kongdev/errorlog", "internal/kongdev/uri"},
	"internal/kongdev/header":      {"internal/kongdev/lua"},
	"internal/kongdev/lua":         nil,
	"internal/kongdev/nginx":       {"internal/kongdev/header", "internal/kongdev/lua", "internal/kongdev/uri"},
	"internal/kongdev/router":      {"schema", "internal/kongdev/declarative", "internal/kongdev/uri"},
	"internal/kongdev/uri":         nil,

	"datakit/convert": nil,
	"datakit/token":   nil,
	"datakit/xmljson": nil,
	"keyauth/key":     nil,
	"keyauth/store":   {"keyauth/key"},
	"keyauth/audit":   nil,
	"keyauth/cli":     {"keyauth/audit", "keyauth/key", "keyauth/store"},
	"keyauth/admin":   {"keyauth/audit", "keyauth/key", "keyauth/store"},
}

// forbidden returns why the binary name must not hold one of deps, its own main left out. plugins are the names of all
// plugins.
func forbidden(name string, plugins, deps []string) (found []string) {
	bad := func(format string, args ...any) { found = append(found, name+" "+fmt.Sprintf(format, args...)) }
	for _, dep := range deps {
		if dep == module+"cmd/"+name {
			continue
		}
		for _, p := range plugins {
			if p != name && within(dep, module+p) {
				bad("imports %s, which is another plugin's", dep)
			}
		}
		if name == gateway && within(dep, module+"internal/pluginserver") {
			bad("imports %s: two sides that share code cannot test each other", dep)
		}
		if dep == embeddedServer {
			bad("imports %s, whose part internal/pluginserver plays", dep)
		}
		for library, allowed := range heavy {
			if within(dep, library) && !slices.Contains(allowed, name) {
				bad("imports %s, which only these may: %q", dep, allowed)
			}
		}
	}
	slices.Sort(found)
	return found
}

// wrongLayer returns what the part of the project imports of the rest against layers.
func wrongLayer(part string, allowed, deps []string) (found []string) {
	for _, dep := range deps {
		own, ours := strings.CutPrefix(dep, module)
		if ours && !within(own, part) && !slices.ContainsFunc(allowed, func(a string) bool { return within(own, a) }) {
			found = append(found, fmt.Sprintf("%s imports %s; it may import %q", part, own, allowed))
		}
	}
	return found
}

// within reports whether the package path is root or below it.
func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// dependencies lists all packages that the package path is made of.
func dependencies(t *testing.T, path string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", path).Output()
	require.NoError(t, err, path)
	deps := strings.Fields(string(out))
	require.Contains(t, deps, path, "go list -deps names the package itself")
	return deps
}

// binaries are the folders of cmd.
func binaries(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestBinariesHoldOnlyWhatTheyNeed(t *testing.T) {
	t.Parallel()
	names := binaries(t)
	require.Contains(t, names, gateway)
	require.Contains(t, names, "moesif")
	plugins := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == gateway })
	for _, name := range names {
		deps := dependencies(t, module+"cmd/"+name)
		assert.Empty(t, forbidden(name, plugins, deps))
		if name != gateway {
			assert.Contains(t, deps, module+name, "a plugin's main runs the plugin of its name")
			assert.Contains(t, deps, module+"internal/pluginserver")
		}
	}
}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for part, allowed := range layers {
		assert.Empty(t, wrongLayer(part, allowed, dependencies(t, module+part)))
	}
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	plugins := []string{"datakit", "keyauth", "moesif"}
	for _, c := range []struct {
		name, binary, dep string
		bad               bool
	}{
		{"own package", "moesif", module + "moesif", false},
		{"below the own package", "moesif", module + "moesif/internal/queue", false},
		{"own main", "moesif", module + "cmd/moesif", false},
		{"another main", "moesif", module + "cmd/kongdev", true},
		{"another plugin", "moesif", module + "keyauth", true},
		{"below another plugin", "moesif", module + "datakit/nodes", true},
		{"only the name is alike", "moesif", module + "keyauthentication", false},
		{"the server", "moesif", module + "internal/pluginserver", false},
		{"the gateway", "moesif", module + "internal/kongdev", true},
		{"recordings", "moesif", module + "internal/transcript", true},
		{"jq in moesif", "moesif", "github.com/itchyny/gojq", true},
		{"jq in keyauth", "keyauth", "github.com/itchyny/gojq", true},
		{"jq in datakit", "datakit", "github.com/itchyny/gojq", false},
		{"a version", "moesif", "github.com/golang-jwt/jwt/v5", true},
		{"a package of a version", "moesif", "github.com/jackc/pgx/v5/pgconn", true},
		{"postgres in keyauth", "keyauth", "github.com/jackc/pgx/v5", false},
		{"redis in keyauth", "keyauth", "github.com/redis/go-redis/v9", false},
		{"redis in moesif", "moesif", "github.com/redis/go-redis/v9", true},
		{"xml", "moesif", "github.com/antchfx/xmlquery", true},
		{"web framework", "datakit", "github.com/gin-gonic/gin", true},
		{"test library", "moesif", "github.com/stretchr/testify/require", true},
		{"testing", "moesif", "testing", true},
		{"embedded server", "moesif", "github.com/Kong/go-pdk/server", true},
		{"its messages", "moesif", "github.com/Kong/go-pdk/server/kong_plugin_protocol", false},
		{"standard library", "moesif", "net/http", false},
		{"kongdev: its own", "kongdev", module + "internal/kongdev", false},
		{"kongdev: the server", "kongdev", module + "internal/pluginserver", true},
		{"kongdev: a plugin", "kongdev", module + "moesif", true},
		{"kongdev: the schema", "kongdev", module + "schema", false},
		{"kongdev: jq", "kongdev", "github.com/itchyny/gojq", true},
	} {
		found := forbidden(c.binary, plugins, []string{"fmt", c.dep, "os"})
		assert.Equalf(t, c.bad, len(found) == 1, "%s: %q", c.name, found)
		if c.bad && len(found) == 1 {
			assert.Containsf(t, found[0], c.binary+" imports "+c.dep, c.name)
		}
	}
}

func TestWrongLayer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part    string
		allowed []string
		dep     string
		bad     bool
	}{
		{"schema", nil, module + "schema", false},
		{"schema", nil, module + "internal/pluginserver", true},
		{"schema", nil, module + "schemas", true},
		{"schema", nil, "go.yaml.in/yaml/v3", false},
		{"internal/kongdev", []string{"schema"}, module + "schema", false},
		{"internal/kongdev", []string{"schema"}, module + "internal/pluginserver", true},
		{"internal/pluginserver", []string{"schema"}, module + "moesif", true},
	} {
		assert.Equalf(t, c.bad, len(wrongLayer(c.part, c.allowed, []string{c.dep})) == 1, "%s imports %s", c.part, c.dep)
	}
}
