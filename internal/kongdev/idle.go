package kongdev

import (
	"context"
	"time"
)

// Idle waits until no request and no log event is running. The plugin
// connections that they used are then back in their pools, or closed.
func (g *Gateway) Idle(ctx context.Context) error {
	for {
		active := &g.gen.Load().active
		active.mu.Lock()
		inside := active.inside
		active.mu.Unlock()
		if inside == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}
