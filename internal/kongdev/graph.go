package kongdev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// graphTimeout bounds the drawing of one workflow.
const graphTimeout = 20 * time.Second

// HasWorkflow reports whether a plugin's configuration is a workflow: its
// member nodes is a list of objects with a name and a type, as datakit's is.
// No other plugin is asked to draw: one that does not know the command might
// begin to serve.
func (p *PluginEntity) HasWorkflow() bool {
	nodes, _ := p.Config["nodes"].([]any)
	return len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n any) bool {
		m, _ := n.(map[string]any)
		_, named := m["name"].(string)
		_, typed := m["type"].(string)
		return !named || !typed
	})
}

// Graph has the plugin's own binary draw the workflow of a configuration, as
// JSON. The error is what the binary says against it.
func (g *Gateway) Graph(ctx context.Context, p *PluginEntity) ([]byte, error) {
	at := slices.IndexFunc(g.opts.Plugins, func(s PluginServer) bool { return s.Name == p.Name })
	if at < 0 || g.opts.Plugins[at].GraphCmd == "" {
		return nil, fmt.Errorf("the plugin %s draws no workflows", p.Name)
	}
	config, err := json.Marshal(p.Config)
	if err != nil {
		return nil, fmt.Errorf("the configuration of %s: %w", p.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, graphTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+g.opts.Plugins[at].GraphCmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(config), &stdout, &stderr // secrets are in no command line
	cmd.WaitDelay = outputWait
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(strings.ReplaceAll(stderr.String(), "-:1: error: ", "")); said != "" { // all stood in line 1
			return nil, errors.New(said)
		}
		return nil, err
	}
	return stdout.Bytes(), nil
}
