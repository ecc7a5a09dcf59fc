package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// hubSections are what readers of a plugin hub expect, in this order.
var hubSections = []string{ // read-only
	"What it does", "How it works", "Compatibility", "Install", "Enable", "Parameters", "Examples", "Limits", "Performance", "Troubleshooting", "Upgrade",
	"Support, licence, privacy",
}

// hubMetadata is the head of a hub page: every field is needed, and there are no others.
type hubMetadata struct {
	Title, Name, Description                             string
	Categories, Products, Topologies                     []string
	WorksOn                                              []string `yaml:"works_on"`
	KonnectDeployments                                   []string `yaml:"konnect_deployments"`
	MinGatewayVersion                                    string   `yaml:"min_gateway_version"`
	ThirdParty                                           bool     `yaml:"third_party"`
	Source, Licence, Support, Privacy, Schema, Changelog string
	SearchAliases                                        []string `yaml:"search_aliases"`
}

// What a hub page says of a plugin is what the plugin says of itself.
func TestHubPages(t *testing.T) {
	t.Parallel()
	for _, plugin := range []string{"moesif", "keyauth", "datakit"} {
		dir := filepath.Join(root, "docs", "hub")
		text, err := os.ReadFile(filepath.Join(dir, plugin+".md"))
		require.NoError(t, err)
		head, body, ok := strings.Cut(strings.TrimPrefix(string(text), "---\n"), "\n---\n")
		require.True(t, ok, plugin)

		var m hubMetadata
		d := yaml.NewDecoder(strings.NewReader(head))
		d.KnownFields(true)
		require.NoError(t, d.Decode(&m), plugin)
		assert.Equal(t, plugin, m.Name)
		assert.True(t, m.ThirdParty)
		for _, file := range []string{m.Source, m.Licence, m.Privacy, m.Schema, m.Changelog} {
			path, _, _ := strings.Cut(file, "#")
			assert.NotEmpty(t, path, plugin)
			_, err := os.Stat(filepath.Join(dir, path))
			assert.NoError(t, err, plugin)
		}
		for field, list := range map[string][]string{
			"categories": m.Categories, "products": m.Products, "topologies": m.Topologies, "works_on": m.WorksOn, "search_aliases": m.SearchAliases,
		} {
			assert.NotEmpty(t, list, "%s: %s", plugin, field)
		}
		assert.Equal(t, []string{"hybrid"}, m.KonnectDeployments, "where programs can run")

		var sections []string
		for _, s := range headingPattern.FindAllStringSubmatch(body, -1) {
			sections = append(sections, s[1])
		}
		assert.Equal(t, hubSections, sections, plugin)

		dump := dumpOf(t, plugin)
		assert.Contains(t, body, "\n| phases | "+strings.Join(dump.Phases, ", ")+" |\n", plugin)
		assert.Contains(t, body, "\n| priority | "+dump.Priority.String()+" |\n", plugin)
		for _, tool := range []string{"admin-api.sh", "kong.yml", "kic.yaml", "main.tf"} {
			assert.Contains(t, body, "<!-- source: examples/configure/"+plugin+"-everything/"+tool+" -->\n", "how it is switched on")
		}
	}
}

type pluginDump struct {
	Name     string
	Priority json.Number
	Phases   []string
}

func dumpOf(t *testing.T, plugin string) pluginDump {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, plugin), "-dump").Output()
	require.NoError(t, err)
	var dump struct{ Plugins []pluginDump }
	require.NoError(t, json.Unmarshal(out, &dump))
	require.Len(t, dump.Plugins, 1)
	return dump.Plugins[0]
}

// The matrix names the phases and priorities that the plugins announce.
func TestCompatibilityNamesPhasesAndPriorities(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "compatibility.md"))
	require.NoError(t, err)
	for plugin, words := range map[string]string{
		"moesif": "`moesif` has access, response and log at priority ", "keyauth": "`keyauth` access at ", "datakit": "`datakit` access and response at ",
	} {
		dump := dumpOf(t, plugin)
		assert.Contains(t, string(text), words+dump.Priority.String())
		for _, phase := range dump.Phases {
			assert.Contains(t, words, phase)
		}
		assert.Len(t, dump.Phases, strings.Count(words, "access")+strings.Count(words, "response")+strings.Count(words, "log"))
	}
}
