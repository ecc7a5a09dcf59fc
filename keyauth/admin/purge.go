package admin

import (
	"context"
	"fmt"
	"time"
)

// Expired credentials cannot be seen any more, but the plugin still tells them from unknown ones for a while.
const (
	keptAfterExpiry = 24 * time.Hour
	purgeEvery      = time.Hour
)

// purge removes the credentials that expired before this Unix time.
func (a *API) purge(ctx context.Context, before int64) error {
	gone, err := a.Store.DeleteExpired(ctx, before)
	if err != nil || len(gone) == 0 {
		return err
	}
	events := make([]event, len(gone))
	for i, credential := range gone {
		events[i] = a.event("keyauth", "expire", credentialEntity, credential.ID, consumerID(credential), nil)
	}
	return a.recordAll(events...)
}

// purgeAlways keeps the file free of what expired long ago, until ctx ends.
func (a *API) purgeAlways(ctx context.Context) {
	defer func() {
		if r := recover(); r != nil {
			a.Log.Error("panic", "type", fmt.Sprintf("%T", r))
		}
	}()
	for {
		if err := a.purge(ctx, a.now().Add(-keptAfterExpiry).Unix()); err != nil && ctx.Err() == nil {
			a.Log.Error("the keys file cannot be used", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(purgeEvery):
		}
	}
}
