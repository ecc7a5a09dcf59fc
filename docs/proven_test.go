package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// block returns the one block of a page that has the text in it.
func block(t *testing.T, page, text string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docs", page))
	require.NoError(t, err)
	var found []string
	for _, m := range regexp.MustCompile("(?s)\n```[a-z]+\n(.*?)```\n").FindAllStringSubmatch(string(b), -1) {
		if strings.Contains(m[1], text) {
			found = append(found, m[1])
		}
	}
	require.Len(t, found, 1, "%s has one block with %q", page, text)
	return found[0]
}

// The probe of the page succeeds as long as the plugin runs.
func TestProbe(t *testing.T) {
	t.Parallel()
	var probe struct {
		LivenessProbe struct {
			Exec           struct{ Command []string }
			TimeoutSeconds int `yaml:"timeoutSeconds"`
		} `yaml:"livenessProbe"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(block(t, "operations.md", "livenessProbe")), &probe))
	words := probe.LivenessProbe.Exec.Command
	require.Len(t, words, 4)
	prefix := folder(t)
	words[0] = strings.Replace(words[0], "/opt/kong-go", bin, 1)
	words[3] = strings.Replace(words[3], "/kong_prefix", prefix, 1)
	check := func() error {
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Env = []string{}
		return cmd.Run()
	}
	require.Error(t, check(), "it does not run yet")

	server := exec.CommandContext(t.Context(), filepath.Join(bin, "moesif"), "-kong-prefix", prefix)
	server.Env = []string{}
	require.NoError(t, server.Start())
	assert.Eventually(t, func() bool { return check() == nil }, patience, 10*time.Millisecond)
	require.NoError(t, server.Process.Signal(syscall.SIGINT)) // as at a terminal: it does not wait for a successor
	require.NoError(t, server.Wait())
	assert.Error(t, check(), "it has ended")
}

// The step for CI fails for a mistake and names it.
func TestValidationInCI(t *testing.T) {
	t.Parallel()
	command := block(t, "configure.md", "moesif -validate kong.yml &&")
	step := func(config string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
		cmd.Dir = folder(t)
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		write(t, cmd.Dir, "kong.yml", config)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const good = `
_format_version: "3.0"
plugins:
- {name: moesif, config: {application_id: a}}
- {name: keyauth}
- name: datakit
  config:
    nodes: [{name: A, type: jq, input: request.query, jq: .}]
`
	out, err := step(good)
	require.NoError(t, err, out)
	out, err = step(strings.Replace(good, "jq: .", "jq: '.['", 1))
	require.Error(t, err)
	assert.Contains(t, out, "kong.yml:8: config.nodes[0].jq: ")
}
