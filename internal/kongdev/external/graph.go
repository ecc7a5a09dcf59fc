package external

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// graphTimeout bounds the drawing of one workflow.
const graphTimeout = 20 * time.Second

// Graph has the plugin's own binary draw the workflow of a configuration, as
// JSON. The error is what the binary says against it.
func (s Server) Graph(ctx context.Context, config map[string]any) ([]byte, error) {
	if s.GraphCmd == "" {
		return nil, fmt.Errorf("the plugin %s draws no workflows", s.Name)
	}
	in, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("the configuration of %s: %w", s.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, graphTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+s.GraphCmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr // secrets are in no command line
	cmd.WaitDelay = outputWait
	if err := cmd.Run(); err != nil {
		if said := strings.TrimSpace(strings.ReplaceAll(stderr.String(), "-:1: error: ", "")); said != "" { // all stood in line 1
			return nil, errors.New(said)
		}
		return nil, err
	}
	return stdout.Bytes(), nil
}
