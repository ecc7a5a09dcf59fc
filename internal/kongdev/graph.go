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

	"kong-go-plugins/internal/kongdev/declarative"
)

// graphTimeout bounds the drawing of one workflow.
const graphTimeout = 20 * time.Second

// Graph has the plugin's own binary draw the workflow of a configuration, as
// JSON. The error is what the binary says against it.
func (g *Gateway) Graph(ctx context.Context, p *declarative.Plugin) ([]byte, error) {
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
