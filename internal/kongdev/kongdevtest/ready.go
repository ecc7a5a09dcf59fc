package kongdevtest

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
)

// WaitReady waits until every plugin server takes events, for instance after one was killed.
func (g *Gateway) WaitReady() {
	g.t.Helper()
	ctx, cancel := g.patience()
	defer cancel()
	require.NoError(g.t, g.Ready(ctx))
	for plugin, pid := range g.Stats().PluginPIDs {
		if pid != 0 {
			require.NoError(g.t, WaitWorker(ctx, filepath.Join(g.prefix, plugin+".socket"), plugin))
		}
	}
}

// WaitWorker is kongdev.AwaitWorker; the error is ctx's.
func WaitWorker(ctx context.Context, socket, plugin string) error {
	kongdev.AwaitWorker(ctx, socket, plugin)
	if ctx.Err() != nil {
		return fmt.Errorf("plugin %s has no worker: %w", plugin, context.Cause(ctx))
	}
	return nil
}
